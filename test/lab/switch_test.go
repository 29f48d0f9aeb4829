package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain is a minimal frame from station n to everybody.
func plain(n byte) []byte {
	return []byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x02, 0, 0, 0, 0, n,
		0x88, 0xb5, n, n,
	}
}

// threePorts is a NORMAL bridge br0 with the ports p1, p2 and p3.
func threePorts(tb testing.TB) *T {
	sw := New(tb, Options{})
	sw.MustBridge("br0")
	for n := 1; n <= 3; n++ {
		sw.MustPort("br0", fmt.Sprintf("p%d", n), PortOptions{OFPort: n})
	}
	return sw
}

func TestNormalBridgeDelivers(t *testing.T) {
	sw := threePorts(t)
	frame := plain(1)
	want := map[string][]byte{"p2": frame, "p3": frame, "br0": frame}
	if diff := cmp.Diff(want, sw.MustReach("p1", frame)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestShortestFrameIsNeitherPaddedNorStripped(t *testing.T) {
	sw := threePorts(t)
	c := sw.MustSent("p2")
	short := plain(1)[:ethernetHeaderLen]
	sw.MustInject("p1", short)
	sw.MustBarrier()
	got, err := c.Frames()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]byte{short}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if err := sw.Inject("p1", short[:13]); err == nil {
		t.Error("13 bytes were injected without an error")
	}
}

func TestDropFlowIsNotDelivered(t *testing.T) {
	sw := threePorts(t)
	if ok, _ := sw.MustDeliver("p1", plain(1), "p2"); !ok {
		t.Error("before the flow: not delivered")
	}
	sw.MustOfctl("add-flow", "br0", "priority=9,in_port=1,actions=drop")
	if ok, _ := sw.MustDeliver("p1", plain(1), "p2"); ok {
		t.Error("delivered in spite of a drop flow")
	}
	if ok, _ := sw.MustDeliver("p3", plain(3), "p2"); !ok {
		t.Error("another port: not delivered")
	}
}

// Every change of the tables shows in the very next verdict.
func TestDeliverAgreesWithExpectation(t *testing.T) {
	sw := threePorts(t)
	const rounds, perRound = 10, 100
	start := time.Now()
	for round := range rounds {
		open := round%2 == 0
		actions := map[bool]string{true: "NORMAL", false: "drop"}[open]
		sw.MustOfctl("mod-flows", "br0", "actions="+actions)
		for n := range perRound {
			if ok, _ := sw.MustDeliver("p1", plain(byte(n)), "p2"); ok != open {
				t.Fatalf("round %d, frame %d: delivered %v", round, n, ok)
			}
		}
	}
	t.Logf("%.0f frames per second", rounds*perRound/time.Since(start).Seconds())
}

func TestDeliverFromManyGoroutines(t *testing.T) {
	sw := threePorts(t)
	sw.MustOfctl("add-flow", "br0", "priority=9,in_port=3,actions=drop")
	var wg sync.WaitGroup
	for n := range 3 {
		in := fmt.Sprintf("p%d", n+1)
		wg.Go(func() {
			for range 100 {
				ok, _, err := sw.Deliver(in, plain(byte(n)), "br0")
				if err != nil || ok != (in != "p3") {
					t.Errorf("%s: delivered %v, error %v", in, ok, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// More frames than a queue of the switch holds arrive, all and in order.
func TestInjectLosesNothing(t *testing.T) {
	sw := threePorts(t)
	c := sw.MustSent("p3")
	const frames = 2000
	for n := range frames {
		frame := append(plain(1), byte(n>>8), byte(n))
		sw.MustInject("p1", frame)
	}
	sw.MustBarrier()
	got, err := c.Frames()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != frames {
		t.Fatalf("%d of %d frames arrived", len(got), frames)
	}
	for n, frame := range got {
		if !bytes.HasSuffix(frame, []byte{byte(n >> 8), byte(n)}) {
			t.Fatalf("frame %d is out of order: %x", n, frame)
		}
	}
}

func TestCaptureWaitsFor(t *testing.T) {
	sw := threePorts(t)
	sw.MustInject("p1", plain(1))
	sw.MustBarrier()
	c := sw.MustSent("p2")
	sw.MustInject("p1", plain(7))
	sw.MustInject("p1", plain(8))
	got, err := c.WaitFor(t.Context(), func(frame []byte) bool { return frame[11] == 8 })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain(8), got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	frames, err := c.Frames()
	if err != nil || len(frames) != 2 {
		t.Errorf("the capture holds %d frames, want the two sent since it began (%v)", len(frames), err)
	}
	if _, err := sw.Sent("p9"); err == nil {
		t.Error("a port that doesn't exist is captured")
	}
}

func TestPurgeMakesCountersExact(t *testing.T) {
	sw := threePorts(t)
	sw.MustOfctl("add-flow", "br0", "priority=9,in_port=1,actions=output:2")
	sw.MustPurge() // from here on every frame but the first hits the cache
	const frames = 1000
	for range frames {
		sw.MustInject("p1", plain(1))
	}
	sw.MustBarrier()
	sw.MustPurge()
	flows := sw.MustOfctl("dump-flows", "br0", "in_port=1")
	if want := fmt.Sprintf("n_packets=%d,", frames); !strings.Contains(flows, want) {
		t.Errorf("want %s in\n%s", want, flows)
	}
}

func TestIDsAreQuoted(t *testing.T) {
	sw := New(t, Options{})
	sw.MustBridge("br0")
	ids := map[string]string{
		"allowed-addresses":     "10.0.0.1, 2001:db8::/64",
		"allowed-address-pairs": `[{"ip_address": "10.0.0.9", "mac_address": "00:00:5e:00:01:01"}]`,
		"odd:key,=":             `a=b "quoted" \ {x} <&> 'y' é`,
		"spaces":                "  ",
	}
	sw.MustPort("br0", "p1", PortOptions{ExternalIDs: ids})
	if diff := cmp.Diff(ids, sw.MustIDs("p1")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	sw.MustSetIDs("p1", map[string]string{"odd:key,=": "", "spaces": "", "absent": "", "new": "[]", "allowed-addresses": "::1"})
	ids["new"], ids["allowed-addresses"] = "[]", "::1"
	delete(ids, "odd:key,=")
	delete(ids, "spaces")
	if diff := cmp.Diff(ids, sw.MustIDs("p1")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDaemonsRestart(t *testing.T) {
	sw := threePorts(t)
	sw.MustOfctl("add-flow", "br0", "priority=9,in_port=1,actions=drop")
	sw.MustRun(sw.KillVswitchd)
	if _, err := sw.Appctl("version"); err == nil {
		t.Error("a killed ovs-vswitchd answers")
	}
	sw.MustPort("br0", "p4", PortOptions{OFPort: 4})
	sw.MustRun(sw.StartVswitchd)
	if ok, _ := sw.MustDeliver("p1", plain(1), "p4"); !ok {
		t.Error("the flow survived the restart, or the new port isn't there")
	}

	sw.MustRun(sw.KillOVSDB)
	if _, _, err := sw.Deliver("p1", plain(1), "p4"); err == nil {
		t.Error("a verdict without ovsdb-server")
	}
	if _, err := sw.run(t.Context(), "ovs-ofctl", "--timeout=1", "dump-flows", "br0"); err == nil {
		t.Error("OpenFlow is served without ovsdb-server")
	}
	sw.MustRun(sw.StartOVSDB)
	if err := sw.WaitVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	sw.MustDelPort("p4")
	if err := sw.Inject("p4", plain(4)); err == nil {
		t.Error("a frame was injected at a deleted port")
	}
	if ok, _ := sw.MustDeliver("p1", plain(1), "p2"); !ok {
		t.Error("not delivered after the restarts")
	}
}

func TestErrorsNameTheCommand(t *testing.T) {
	sw := New(t, Options{})
	for _, call := range []func() (string, error){
		func() (string, error) { return sw.Vsctl("no-such-command") },
		func() (string, error) { return sw.Ofctl("no-such-command") },
		func() (string, error) { return sw.Appctl("no-such-command") },
	} {
		if _, err := call(); err == nil || strings.Count(err.Error(), "no-such-command") < 2 {
			t.Errorf("want the command and its complaint in the error %q", err)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	sw, err := StartSwitch(t.Context(), Options{})
	if err != nil {
		Need(t, OVS)
		t.Fatal(err)
	}
	pids := []int{sw.ovsdb.cmd.Process.Pid, sw.vswitch.cmd.Process.Pid}
	for range 2 {
		if err := sw.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(sw.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory %s is still there", sw.Dir)
	}
	for _, pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("process %d still runs", pid)
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	sw := threePorts(b)
	for b.Loop() {
		sw.MustDeliver("p1", plain(1), "p2")
	}
}
