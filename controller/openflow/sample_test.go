package openflow_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// sampled returns the rules with samples, and makes their meters.
func sampled(t *testing.T, c *openflow.Conn, ctx context.Context, rules []flows.Rule) []flows.Rule { //nolint:revive // as start returns them
	t.Helper()
	rules = flows.Sampled(rules)
	have, err := c.Meters(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var meters []openflow.Meter
	for _, r := range rules {
		if s := r.Actions.Sample; s != nil {
			if m := openflow.NewMeter(s.Meter, 10, 20); !slices.Contains(meters, m) && !slices.Contains(have, m) {
				meters = append(meters, m)
			}
		}
	}
	if err := c.AddMeters(ctx, meters); err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestMetersComeBackAsTheyWere(t *testing.T) {
	sw, c, ctx := start(t)
	limit, err := c.MeterLimit(ctx)
	if err != nil || limit < 1000 {
		t.Fatalf("%d meters, %v", limit, err)
	}
	sw.MustOfctl("add-meter", "br0", "meter=7,kbps,band=type=drop,rate=100")
	foreign, err := c.Meters(ctx)
	if err != nil || len(foreign) != 1 {
		t.Fatalf("%v, %v", foreign, err)
	}
	a, b := openflow.NewMeter(flows.SampleMeter(1), 10, 20), openflow.NewMeter(flows.SampleMeter(0xfffffffe), 10, 20)
	if err := c.AddMeters(ctx, []openflow.Meter{a, b}); err != nil {
		t.Fatal(err)
	}
	check := func(want ...openflow.Meter) {
		t.Helper()
		got, err := c.Meters(ctx)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, func(a, b openflow.Meter) int { return int(int64(a.ID) - int64(b.ID)) })
		if diff := cmp.Diff(append(foreign, want...), got, cmp.AllowUnexported(openflow.Meter{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	check(a, b)
	if err := c.AddMeters(ctx, []openflow.Meter{a}); err == nil {
		t.Error("a meter was added twice")
	}
	a = openflow.NewMeter(a.ID, 5, 5)
	if err := c.ModifyMeters(ctx, []openflow.Meter{a}); err != nil {
		t.Fatal(err)
	}
	check(a, b)
	if err := c.DeleteMeters(ctx, []openflow.Meter{a, b, a}); err != nil {
		t.Fatal(err)
	}
	check()
}

// The switch sends what a counting rule refuses, with the rule's cookie, to sessions
// that asked for it.
func TestSamples(t *testing.T) {
	sw, c, ctx := start(t)
	sw.MustPort("br0", "p1", lab.PortOptions{OFPort: 9})
	sw.MustPort("br0", "p2", lab.PortOptions{OFPort: 10})
	other, err := openflow.Dial(ctx, sw.Mgmt("br0"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	list, err := c.Subscribe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Setting the fragment mode must not end the subscription.
	if err := c.SetFragmentMode(ctx, openflow.FragNXMatch); err != nil {
		t.Fatal(err)
	}
	rules := flows.Shared()
	for i, action := range []model.Action{model.Enforce, model.Observe} {
		p := model.Policy{Mode: model.Checked, MAC: model.MAC{2, 0, 0, 0, 0, 1}, Checks: model.CheckMAC, Action: action}
		rules = append(rules, flows.Compile(flows.Port{VIF: flows.VIFID(i + 1), InPort: uint32(i + 9), Policy: &p})...)
	}
	entries, err := openflow.EncodeAll(sampled(t, c, ctx, rules), flows.Pipeline{Exit: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, flows.Diff(entries, nil)); err != nil {
		t.Fatal(err)
	}
	long := append(lab.RARPAnnounce(lab.MustMAC("02:00:00:00:00:66")), make([]byte, 1000)...)
	for i, port := range []string{"p1", "p2"} {
		sw.MustInject(port, long)
		select {
		case got := <-list:
			want := openflow.PacketIn{Cookie: flows.NewCookie(flows.VIFID(i+1), model.ReasonMAC), InPort: uint32(i + 9), Passed: i == 1, Frame: long[:flows.SampleLen]}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", port, diff)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no sample from %s", port)
		}
	}
	if n := c.Missed(); n != 0 {
		t.Errorf("%d samples missed", n)
	}
	if err := other.Barrier(ctx); err != nil {
		t.Errorf("a session that didn't ask: %v", err)
	}
}
