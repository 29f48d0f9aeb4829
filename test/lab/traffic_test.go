package lab_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// Without a fault, nothing is lost and everything that the switch drops is seen to be
// dropped; what the switch lets through and what it drops is told apart by frame.
func TestTrafficCountsEveryFrame(t *testing.T) {
	sw := lab.New(t, lab.Options{Datapath: lab.Userspace})
	sw.MustBridge("br0")
	mac := lab.MustMAC("52:54:00:00:00:01")
	a := sw.MustGuest("br0", lab.GuestOptions{Name: "a", MAC: mac, Quiet: true})
	sink := sw.MustGuest("br0", lab.GuestOptions{Name: "sink", MAC: lab.MustMAC("52:54:00:00:00:99"), Quiet: true})
	sw.MustOfctl("add-flow", "br0", "dl_type=0x88b5,actions=drop")
	frame := func(etherType uint16) []byte { return lab.Pad(lab.Ether(sink.MAC, mac, etherType)) }
	// Slow enough that the switch may be kept waiting for a while.
	traffic, err := sw.StartTraffic(sink.NIC,
		lab.Stream{Kind: "passes", From: a.NIC, Frame: frame(0x0800), Rate: 400},
		lab.Stream{Kind: "dropped", From: a.NIC, Frame: frame(0x88b5), Rate: 200, Spoofed: true})
	if err != nil {
		t.Fatal(err)
	}
	flowing := func() {
		t.Helper()
		if err := traffic.Flowing(t.Context(), 300); err != nil {
			t.Fatal(err)
		}
	}
	flowing()
	began := time.Now()
	sw.MustOfctl("del-flows", "br0")
	sw.MustOfctl("add-flow", "br0", "dl_type=0x88b5,actions=NORMAL")
	sw.MustOfctl("add-flow", "br0", "dl_type=0x0800,actions=NORMAL")
	flowing()
	tally, err := traffic.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + tally.String())
	leaked := tally.Leaked()
	// What was on its way when the flows changed counts as after it.
	if early := began.Sub(leaked.First); leaked.Frames == 0 || early > time.Second {
		t.Errorf("%d frames are seen to pass, the first %s before they could", leaked.Frames, early)
	}
	if passed := tally.Streams[1]; passed.Received != leaked.Frames || passed.Received == passed.Sent {
		t.Errorf("%d of %d received, %d leaked", passed.Received, passed.Sent, leaked.Frames)
	}
	if l := tally.Lost(); l.Frames > 0 && l.First.Before(began.Add(-time.Second)) {
		t.Errorf("%d frames lost, the first at %s", l.Frames, l.First)
	}
	if tally.Overflow > 0 {
		t.Errorf("%d frames overflowed", tally.Overflow)
	}
}

// What the switch's sockets have no room for is told apart from what the switch drops.
func TestTrafficTellsOverflow(t *testing.T) {
	sw := lab.New(t, lab.Options{Datapath: lab.Userspace})
	sw.MustBridge("br0")
	mac := lab.MustMAC("52:54:00:00:00:01")
	a := sw.MustGuest("br0", lab.GuestOptions{Name: "a", MAC: mac, Quiet: true})
	sink := sw.MustGuest("br0", lab.GuestOptions{Name: "sink", MAC: lab.MustMAC("52:54:00:00:00:99"), Quiet: true})
	frame := lab.IPFrame(sink.MAC, mac, lab.IP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 253))
	traffic, err := sw.StartTraffic(sink.NIC, lab.Stream{Kind: "ip", From: a.NIC, Frame: frame, Rate: 5000})
	if err != nil {
		t.Fatal(err)
	}
	if err := traffic.Flowing(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	// Without ovsdb-server, ovs-vswitchd reads no packets.
	sw.MustRun(sw.KillOVSDB)
	lab.Eventually(t, "the sockets to overflow", func() error {
		lost, err := traffic.Overflow()
		if err == nil && lost <= 100 {
			err = fmt.Errorf("%d frames are lost", lost)
		}
		return err
	})
	sw.MustRun(sw.StartOVSDB)
	if err := sw.WaitVswitchd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := traffic.Flowing(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	tally, err := traffic.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + tally.String())
	if lost := tally.Lost().Frames; lost == 0 || lost != tally.Overflow {
		t.Errorf("%d frames lost, %d of them overflowed", lost, tally.Overflow)
	}
}
