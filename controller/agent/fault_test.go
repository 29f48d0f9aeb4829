package agent_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/test/lab"
)

// frequent compares with the switch often enough for a test to wait for it.
const frequent = 50 * time.Millisecond

// awaitLog waits until the agent has logged something.
func (h *host) awaitLog(text string) {
	h.t.Helper()
	lab.Eventually(h.t, "the agent to log "+text, func() error {
		if !strings.Contains(h.log.String(), text) {
			return fmt.Errorf("its log: %s", h.log)
		}
		return nil
	})
}

func TestVswitchdRestart(t *testing.T) {
	h := newGuarded(t, never, "fail_mode=secure")
	h.MustRun(h.KillVswitchd)
	h.MustRun(h.StartVswitchd)
	h.awaitExact("br0")
	if mode := h.MustOfctl("get-frags", "br0"); !strings.Contains(mode, "nx-match") {
		t.Errorf("fragment mode: %s", mode)
	}
	spoof(h, "tap1")
}

func TestOVSDBRestart(t *testing.T) {
	h := newGuarded(t, frequent)
	h.MustRun(h.KillOVSDB)
	h.MustRun(h.StartOVSDB)
	h.MustSetIDs("tap1", pairs([]string{"port-security=mac", "port-security-seq=9"}))
	h.await("tap1", "checks=mac", "seq=9")
	h.awaitExact("br0")
}

func TestWaitsForOpenVSwitch(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.guard("br0")
	h.MustRun(h.KillVswitchd)
	h.MustRun(h.KillOVSDB)
	h.run(never)
	h.awaitLog("level=warning")
	h.MustRun(h.StartOVSDB)
	h.awaitLog("waiting for the bridge's switch")
	h.MustRun(h.StartVswitchd)
	h.await("tap1", "state=enforced")
	h.awaitExact("br0")
}

// A second agent refuses to work beside the first, and names it.
func TestSecondAgentRefuses(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced")
	second, err := agent.New(agent.Config{Endpoint: h.Endpoint(), Log: logrus.New()})
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(t.Context())
	if want := fmt.Sprintf("another vifguard agent works on this Open vSwitch (pid %d on ", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the second agent: %v; want %q", err, want)
	}
	h.MustSetIDs("tap1", pairs([]string{"port-security-seq=1"}))
	h.await("tap1", "seq=1")
}

// Whatever somebody else does to the flows is noticed at once, repaired, and logged as
// drift.
func TestDrift(t *testing.T) {
	h := newGuarded(t, never)
	for _, test := range []struct {
		name string
		do   func()
	}{
		{"everything deleted", func() { h.MustOfctl("del-flows", "br0") }},
		{"shared flows deleted", func() { h.MustOfctl("del-flows", "br0", ours+"/-1") }},
		{"one flow's actions changed", func() { h.MustOfctl("--strict", "mod-flows", "br0", "table=0,priority=40400,in_port=1,actions=NORMAL") }},
		{"a flow with our cookie added", func() { h.MustOfctl("add-flow", "br0", ours+",table=0,priority=65000,in_port=1,actions=NORMAL") }},
		{"fail_mode flipped", func() { h.MustVsctl("set-fail-mode", "br0", "secure") }},
		{"and back", func() { h.MustVsctl("del-fail-mode", "br0") }},
	} {
		t.Run(test.name, func(t *testing.T) { h.drift(test.do) })
	}
	t.Run("tables moved meanwhile", func(t *testing.T) {
		h.MustVsctl("set", "Bridge", "br0", "external_ids:port-security-first-table=20")
		h.awaitExact("br0")
		h.drift(func() { h.MustOfctl("del-flows", "br0", "table=23") })
	})
}

// ours is the cookie of flows that are nobody else's, in ovs-ofctl's notation.
var ours = fmt.Sprintf("cookie=0x%x", flows.CookiePrefix)

// drift does something to the flows and waits until it is repaired and logged.
func (h *host) drift(do func()) {
	h.t.Helper()
	h.log.Reset()
	do()
	h.awaitLog("drifted")
	h.awaitExact("br0")
}

// What the switch doesn't tell of is found by the periodic comparison.
func TestComparison(t *testing.T) {
	h := newGuarded(t, frequent)
	t.Run("a flow with our cookie in a table of others", func(t *testing.T) {
		h.drift(func() { h.MustOfctl("add-flow", "br0", ours+",table=99,actions=drop") })
	})
	t.Run("fragment mode changed", func(t *testing.T) {
		// ovs-ofctl reads the mode again; it may have been set back by then.
		if _, err := h.Ofctl("set-frags", "br0", "normal"); err != nil && !strings.Contains(err.Error(), "setting fragment handling mode failed") {
			t.Fatal(err)
		}
		lab.Eventually(h.t, "nx-match again", func() error {
			if mode := h.MustOfctl("get-frags", "br0"); !strings.Contains(mode, "nx-match") {
				return fmt.Errorf("%s", mode)
			}
			return nil
		})
	})
}

// Flows of others are never touched, and those that take precedence over the checks
// are reported.
func TestFlowsOfOthers(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.MustOfctl("add-flow", "br0", "table=0,priority=50,dl_type=0x0842,actions=drop")
	h.MustOfctl("add-flow", "br0", "table=30,priority=50000,actions=drop")
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced")
	const warning = "take precedence over the checks; move them"
	if strings.Contains(h.log.String(), warning) {
		t.Error("harmless flows are reported")
	}
	h.MustOfctl("add-flow", "br0", "table=1,priority=60000,dl_type=0x0801,actions=NORMAL")
	h.awaitLog(warning)
	h.stop()
	dump := h.MustOfctl("dump-flows", "--no-stats", "br0")
	for _, want := range []string{"priority=0 actions=NORMAL", "dl_type=0x0842 actions=drop", "priority=60000,dl_type=0x0801 actions=NORMAL", "table=30, priority=50000 actions=drop"} {
		if !strings.Contains(dump, want) {
			t.Errorf("a flow of others is gone: %s\n%s", want, dump)
		}
	}
}

// Moving the stages moves every flow in one bundle, and the operator's own tables
// before and behind them keep working.
func TestTablesMove(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "up", 2)
	h.MustOfctl("add-flow", "br0", "table=0,priority=1,actions=resubmit(,10)")
	h.MustOfctl("add-flow", "br0", "table=200,priority=1,reg15=0,actions=NORMAL")
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced")
	h.MustVsctl("set", "Bridge", "br0", "external_ids:port-security-first-table=10", "external_ids:port-security-exit-table=200")
	h.awaitExact("br0")
	legit := lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:01"), addr("192.0.2.1"))
	if got := h.MustReach("tap1", legit); got["up"] == nil {
		t.Error("a legitimate frame doesn't leave through the exit table")
	}
	spoof(h, "tap1")
}

// The flows after any history are those of an agent that starts afresh.
func TestSameFlowsAsFromScratch(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.guard("br0")
	h.run(never)
	for round := range 3 {
		for i := range 6 {
			port := fmt.Sprintf("tap%d", i)
			again := i%3 == round%3
			if round > 0 && again {
				h.MustDelPort(port)
			}
			if round == 0 || again {
				h.vif("br0", port, i+1, fmt.Sprintf("attached-mac=52:54:00:00:%02x:%02x", round, i))
			}
			h.MustSetIDs(port, pairs([]string{"port-security=" + []string{"mac", "mac,arp", "auto"}[(i+round)%3], fmt.Sprintf("port-security-seq=%d", round)}))
		}
	}
	for i := range 6 {
		h.await(fmt.Sprintf("tap%d", i), "seq=2")
	}
	h.awaitExact("br0")
	history := h.dump("br0")
	h.stop()
	h.MustOfctl("del-flows", "br0", fmt.Sprintf("cookie=0x%x/0x%x", flows.CookiePrefix, flows.CookieMask))
	h.run(never)
	h.awaitExact("br0")
	if diff := cmp.Diff(history, h.dump("br0")); diff != "" {
		t.Errorf("flows (-after a history +from scratch):\n%s", diff)
	}
}

// dump returns the flows of a bridge, sorted: Open vSwitch shows equal priorities in
// no useful order.
func (h *host) dump(bridge string) []string {
	return slices.Sorted(strings.Lines(h.MustOfctl("dump-flows", "--no-stats", bridge)))
}

// A VIF whose flows the switch refuses is blocked and named; all others go on.
func TestRefusedFlowBlocksOneVIF(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "tap2", 2, mac2, "port-security=mac")
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced")
	h.await("tap2", "state=enforced")
	// No room for more flows in the table of the ip stage.
	h.MustVsctl("--", "--id=@t", "create", "Flow_Table", fmt.Sprintf("flow_limit=%d", h.inStage("br0", flows.StageIP)), "overflow_policy=refuse",
		"--", "set", "Bridge", "br0", fmt.Sprintf("flow_tables:%d=@t", flows.StageIP))
	h.MustSetIDs("tap2", pairs([]string{"port-security=mac,arp,ip", "allowed-addresses=192.0.2.2", "port-security-seq=1"}))
	h.await("tap2", "state=blocked", "checks=", "seq=")
	if got := h.MustIDs("tap2")["vifguard-error"]; !strings.Contains(got, "the switch refused to add the flow") {
		t.Errorf("error: %q", got)
	}
	frame := lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:02"), addr("192.0.2.2"))
	if got := h.MustReach("tap2", frame); len(got) != 0 {
		t.Error("the blocked VIF sends")
	}
	h.MustSetIDs("tap1", pairs([]string{"port-security=mac", "port-security-seq=5"}))
	h.await("tap1", "checks=mac", "seq=5")
	// There is room now: what is asked for next is tried.
	h.MustSetIDs("tap2", pairs([]string{"port-security=mac,arp", "port-security-seq=2"}))
	h.await("tap2", "state=enforced", "checks=mac,arp", "seq=2", "error=")
	h.awaitExact("br0")
}

// inStage counts the flows of one stage.
func (h *host) inStage(bridge string, s flows.Stage) int {
	return strings.Count(h.MustOfctl("dump-flows", "--no-stats", bridge), fmt.Sprintf("table=%d, priority", s))
}

// A bridge that isn't closed by its fail_mode forwards everything after a restart of
// ovs-vswitchd until the agent is back. That is announced, and told afterwards.
func TestUnguarded(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "up", 2)
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced")
	if !strings.Contains(h.log.String(), "vifguard guard --secure br0") {
		t.Error("the log doesn't announce what a restart would let through")
	}
	unguarded := func() string {
		return strings.Trim(h.MustVsctl("--if-exists", "get", "Bridge", "br0", "external_ids:vifguard-unguarded"), "\"\n")
	}
	h.MustRun(h.KillVswitchd)
	h.MustRun(h.StartVswitchd)
	h.awaitExact("br0")
	lab.Eventually(h.t, "the time without checks in OVSDB", func() error {
		if _, until, ok := strings.Cut(unguarded(), "s until 20"); !ok || !strings.HasSuffix(until, "Z") {
			return fmt.Errorf("vifguard-unguarded: %q", unguarded())
		}
		return nil
	})
	h.awaitLog("the bridge forwarded unchecked")

	// Closed by its fail_mode it isn't unguarded, and what was reported before stays.
	h.MustVsctl("set-fail-mode", "br0", "secure")
	h.awaitExact("br0")
	before := unguarded()
	h.log.Reset()
	h.MustRun(h.KillVswitchd)
	h.MustRun(h.StartVswitchd)
	h.awaitLog("flows brought to what OVSDB asks for")
	h.awaitExact("br0")
	if now := unguarded(); now != before || strings.Contains(h.log.String(), "forwarded unchecked") {
		t.Errorf("a secure bridge counts as unguarded: %q, then %q", before, now)
	}
	h.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security")
	lab.Eventually(h.t, "the key to go", func() error {
		if got := unguarded(); got != "" {
			return fmt.Errorf("vifguard-unguarded: %q", got)
		}
		return nil
	})
}

// A bridge that is made anew without a fail_mode that closes it forwards until the agent has
// programmed it, as after a restart of the switch, and that is reported like that. One that
// is made anew without any guard is warned of.
func TestBridgeMadeAnew(t *testing.T) {
	h := newHost(t)
	guarded := func() {
		h.MustVsctl("--no-wait", "--", "add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=dummy", "external_ids:port-security=auto")
		h.vif("br0", "tap1", 1, mac1)
		h.await("tap1", "state=enforced")
	}
	unguarded := func() string {
		return h.MustVsctl("--if-exists", "get", "Bridge", "br0", "external_ids:vifguard-unguarded")
	}
	h.run(never)
	guarded()
	if u := unguarded(); strings.TrimSpace(u) != "" {
		t.Errorf("a bridge that wasn't there before was unguarded: %s", u)
	}
	h.MustVsctl("del-br", "br0")
	guarded()
	lab.Eventually(h.t, "the time without checks in OVSDB", func() error {
		if u := unguarded(); !strings.Contains(u, "until 20") {
			return fmt.Errorf("vifguard-unguarded: %q", u)
		}
		return nil
	})
	h.awaitLog("the bridge forwarded unchecked")
	h.MustVsctl("del-br", "br0", "--", "add-br", "br0")
	h.awaitLog("the bridge was made anew, and isn't guarded any more")
}

// A VIF whose row loses all its keys becomes a trusted port. The log and a metric say so,
// whether the agent ran when it happened or not.
func TestLostKeys(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "tap2", 2, mac2)
	h.vif("br0", "up", 3)
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced")
	h.MustVsctl("clear", "Interface", "tap1", "external_ids")
	h.awaitLog("the VIF has lost all its keys: it passes unchecked from now on")
	h.awaitMetric(`vifguard_lost_keys_total{bridge="br0"}`, 1)
	h.await("tap1", "state=")
	h.stop()
	h.log.Reset()
	h.MustVsctl("remove", "Interface", "tap2", "external_ids", "attached-mac")
	h.run(never)
	h.awaitLog("port=tap2")
	h.awaitLog("the VIF has lost all its keys")
	h.awaitMetric(`vifguard_lost_keys_total{bridge="br0"}`, 1)
	h.await("tap2", "state=")
	if strings.Contains(h.log.String(), "port=up") {
		t.Errorf("a port that never was a VIF is warned of:\n%s", h.log)
	}
}
