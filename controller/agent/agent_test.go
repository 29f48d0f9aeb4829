package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

func TestPolicyFollowsMetadata(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "up", 9)
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced", "checks=mac,arp,ip")
	h.mustBeInForce("br0")

	h.MustSetIDs("tap1", pairs([]string{"port-security=mac,arp", "port-security-seq=7"}))
	h.await("tap1", "state=enforced", "checks=mac,arp", "seq=7")
	h.mustBeInForce("br0")

	h.MustSetIDs("tap1", pairs([]string{"port-security-action=observe"}))
	h.await("tap1", "state=observed", "checks=mac,arp")
	h.MustSetIDs("tap1", pairs([]string{"port-security=block", "port-security-action="}))
	h.await("tap1", "state=blocked", "checks=")
	h.MustSetIDs("tap1", pairs([]string{"port-security=off"}))
	h.await("tap1", "state=off", "checks=")
	h.MustSetIDs("tap1", pairs([]string{"port-security=", "allowed-addresses=192.0.2.1,oops"}))
	h.await("tap1", "state=enforced", "checks=mac,arp,ip",
		`error=allowed-addresses: "oops" is not an IP address (want e.g. 192.0.2.10, 192.0.2.0/24 or 2001:db8::/64)`)
	h.MustSetIDs("tap1", pairs([]string{"allowed-addresses=192.0.2.1"}))
	h.await("tap1", "state=enforced", "checks=mac,arp,ip", "error=")
	h.mustBeInForce("br0")

	if ids := h.MustIDs("up"); len(ids) != 0 {
		t.Errorf("a trusted port has keys: %v", ids)
	}
}

func TestPortsComeAndGo(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.guard("br0")
	h.run(never)
	var names []string
	for i := range 20 {
		name := fmt.Sprintf("tap%d", i)
		names = append(names, name)
		h.vif("br0", name, i+1, fmt.Sprintf("attached-mac=52:54:00:00:01:%02x", i), "allowed-addresses=192.0.2.1")
	}
	for _, n := range names {
		h.await(n, "state=enforced")
	}
	h.mustBeInForce("br0")

	t.Run("one vanishes", func(t *testing.T) {
		h.MustDelPort("tap3")
		h.awaitExact("br0")
	})
	t.Run("many in one transaction", func(t *testing.T) {
		var args []string
		for i := 4; i < 12; i++ {
			args = append(args, "--", "del-port", fmt.Sprintf("tap%d", i))
		}
		args = append(args, "--", "set", "Interface", "tap12", "external_ids:port-security=mac")
		h.MustVsctl(args[1:]...)
		h.await("tap12", "checks=mac")
		h.awaitExact("br0")
	})
	t.Run("deleted and added again in one transaction, with another number", func(t *testing.T) {
		h.MustVsctl("del-port", "tap13", "--", "add-port", "br0", "tap13", "--",
			"set", "Interface", "tap13", "type=dummy", "ofport_request=77", `external_ids:attached-mac="52:54:00:00:01:0d"`)
		h.await("tap13", "state=enforced", "checks=mac")
		h.awaitExact("br0")
	})
	t.Run("number changes", func(t *testing.T) {
		h.MustVsctl("set", "Interface", "tap14", "ofport_request=78")
		h.awaitPort("tap14", 78)
		h.awaitExact("br0")
	})
	t.Run("no OpenFlow port yet", func(t *testing.T) {
		h.MustVsctl("add-port", "br0", "late", "--", "set", "Interface", "late", "type=nonesuch", `external_ids:attached-mac="52:54:00:00:01:ee"`, "external_ids:port-security-seq=1")
		h.await("late", "state=pending", "seq=")
	})
}

// Each status that is written has ovs-vswitchd look at all its ports again. So a VIF that
// only takes the usual time isn't called pending, neither at a cold start nor when it is
// plugged.
func TestOnlyWhatTakesLongIsPending(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	for i := range 20 {
		h.vif("br0", fmt.Sprintf("tap%d", i), i+1, mac1)
	}
	h.guard("br0")
	h.run(never)
	h.await("tap19", "state=enforced")
	for i := 20; i < 25; i++ {
		h.vif("br0", fmt.Sprintf("tap%d", i), i+1, mac1)
	}
	h.await("tap24", "state=enforced")
	if log := h.log.String(); strings.Contains(log, "waits for") {
		t.Errorf("VIFs were pending:\n%s", log)
	}
}

// A VIF that has its port is pending as long as its switch can't be reached.
func TestUnreachableSwitchIsPending(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.guard("br0")
	h.start(agent.Config{CheckInterval: never, RunDir: t.TempDir()})
	h.await("tap1", "state=pending")
}

func TestStopLeavesFlowsAndRestartSendsNothing(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "tap2", 2, mac2, "port-security=mac,arp", "allowed-address-pairs=192.0.2.9@00:00:5e:00:01:01")
	h.guard("br0")
	h.run(never)
	h.await("tap2", "state=enforced")
	h.stop()
	h.mustBeInForce("br0")

	before := h.MustOfctl("dump-flows", "--no-stats", "br0")
	spoof(h, "tap1") // a counter that a needless flow-mod would show in
	h.log.Reset()
	h.run(50 * time.Millisecond)
	h.MustSetIDs("tap2", pairs([]string{"port-security-seq=1"}))
	h.await("tap2", "seq=1")
	if after := h.MustOfctl("dump-flows", "--no-stats", "br0"); after != before {
		t.Errorf("flows differ after a restart:\n%s\n%s", before, after)
	}
	if strings.Contains(h.log.String(), "flows brought to") || strings.Contains(h.log.String(), "drifted") {
		t.Error("the agent sent flow-mods though nothing had changed")
	}
	if got := dropsOf(h, "tap1")[model.ReasonMAC]; got != 1 {
		t.Errorf("tap1's mac counter is %d after the restart, want 1", got)
	}

	t.Run("what changed meanwhile is applied, and vanished ports' flows go", func(t *testing.T) {
		h.stop()
		h.MustDelPort("tap2")
		h.MustSetIDs("tap1", pairs([]string{"port-security=mac"}))
		h.run(never)
		h.await("tap1", "checks=mac")
		h.awaitExact("br0")
	})
}

func TestCountersSurviveOtherVIFsChanges(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "tap2", 2, mac2)
	h.guard("br0")
	h.run(50 * time.Millisecond)
	h.await("tap1", "state=enforced")
	h.await("tap2", "state=enforced")
	spoof(h, "tap1")
	h.MustSetIDs("tap2", pairs([]string{"port-security=mac,arp", "port-security-seq=2"}))
	h.await("tap2", "seq=2")
	h.vif("br0", "tap3", 3, "attached-mac=52:54:00:00:00:03")
	h.await("tap3", "state=enforced")
	if got := dropsOf(h, "tap1")[model.ReasonMAC]; got != 1 {
		t.Errorf("tap1's mac counter is %d, want 1", got)
	}
	// A change of its own keeps what still counts the same.
	h.MustSetIDs("tap1", pairs([]string{"allowed-addresses=192.0.2.1,192.0.2.2", "port-security-seq=3"}))
	h.await("tap1", "seq=3")
	if got := dropsOf(h, "tap1")[model.ReasonMAC]; got != 1 {
		t.Errorf("tap1's mac counter is %d after a change of its own addresses, want 1", got)
	}
	// Another interface that takes over the number starts from zero.
	h.MustVsctl("del-port", "tap1", "--", "add-port", "br0", "tap4", "--",
		"set", "Interface", "tap4", "type=dummy", "ofport_request=1", `external_ids:attached-mac="52:54:00:00:00:01"`)
	h.await("tap4", "state=enforced")
	h.awaitExact("br0")
	if got := dropsOf(h, "tap4")[model.ReasonMAC]; got != 0 {
		t.Errorf("tap4 inherited a mac counter of %d", got)
	}
}

func TestOptOut(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.vif("br0", "tap2", 2)
	before := h.MustOfctl("dump-flows", "--no-stats", "br0")
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced")
	if mode := h.MustOfctl("get-frags", "br0"); !strings.Contains(mode, "nx-match") {
		t.Errorf("fragment mode while guarded: %s", mode)
	}
	for name, optOut := range map[string][]string{
		"key removed": {"remove", "Bridge", "br0", "external_ids", "port-security"},
		"off":         {"set", "Bridge", "br0", "external_ids:port-security=off"},
	} {
		t.Run(name, func(t *testing.T) {
			h.MustVsctl(optOut...)
			h.await("tap1", "state=", "checks=")
			if after := h.MustOfctl("dump-flows", "--no-stats", "br0"); after != before {
				t.Errorf("flows after the opt-out:\n%swant:\n%s", after, before)
			}
			if mode := h.MustOfctl("get-frags", "br0"); !strings.Contains(mode, "normal") {
				t.Errorf("fragment mode after the opt-out: %s", mode)
			}
			h.guard("br0")
			h.await("tap1", "state=enforced")
			h.mustBeInForce("br0")
		})
	}
	t.Run("while the agent was down", func(t *testing.T) {
		h.stop()
		h.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security")
		h.run(never)
		h.await("tap1", "state=", "checks=")
		if n := h.ownFlows("br0"); n != 0 {
			t.Errorf("%d flows left", n)
		}
	})
}

func TestSeveralBridges(t *testing.T) {
	h := newHost(t)
	for _, b := range []string{"br0", "br1", "br2"} {
		h.MustBridge(b)
		h.vif(b, "tap-"+b, 1, mac1)
	}
	before := h.MustOfctl("dump-flows", "--no-stats", "br2")
	h.MustOfctl("add-flow", "br1", "table=0,priority=1,actions=goto_table:20")
	h.guard("br0")
	h.guard("br1", "port-security-first-table=20", "port-security-exit-table=3")
	h.run(never)
	h.await("tap-br0", "state=enforced")
	h.await("tap-br1", "state=enforced")
	h.mustBeInForce("br0")
	h.mustBeInForce("br1")
	if after := h.MustOfctl("dump-flows", "--no-stats", "br2"); after != before {
		t.Errorf("a bridge that didn't opt in was changed:\n%s", after)
	}
	if ids := h.MustIDs("tap-br2"); len(ids) != 1 {
		t.Errorf("a port of a bridge that didn't opt in was changed: %v", ids)
	}
	h.MustVsctl("del-br", "br0")
	h.guard("br2")
	h.await("tap-br2", "state=enforced")
	h.mustBeInForce("br2")
}

func TestBridgeThatCantBeUsedIsLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		settings []string
		want     string
	}{
		"protocols":   {[]string{"protocols=OpenFlow10"}, `protocols: "OpenFlow10" excludes OpenFlow13`},
		"first table": {[]string{"external_ids:port-security-first-table=300"}, `port-security-first-table: "300" is not valid`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.MustBridge("br0", test.settings...)
			h.vif("br0", "tap1", 1, mac1)
			h.guard("br0")
			h.run(never)
			h.await("tap1", "state=pending")
			if got := h.MustIDs("tap1")[model.KeyStatusError]; !strings.Contains(got, test.want) {
				t.Errorf("error %q doesn't say %q", got, test.want)
			}
			if dump := h.MustVsctl("get", "Bridge", "br0", "protocols"); name == "protocols" && !strings.Contains(dump, "OpenFlow10") {
				t.Errorf("protocols were changed: %s", dump)
			}
		})
	}
}

// A port that says nothing is blocked where the bridge asks for that, and only there.
func TestUnmarkedPorts(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "plain", 1)
	h.vif("br0", "marked", 2, "port-security=off")
	h.vif("br0", "sink", 3, "port-security=off")
	h.guard("br0")
	h.run(never)
	h.await("marked", "state=off")
	frame := func() []byte {
		return lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:77"), addr("192.0.2.77"))
	}
	for _, step := range []struct {
		unmarked string
		passes   bool
	}{{"", true}, {"block", false}, {"trust", true}} {
		if step.unmarked != "" {
			h.MustVsctl("set", "Bridge", "br0", "external_ids:port-security-unmarked="+step.unmarked)
		}
		state := "state="
		if !step.passes {
			state = "state=blocked"
		}
		h.await("plain", state)
		if got := h.MustReach("plain", frame())["sink"] != nil; got != step.passes {
			t.Errorf("unmarked=%q: the frame passes: %v, want %v", step.unmarked, got, step.passes)
		}
		if h.MustReach("marked", frame())["sink"] == nil {
			t.Errorf("unmarked=%q: a port marked off is blocked", step.unmarked)
		}
		if h.MustReach("br0", frame())["sink"] == nil {
			t.Errorf("unmarked=%q: the bridge's own port is blocked", step.unmarked)
		}
	}
}

// A port that the agent doesn't know sends nothing, and that is counted.
func TestUnknownPort(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "sink", 1)
	h.guard("br0")
	h.run(never)
	h.awaitExact("br0")
	h.stop()
	h.vif("br0", "new", 2)
	if got := h.MustReach("new", lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:77"), addr("192.0.2.77"))); len(got) != 0 {
		t.Errorf("its frame reached %d ports", len(got))
	}
	h.MustPurge()
	if n := h.inspect("br0").UnknownPort; n != 1 {
		t.Errorf("unknown-port counter %d, want 1", n)
	}
	h.run(never)
	lab.Eventually(h.t, "the new port to work", func() error {
		if h.MustReach("new", lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:77"), addr("192.0.2.77")))["sink"] == nil {
			return fmt.Errorf("its frame doesn't arrive")
		}
		return nil
	})
}
