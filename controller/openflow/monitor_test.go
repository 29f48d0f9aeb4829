package openflow_test

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
)

// Changes that others make to the watched tables are told, with what is needed to judge
// them; the session's own and those of other tables aren't.
func TestWatch(t *testing.T) {
	sw, c, ctx := start(t)
	var mu sync.Mutex
	var heard []openflow.FlowUpdate
	if err := c.Watch(ctx, []uint8{0, 3}, func(u openflow.FlowUpdate) bool {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, u)
		return u.Cookie != math.MaxUint32 // the bystander's
	}); err != nil {
		t.Fatal(err)
	}
	var want []openflow.FlowUpdate
	// expect waits until exactly these updates were told, after all before.
	expect := func(what string, updates ...openflow.FlowUpdate) {
		t.Helper()
		want = append(want, updates...)
		var got []openflow.FlowUpdate
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if err := c.Barrier(ctx); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			got = slices.Clone(heard)
			mu.Unlock()
			if len(got) >= len(want) {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
	}
	own, err := openflow.EncodeAll(flows.Shared(), flows.Pipeline{Exit: -1})
	if err != nil {
		t.Fatal(err)
	}
	changed := own[0]
	changed.Instructions = ""
	for _, changes := range [][]flows.Change{flows.Diff(own, nil), {{Op: flows.Modify, Entry: changed}}} {
		if err := c.Commit(ctx, changes); err != nil {
			t.Fatal(err)
		}
	}
	sw.MustOfctl("add-flow", "br0", "table=60,cookie=0x1234,actions=drop")
	sw.MustOfctl("add-flow", "br0", "table=0,priority=9,cookie=0xffffffff,actions=drop")
	expect("neither its own changes nor those of other tables", openflow.FlowUpdate{Table: 0, Priority: 9, Cookie: math.MaxUint32})
	select {
	case <-c.Disturbed():
		t.Error("disturbed by what doesn't concern it")
	default:
	}
	for _, test := range []struct {
		name string
		do   func()
		want openflow.FlowUpdate
	}{
		{"added", func() { sw.MustOfctl("add-flow", "br0", "table=3,priority=7,cookie=0x1234,actions=drop") },
			openflow.FlowUpdate{Table: 3, Priority: 7, Cookie: 0x1234}},
		{"changed", func() { sw.MustOfctl("mod-flows", "br0", "table=3,cookie=0x1234/-1,actions=NORMAL") },
			openflow.FlowUpdate{Table: 3, Priority: 7, Cookie: 0x1234}},
		{"deleted", func() { sw.MustOfctl("del-flows", "br0", "table=3,cookie=0x1234/-1") },
			openflow.FlowUpdate{Table: 3, Priority: 7, Cookie: 0x1234, Deleted: true}},
	} {
		test.do()
		expect(test.name, test.want)
		select {
		case <-c.Disturbed():
		case <-time.After(10 * time.Second):
			t.Errorf("%s: not disturbed", test.name)
		}
	}
	sw.MustVsctl("set-fail-mode", "br0", "secure") // clears all flows
	select {
	case <-c.Disturbed():
	case <-time.After(10 * time.Second):
		t.Error("not told that the switch itself has cleared its flows")
	}
}

// A flood of changes makes the switch pause the updates; that wakes as well, and the
// session goes on.
func TestWatchFlood(t *testing.T) {
	sw, c, ctx := start(t)
	if err := c.Watch(ctx, []uint8{0}, func(openflow.FlowUpdate) bool { return true }); err != nil {
		t.Fatal(err)
	}
	other, err := openflow.Dial(ctx, sw.Mgmt("br0"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	many, err := openflow.EncodeAll(everyRule(), flows.Pipeline{Exit: -1})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		for _, changes := range [][]flows.Change{flows.Diff(many, nil), flows.Diff(nil, many)} {
			if err := other.Commit(ctx, changes); err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case <-c.Disturbed():
	case <-ctx.Done():
		t.Error("not told")
	}
	if err := c.Barrier(ctx); err != nil {
		t.Errorf("the session ended: %v", err)
	}
}
