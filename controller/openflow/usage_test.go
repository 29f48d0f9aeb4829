package openflow_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// The keys of OpenFlow 1.5 are those of OpenFlow 1.3 for every kind of rule.
func TestUsageHasTheKeysOfTheFlows(t *testing.T) {
	sw, c, ctx := start(t)
	want, err := openflow.EncodeAll(everyRule(), flows.Pipeline{Exit: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, flows.Diff(want, nil)); err != nil {
		t.Fatal(err)
	}
	// Somebody else's flow isn't asked for.
	sw.MustOfctl("add-flow", sw.Mgmt("br0"), "cookie=0x1,table=9,priority=1,actions=drop")
	usage, err := openflow.ReadUsage(ctx, sw.Mgmt("br0"))
	if err != nil {
		t.Fatal(err)
	}
	wanted, got := map[openflow.FlowID]bool{}, map[openflow.FlowID]bool{}
	for _, e := range want {
		wanted[openflow.FlowID{Key: e.Key, Cookie: e.Cookie}] = true
	}
	for id := range usage {
		got[id] = true
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
}

// Times follow the packets: Open vSwitch's clock is stopped and moved by hand.
func TestUsageTellsWhen(t *testing.T) {
	sw, c, ctx := start(t)
	sw.MustPort("br0", "tap1", lab.PortOptions{OFPort: 1})
	p := model.Policy{Mode: model.Off}
	rules := append(flows.Shared(), flows.Compile(flows.Port{VIF: 1, InPort: 1, Policy: &p})...)
	entries, err := openflow.EncodeAll(rules, flows.Pipeline{Exit: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, flows.Diff(entries, nil)); err != nil {
		t.Fatal(err)
	}
	port := openflow.FlowID{Key: entries[len(entries)-1].Key, Cookie: entries[len(entries)-1].Cookie}
	read := func() openflow.Usage {
		t.Helper()
		usage, err := openflow.ReadUsage(ctx, sw.Mgmt("br0"))
		if err != nil {
			t.Fatal(err)
		}
		return usage[port]
	}
	sw.MustAppctl("time/stop")
	sw.MustAppctl("time/warp", "100000")
	if u := read(); u.Packets != 0 || u.Age < 100*time.Second || u.Idle < 100*time.Second {
		t.Errorf("never used: %+v", u)
	}
	sw.MustInject("tap1", lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:01"), netip.MustParseAddr("192.0.2.1")))
	sw.MustBarrier()                   // the frame has been dealt with
	sw.MustAppctl("time/warp", "2000") // the revalidator collects the counters
	sw.MustPurge()
	lab.Eventually(t, "the packet to be counted", lab.True(func() bool { return read().Packets == 1 }))
	sw.MustAppctl("time/warp", "60000")
	if u := read(); u.Packets != 1 || u.Age < 160*time.Second || u.Idle < 60*time.Second || u.Idle > 65*time.Second {
		t.Errorf("used 62 s ago: %+v", u)
	}
}

func TestUsageNeedsOpenFlow15(t *testing.T) {
	sw, _, ctx := start(t)
	for _, protocols := range []string{"OpenFlow13", "OpenFlow10,OpenFlow13,OpenFlow14"} {
		sw.MustVsctl("set", "Bridge", "br0", "protocols="+protocols)
		if _, err := openflow.ReadUsage(ctx, sw.Mgmt("br0")); !errors.Is(err, openflow.ErrNoTimes) {
			t.Errorf("%s: error %v", protocols, err)
		}
	}
	sw.MustVsctl("set", "Bridge", "br0", "protocols=OpenFlow13,OpenFlow15")
	if _, err := openflow.ReadUsage(ctx, sw.Mgmt("br0")); err != nil {
		t.Errorf("with OpenFlow15: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := openflow.ReadUsage(ended, sw.Mgmt("br0")); !errors.Is(err, context.Canceled) {
		t.Errorf("after its time: %v", err)
	}
}
