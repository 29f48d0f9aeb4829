package agent_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// A real guest that sends from other MACs all the time is cut off within seconds, costs
// the switch a handful of megaflows and the others nothing, and works again by itself.
func TestFloodIsQuarantined(t *testing.T) {
	const limit, rate, length = 500, 3000, 8 * time.Second
	h := newHostOn(t, lab.Userspace)
	h.tune = func(a *agent.Agent) { a.SetFloodTimes(time.Second, length, time.Minute, time.Minute) }
	h.MustBridge("br0")
	guest := func(n byte, keys ...string) *lab.Guest {
		return h.MustGuest("br0", lab.GuestOptions{
			Name: fmt.Sprintf("tap%d", n), MAC: lab.MAC{0x52, 0x54, 0, 0, 0, n}, OFPort: int(n), Quiet: true,
			Addresses:   []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 24)},
			ExternalIDs: pairs(append(keys, fmt.Sprintf("attached-mac=52:54:00:00:00:%02x", n), fmt.Sprintf("allowed-addresses=192.0.2.%d", n))),
		})
	}
	attacker, bystander, receiver := guest(1, fmt.Sprintf("port-security-flood=%d", limit)), guest(2), guest(3)
	h.guard("br0")
	h.sample(frequent, 10)
	for _, port := range []string{"tap1", "tap2", "tap3"} {
		h.await(port, "state=enforced", "flood=")
	}
	good := func(n byte) []byte {
		return lab.GratuitousARP(lab.MAC{0x52, 0x54, 0, 0, 0, n}, netip.AddrFrom4([4]byte{192, 0, 2, n}))
	}
	at := h.MustListen(receiver.NIC)
	if !h.MustPass(attacker.NIC, good(1), good(1), at) {
		t.Fatal("a good frame doesn't pass before the flood")
	}

	began := time.Now()
	end := h.floodMACs(attacker, rate)
	defer end()
	h.await("tap1", "state=quarantined", "checks=mac,arp,ip")
	took := time.Since(began)
	t.Logf("quarantined after %s", took)
	if took > 5*time.Second { // it is 3 at most, and the machine may be busy
		t.Errorf("that is late")
	}
	if got := h.MustIDs("tap1")["vifguard-flood"]; !regexp.MustCompile(`^8s until 20\S+Z: [0-9]{3,5} refused frames/s, the limit is 500$`).MatchString(got) {
		t.Errorf("vifguard-flood is %q", got)
	}
	h.awaitLog("the VIF floods with frames that are refused")
	series := h.scrape()
	if series[`vifguard_vifs{bridge="br0",state="quarantined"}`] != 1 || series[`vifguard_quarantines_total{bridge="br0"}`] != 1 {
		t.Errorf("metrics: %v", series)
	}
	if p := h.inspect("br0").Ports; !p[1].Quarantined || !p[1].InForce || p[2].Quarantined {
		t.Errorf("inspection: %+v", p)
	}
	h.mustBeInForce("br0")

	// The flood goes on. What it has left of megaflows goes away by itself after a while.
	h.MustPurge()
	refused := dropsOf(h, "tap1")[model.ReasonMAC]
	time.Sleep(time.Second)
	if n := strings.Count(h.MustAppctl("dpctl/dump-flows"), "\n"); n > 20 {
		t.Errorf("%d megaflows", n)
	}
	h.MustPurge()
	if after := dropsOf(h, "tap1"); after[model.ReasonMAC] != refused || after[model.ReasonFlood] < rate/2 {
		t.Errorf("%v were counted after a quarantined second, and %d of reason mac before it", after, refused)
	}
	if !h.MustPass(bystander.NIC, good(2), good(2), at) {
		t.Error("another VIF's frame doesn't pass")
	}
	marked, trailer := lab.Mark(good(1))
	if err := attacker.Send(marked); err != nil {
		t.Fatal(err)
	}
	h.MustPass(bystander.NIC, good(2), good(2), at)
	if heard(t, at, trailer) {
		t.Error("a good frame of the quarantined VIF passes")
	}
	end()
	told := func(e drops.Event) bool { return e.Port == "tap1" && e.Reason == "flood" }
	if !slices.ContainsFunc(h.events(), told) {
		t.Error("no dropped frame is told of")
	}
	claims, err := control.Claims(t.Context(), h.socket())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range claims.VIFs {
		if slices.ContainsFunc(v.Claims, func(s drops.ClaimCount) bool { return s.Reason == "flood" }) {
			t.Errorf("what was dropped in quarantine counts as a claim: %v", v.Claims)
		}
	}
	if state := h.MustIDs("tap1")["vifguard-state"]; state != "quarantined" {
		t.Errorf("state %s, too early to tell anything of the above", state)
	}

	h.await("tap1", "state=enforced")
	if over := time.Since(began) - took; over > length+2*time.Second {
		t.Errorf("it lasted %s", over)
	}
	h.MustPurge()
	if !h.MustPass(attacker.NIC, good(1), good(1), at) {
		t.Error("a good frame doesn't pass afterwards")
	}
	h.awaitLog("quarantine over")
	h.mustBeInForce("br0")
	if after := dropsOf(h, "tap1"); after[model.ReasonMAC] < refused || after[model.ReasonFlood] == 0 {
		t.Errorf("counters afterwards: %v", after)
	}
	if got := h.MustIDs("tap1")["vifguard-flood"]; got == "" {
		t.Error("afterwards nothing tells of the flood")
	}
	if strings.Contains(h.log.String(), "drifted") {
		t.Error("a quarantine is taken for drift")
	}
}

// floodMACs sends frames from a guest at a rate, each from another MAC, until the
// returned function is called.
func (h *host) floodMACs(g *lab.Guest, rate int) (end func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	sent := make(chan error, 1)
	go func() {
		spoofed := lab.Pad(lab.RARPAnnounce(mallory))
		begin := time.Now()
		for n := 0; ctx.Err() == nil; n++ {
			binary.BigEndian.PutUint32(spoofed[8:], uint32(n)*2654435761)
			if err := g.Send(spoofed); err != nil {
				sent <- err
				return
			}
			time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		}
		sent <- nil
	}()
	done := false
	return func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-sent; err != nil {
			h.t.Error(err)
		}
	}
}

// heard reports whether a listener has received a marked frame.
func heard(t *testing.T, at *lab.Listener, trailer []byte) bool {
	t.Helper()
	frames, err := at.Frames()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if lab.HasTrailer(trailer)(f) {
			return true
		}
	}
	return false
}

// newFlooded is a host with a sink and a VIF that may have 100 frames a second refused.
// Its agent looks often, so that tests needn't wait long.
func newFlooded(t *testing.T, length time.Duration, keys ...string) *host {
	t.Helper()
	h := newHost(t)
	h.tune = func(a *agent.Agent) {
		a.SetFloodTimes(100*time.Millisecond, length, 4*length, time.Minute)
	}
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, append([]string{mac1, "allowed-addresses=192.0.2.1", "port-security-flood=100"}, keys...)...)
	h.vif("br0", "sink", 9)
	h.guard("br0")
	h.sample(frequent, 10)
	h.awaitExact("br0")
	return h
}

// quarantine floods until the VIF is quarantined.
func (h *host) quarantine() {
	h.t.Helper()
	h.flood("tap1", lab.RARPAnnounce(mallory), 2000)
	h.await("tap1", "state=quarantined")
}

// passes reports whether a good frame of the VIF passes.
func (h *host) passes() bool {
	h.t.Helper()
	h.MustPurge()
	return h.MustReach("tap1", lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:01"), addr("192.0.2.1")))["sink"] != nil
}

// Below its limit, without one, and where it is only observed, nothing happens to a VIF
// whatever it sends. Where nobody has a limit that counts, the switch isn't even asked.
func TestNoQuarantine(t *testing.T) {
	for name, test := range map[string]struct {
		key  string
		asks bool
	}{
		"high limit":     {"port-security-flood=100000", true},
		"off":            {"port-security-flood=off", false},
		"unusable limit": {"port-security-flood=many", false},
		"observed":       {"port-security-action=observe", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFlooded(t, time.Minute, test.key)
			h.MustAppctl("vlog/set", "vconn:file:dbg")
			h.flood("tap1", lab.RARPAnnounce(mallory), 2000)
			h.MustPurge()
			time.Sleep(time.Second)
			if ids := h.MustIDs("tap1"); ids["vifguard-state"] == "quarantined" || ids["vifguard-flood"] != "" || !h.passes() {
				t.Errorf("it is: %v", ids)
			}
			if n := dropsOf(h, "tap1")[model.ReasonMAC]; n != 2000 {
				t.Errorf("only %d frames were refused", n)
			}
			if m := h.messages(); (m["OFPST_TABLE"] > 0) != test.asks || len(m) == 0 {
				t.Errorf("the switch is asked: %v", m)
			}
			h.mustBeInForce("br0")
		})
	}
}

// A quarantine outlives whatever happens to the session and to its flow, follows the
// VIF to another port number, and is no drift.
func TestQuarantineHolds(t *testing.T) {
	h := newFlooded(t, time.Minute)
	h.quarantine()
	h.MustAppctl("bridge/reconnect", "br0")
	h.awaitLog("OpenFlow session lost")
	h.awaitMetric(`vifguard_bridge_connected{bridge="br0"}`, 1)
	h.awaitExact("br0")
	if h.passes() || !h.inspect("br0").Ports[2].Quarantined {
		t.Error("it ended with the session")
	}
	if strings.Contains(h.log.String(), "drifted") || strings.Contains(h.log.String(), "brought to") && strings.Count(h.log.String(), "brought to") > 1 {
		t.Error("the flows were changed after the session")
	}
	h.MustSetIDs("tap1", pairs([]string{"allowed-addresses=192.0.2.1,192.0.2.2", "port-security-seq=1"}))
	h.await("tap1", "state=quarantined", "seq=1")
	h.MustVsctl("set", "Interface", "tap1", "ofport_request=5")
	h.awaitPort("tap1", 5)
	h.awaitExact("br0")
	h.await("tap1", "state=quarantined")
	if h.passes() {
		t.Error("it ended with the port number")
	}
	h.MustOfctl("del-flows", "br0")
	h.awaitExact("br0")
	if h.passes() {
		t.Error("it ended with its flow")
	}
	h.MustDelPort("tap1")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1", "port-security-flood=100")
	h.await("tap1", "state=enforced", "flood=")
	h.awaitExact("br0")
	if !h.passes() {
		t.Error("another VIF of the same name is quarantined")
	}
}

// Who lifts the limit, lifts the quarantine. The key tells of it as long as there is a
// limit.
func TestQuarantineEndsWithItsLimit(t *testing.T) {
	for name, test := range map[string]struct {
		change []string
		state  string
		told   bool
	}{
		"removed":  {[]string{"port-security-flood="}, "enforced", false},
		"off":      {[]string{"port-security-flood=off"}, "enforced", false},
		"raised":   {[]string{"port-security-flood=1000000"}, "enforced", true},
		"observed": {[]string{"port-security-action=observe"}, "observed", true},
		"blocked":  {[]string{"port-security=block"}, "blocked", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFlooded(t, time.Minute)
			h.quarantine()
			h.MustSetIDs("tap1", pairs(append(test.change, "port-security-seq=1")))
			h.await("tap1", "state="+test.state, "seq=1")
			h.mustBeInForce("br0")
			if h.passes() == (test.state == "blocked") {
				t.Error("the state isn't that of its frames")
			}
			if told := h.MustIDs("tap1")["vifguard-flood"] != ""; told != test.told {
				t.Errorf("vifguard-flood is there: %v, want %v", told, test.told)
			}
		})
	}
}

// The bridge's limit is that of its VIFs, as soon as it changes.
func TestQuarantineByTheBridgesLimit(t *testing.T) {
	h := newFlooded(t, time.Minute, "port-security-flood=off")
	h.MustSetIDs("tap1", pairs([]string{"port-security-flood="}))
	h.vif("br0", "tap2", 2, mac2)
	h.MustVsctl("set", "Bridge", "br0", "external_ids:port-security-flood=100")
	h.awaitExact("br0")
	h.quarantine()
	h.MustVsctl("set", "Bridge", "br0", "external_ids:port-security-flood=off")
	h.await("tap1", "state=enforced", "flood=")
	h.awaitExact("br0")
	if !h.passes() {
		t.Error("a good frame doesn't pass")
	}
}

// A VIF whose quarantine the switch refuses is blocked until it would be over.
func TestRefusedQuarantineBlocks(t *testing.T) {
	h := newFlooded(t, 3*time.Second)
	h.MustVsctl("--", "--id=@t", "create", "Flow_Table", fmt.Sprintf("flow_limit=%d", h.inStage("br0", flows.StagePort)), "overflow_policy=refuse",
		"--", "set", "Bridge", "br0", fmt.Sprintf("flow_tables:%d=@t", flows.StagePort))
	h.flood("tap1", lab.RARPAnnounce(mallory), 2000)
	h.await("tap1", "state=blocked", "checks=")
	if got := h.MustIDs("tap1")["vifguard-error"]; !strings.Contains(got, "the switch refused to add the flow") {
		t.Errorf("error: %q", got)
	}
	h.await("tap1", "state=enforced", "checks=mac,arp,ip", "error=")
	h.awaitExact("br0")
}

// A VIF that goes on is quarantined for longer each time.
func TestQuarantineIsRepeated(t *testing.T) {
	h := newFlooded(t, 2*time.Second)
	h.quarantine()
	first := h.MustIDs("tap1")["vifguard-flood"]
	h.await("tap1", "state=enforced")
	h.quarantine()
	second := h.MustIDs("tap1")["vifguard-flood"]
	if !strings.HasPrefix(first, "2s until ") || !strings.HasPrefix(second, "4s until ") {
		t.Errorf("%q and then %q", first, second)
	}
}

// Without an agent the switch ends a quarantine by itself. An agent that is started again
// knows of none.
func TestQuarantineNeedsNoAgent(t *testing.T) {
	h := newFlooded(t, time.Second)
	h.quarantine()
	h.stop()
	if h.passes() {
		t.Error("it ended with the agent")
	}
	lab.Eventually(h.t, "the switch to end it", func() error {
		if h.inspect("br0").Ports[2].Quarantined {
			return errors.New("it hasn't")
		}
		return nil
	})
	h.mustBeInForce("br0")
	if !h.passes() {
		t.Error("a good frame doesn't pass")
	}
	h.sample(never, 10)
	h.await("tap1", "state=enforced")
	h.quarantine()
	h.stop()
	h.sample(never, 10)
	h.await("tap1", "state=enforced")
	h.awaitExact("br0")
}

// A bridge that opts out takes all quarantines with it.
func TestQuarantineEndsWithTheBridge(t *testing.T) {
	h := newFlooded(t, time.Minute)
	h.quarantine()
	h.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security")
	h.await("tap1", "state=", "flood=")
	if n := h.ownFlows("br0"); n != 0 {
		t.Errorf("%d flows are left", n)
	}
	h.guard("br0")
	h.await("tap1", "state=enforced", "flood=")
	if !h.passes() {
		t.Error("a good frame doesn't pass")
	}
}
