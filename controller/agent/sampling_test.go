package agent_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
	"github.com/vifguard/vifguard/test/lab"
)

// socket is the agent's control socket.
func (h *host) socket() string { return filepath.Join(h.Dir, "control.sock") }

// newSampled is a host with a VIF tap1 on br0, whose agent has it sampled.
func newSampled(t testing.TB, rate int) *host {
	t.Helper()
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.guard("br0")
	h.sample(never, rate)
	h.await("tap1", "state=enforced")
	return h
}

// sample starts an agent whose switch samples.
func (h *host) sample(check time.Duration, rate int) {
	h.t.Helper()
	h.start(agent.Config{CheckInterval: check, SampleRate: rate, ControlSocket: h.socket(), StateDir: filepath.Join(h.Dir, "state")})
}

// events returns what the agent tells.
func (h *host) events() []drops.Event {
	h.t.Helper()
	var list []drops.Event
	err := control.Drops(context.Background(), h.socket(), "", false, func(e *drops.Event) error { list = append(list, *e); return nil })
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

func (h *host) awaitEvents(n int) []drops.Event {
	h.t.Helper()
	var list []drops.Event
	lab.Eventually(h.t, fmt.Sprintf("%d events", n), func() error {
		if list = h.events(); len(list) < n {
			return fmt.Errorf("%v", list)
		}
		return nil
	})
	return list
}

func (h *host) uuid(port string) string {
	return strings.TrimSpace(h.MustVsctl("get", "Interface", port, "_uuid"))
}

var (
	ignoreTime = cmpopts.IgnoreFields(drops.Event{}, "Time")
	byValue    = cmpopts.EquateComparable(frame.Claim{})
	mallory    = lab.MustMAC("52:54:00:00:00:66")
	everybody  = lab.MustMAC("ff:ff:ff:ff:ff:ff")
)

// One real frame that is dropped is one event that says whose it was, why it was
// dropped, and what it claimed.
func TestDropIsTold(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, "attached-mac=52:54:00:00:00:66", "allowed-addresses=192.0.2.1", "vm-id=4711", "vm-name=web1")
	h.vif("br0", "tap2", 2, mac2, "port-security=mac", "port-security-action=observe")
	h.guard("br0")
	h.sample(never, 10)
	h.await("tap1", "state=enforced")
	h.await("tap2", "state=observed")
	theft := lab.GratuitousARP(mallory, addr("192.0.2.254"))
	h.MustInject("tap1", theft)
	h.awaitEvents(1)
	if got := h.MustReach("tap2", theft); got["tap1"] == nil {
		t.Error("an observed frame doesn't pass")
	}
	claim := frame.Claim{EthSrc: mallory, EtherType: 0x0806, Kind: "ARP request", SHA: mallory, SPA: addr("192.0.2.254")}
	want := []drops.Event{
		{VIF: drops.VIF{Bridge: "br0", Port: "tap1", UUID: h.uuid("tap1"), VM: "4711", VMName: "web1"}, Reason: "arp", EthDst: everybody, Claim: claim,
			Frame: "ARP announcement: 192.0.2.254 is at 52:54:00:00:00:66"},
		{VIF: drops.VIF{Bridge: "br0", Port: "tap2", UUID: h.uuid("tap2")}, Reason: "mac", Passed: true, EthDst: everybody, Claim: claim,
			Frame: "ARP announcement: 192.0.2.254 is at 52:54:00:00:00:66"},
	}
	if diff := cmp.Diff(want, h.awaitEvents(2), ignoreTime, byValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, line := range []string{"bridge=br0 port=tap1 reason=arp", "dropped arp: ARP announcement: 192.0.2.254", "would drop mac: ARP announcement"} {
		if !strings.Contains(h.log.String(), line) {
			t.Errorf("the log doesn't say %q", line)
		}
	}
	h.mustBeInForce("br0")
}

// A flood costs a few samples and lines, and the sums are exact.
func TestFlood(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.guard("br0")
	h.sample(never, 10)
	h.await("tap1", "state=enforced")
	began := time.Now()
	const frames = 20000
	spoofed := lab.RARPAnnounce(mallory)
	h.flood("tap1", spoofed, frames)
	// What comes while the meter is used up isn't hidden by that.
	h.MustInject("tap1", lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:01"), addr("192.0.2.254")))
	h.MustPurge()
	if got := dropsOf(h, "tap1")[model.ReasonMAC]; got != frames {
		t.Errorf("the switch counted %d, want %d", got, frames)
	}
	var list []drops.Event
	lab.EventuallyWithin(h.t, 4*drops.Window, "every frame to be told", func() error {
		list = h.events()
		told, other := uint64(0), 0
		for _, e := range list {
			if e.Reason == "arp" {
				other++
				continue
			}
			if e.More != nil {
				told += e.More.Packets
			} else {
				told++
			}
			if e.More != nil && !e.More.Exact {
				return fmt.Errorf("not exact: %v", e.More)
			}
		}
		if other != 1 {
			return fmt.Errorf("the ARP lie in the flood is told %d times: %v", other, list)
		}
		if told != frames {
			return fmt.Errorf("%d of %d frames are told: %v", told, frames, list)
		}
		return nil
	})
	seconds := time.Since(began).Seconds()
	if limit := 3 + int(seconds/drops.Window.Seconds()); len(list) > limit {
		t.Errorf("%d events in %.0f s, want at most %d", len(list), seconds, limit)
	}
	report, err := control.Claims(t.Context(), h.socket())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.VIFs) != 1 || report.VIFs[0].Drops["mac"] != frames || report.VIFs[0].Drops["arp"] != 1 {
		t.Fatalf("%+v", report)
	}
	flood := slices.DeleteFunc(report.VIFs[0].Claims, func(s drops.ClaimCount) bool { return s.Reason != "mac" })
	if len(flood) != 1 {
		t.Fatalf("%+v", report)
	}
	seen := flood[0]
	if limit := uint64(10 + 10*seconds + 1); seen.Samples > limit {
		t.Errorf("%d samples in %.0f s, want at most %d", seen.Samples, seconds, limit)
	}
	t.Logf("%d frames in %.1f s: %d samples, %d events", frames, seconds, seen.Samples, len(list))
}

// flood injects a frame many times, as fast as the switch takes it, and returns when all
// are processed.
func (h *host) flood(port string, frame []byte, n int) {
	h.t.Helper()
	const batch = 50 // a port holds 100
	args := append([]string{"netdev-dummy/receive", port}, slices.Repeat([]string{hex.EncodeToString(frame)}, batch)...)
	for sent := h.received(port); n > 0; n -= batch {
		h.MustAppctl(args...)
		sent += batch
		lab.Eventually(h.t, "the switch to take the frames", lab.True(func() bool { return h.received(port) == sent }))
	}
}

// received returns how many frames a port has taken from its queue.
func (h *host) received(port string) int {
	h.t.Helper()
	at := ""
	for line := range strings.Lines(h.MustAppctl("dpctl/show", "-s")) {
		var n int
		switch words := strings.Fields(line); {
		case len(words) >= 3 && words[0] == "port":
			at = words[2]
		case at == port && len(words) >= 2 && words[0] == "RX":
			if _, err := fmt.Sscanf(words[1], "packets:%d", &n); err != nil {
				h.t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// A restart changes nothing on the switch, remembers the claims, and tells of nothing
// that was dropped before.
func TestRestartChangesNothing(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.guard("br0")
	h.MustOfctl("add-meter", "br0", "meter=5,pktps,band=type=drop,rate=7")
	h.sample(never, 10)
	h.await("tap1", "state=enforced")
	h.MustInject("tap1", lab.RARPAnnounce(mallory))
	h.awaitEvents(1)
	before, err := control.Claims(t.Context(), h.socket())
	if err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.MustAppctl("vlog/set", "vconn:file:dbg")
	meters := h.MustOfctl("dump-meters", "br0")
	h.log.Reset()
	h.sample(frequent, 10)
	lab.Eventually(h.t, "the agent to answer", func() error {
		_, err := control.Claims(t.Context(), h.socket())
		return err
	})
	lab.Eventually(h.t, "the agent to sample again, so that it has compared", func() error {
		h.MustInject("tap1", lab.RARPAnnounce(mallory))
		if list := h.events(); len(list) != 1 {
			return fmt.Errorf("%v", list)
		}
		return nil
	})
	received := h.messages()
	if received["NXT_SET_PACKET_IN_FORMAT"] != 1 || received["OFPST_FLOW"] == 0 {
		t.Errorf("the agent has done nothing, or the log isn't complete: %v", received)
	}
	changes := []string{"ONFT_BUNDLE_ADD_MESSAGE", "OFPT_METER_MOD"} // bundles hold flow-mods
	for _, change := range changes {
		if received[change] != 0 {
			t.Errorf("the agent changed the switch: %v", received)
		}
	}
	if diff := cmp.Diff(meters, h.MustOfctl("dump-meters", "br0")); diff != "" {
		t.Errorf("meters (-before +after):\n%s", diff)
	}
	after, err := control.Claims(t.Context(), h.socket())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := before.VIFs[0].Claims[0], after.VIFs[0].Claims[0]; b.Samples <= a.Samples || !b.First.Equal(a.First) || after.VIFs[0].Drops["mac"] != 2 {
		t.Errorf("claims before %+v, after %+v", before, after)
	}
	// Without samples the flows are as they always were, and only foreign meters are left.
	h.stop()
	h.sample(never, 0)
	lab.Eventually(h.t, "our meters to be gone", func() error {
		if left := h.MustOfctl("dump-meters", "br0"); strings.Count(left, "meter=") != 1 || !strings.Contains(left, "meter=5 ") {
			return fmt.Errorf("%s", left)
		}
		return nil
	})
	received = h.messages()
	for _, change := range changes {
		if received[change] == 0 {
			t.Errorf("this change isn't logged: %s: %v", change, received)
		}
	}
	if dump := h.MustOfctl("dump-flows", "br0"); strings.Contains(dump, "controller") {
		t.Errorf("samples are left:\n%s", dump)
	}
	h.awaitExact("br0")
}

// messages returns how often the switch has received each kind of OpenFlow message since
// it was told to log them.
func (h *host) messages() map[string]int {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.Dir, "vswitchd.log"))
	if err != nil {
		h.t.Fatal(err)
	}
	n := make(map[string]int)
	for _, m := range regexp.MustCompile(`received: (\w+)`).FindAllStringSubmatch(string(text), -1) {
		n[m[1]]++
	}
	return n
}

// Meters that somebody deletes come back, and the flows refer to them again: one that
// is left with a meter that is gone would send without limit.
func TestMetersAreRepaired(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.vif("br0", "tap2", 2, mac2)
	h.guard("br0")
	h.sample(frequent, 10)
	h.await("tap1", "state=enforced")
	h.await("tap2", "state=enforced")
	ours := func() int { return strings.Count(h.MustOfctl("dump-meters", "br0"), "rate=10 burst_size=10") }
	if n := ours(); n != 3 {
		t.Errorf("%d meters, want 3", n)
	}
	h.MustOfctl("del-meters", "br0")
	lab.Eventually(h.t, "the meters to come back", func() error {
		if n := ours(); n != 3 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	h.MustOfctl("mod-meter", "br0", fmt.Sprintf("meter=%d,pktps,burst,band=type=drop,rate=999,burst_size=999", flows.SampleMeter(1)))
	lab.Eventually(h.t, "the meter's rate to come back", func() error {
		if n := ours(); n != 3 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	began := time.Now()
	h.flood("tap1", lab.RARPAnnounce(mallory), 1000)
	h.awaitEvents(1)
	report, err := control.Claims(t.Context(), h.socket())
	if err != nil {
		t.Fatal(err)
	}
	if n, limit := report.VIFs[0].Claims[0].Samples, uint64(11+10*time.Since(began).Seconds()); n > limit {
		t.Errorf("%d samples, want at most %d: the flows have lost their meter", n, limit)
	}
	// A port that goes takes its meter with it, and a new one has its own.
	h.MustDelPort("tap2")
	lab.Eventually(h.t, "its meter to be gone", func() error {
		if n := ours(); n != 2 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	h.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security")
	lab.Eventually(h.t, "all meters to be gone", func() error {
		if n := ours(); n != 0 || h.ownFlows("br0") != 0 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}

// Without its meters between two comparisons a VIF's new policy still comes into force.
func TestMissingMeterBlocksNobody(t *testing.T) {
	h := newSampled(t, 10)
	h.MustOfctl("del-meters", "br0")
	h.MustSetIDs("tap1", pairs([]string{"port-security=mac,arp", "port-security-seq=1"}))
	h.await("tap1", "state=enforced", "checks=mac,arp", "seq=1", "error=")
	h.awaitExact("br0")
	if strings.Contains(h.log.String(), "level=error") {
		t.Error("it is an error")
	}
	h.MustInject("tap1", lab.RARPAnnounce(mallory))
	h.awaitEvents(1)
}

// Whatever a guest sends, the agent goes on.
func TestHostileFrames(t *testing.T) {
	h := newSampled(t, 1000)
	for _, f := range [][]byte{
		lab.Ether(everybody, mallory, 0x0800, []byte{0x40}),
		lab.Ether(everybody, mallory, 0x0800, bytes.Repeat([]byte{0xff}, 46)),
		lab.Ether(everybody, mallory, 0x0806, bytes.Repeat([]byte{0xff}, 3)),
		lab.Ether(everybody, mallory, 0x86dd, bytes.Repeat([]byte{0}, 40)),
		lab.Ether(everybody, mallory, 0x8100, bytes.Repeat([]byte{0x81, 0}, 700)),
		lab.Ether(everybody, mallory, 0x0001, []byte("\x1b[2J\n")),
		lab.Ether(everybody, mallory, 0x86dd, append([]byte{0x60, 0, 0, 0, 0xff, 0xff, 0, 255}, bytes.Repeat([]byte{0}, 1400)...)),
	} {
		h.MustInject("tap1", f)
	}
	h.MustBarrier()
	h.MustInject("tap1", lab.GratuitousARP(mallory, addr("192.0.2.7")))
	lab.Eventually(h.t, "the last claim", func() error {
		report, err := control.Claims(t.Context(), h.socket())
		if err != nil {
			return err
		}
		if len(report.VIFs) != 1 {
			return fmt.Errorf("%v", report)
		}
		for _, s := range report.VIFs[0].Claims {
			if s.Claim.SPA == addr("192.0.2.7") {
				return nil
			}
		}
		return fmt.Errorf("%+v", report)
	})
	if strings.Contains(h.log.String(), "session lost") || strings.ContainsRune(h.log.String(), '\x1b') {
		t.Errorf("the log: %s", h.log)
	}
}
