package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// What a worker asks of a switch has the same outcome at the fake one as at Open vSwitch.
func TestFakeIsLikeARealSwitch(t *testing.T) {
	lab.Need(t, lab.OVS)
	sw := lab.New(t, lab.Options{})
	sw.MustBridge("br0", "fail_mode=secure") // which has no flow of its own
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	transcript := func(dial func(context.Context, string) (Switch, error)) []string {
		s, err := dial(ctx, sw.Mgmt("br0"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return record(ctx, t, s)
	}
	if diff := gocmp.Diff(transcript(dialSwitch), transcript(newFakeSwitch().dial)); diff != "" {
		t.Errorf("outcomes (-Open vSwitch +fake):\n%s", diff)
	}
}

// record does what a worker may do and writes down what comes of it.
func record(ctx context.Context, t *testing.T, s Switch) (lines []string) {
	note := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	compile := func(uuid byte, sampled bool) []flows.Entry {
		b := &model.Bridge{Name: "br0", ExternalIDs: map[string]string{model.KeyChecks: "auto"}}
		config := model.ResolveBridge(b)
		row := &model.Interface{UUID: rowUUID(uuid), Name: "tap", OFPort: 1, ExternalIDs: map[string]string{model.KeyAttachedMAC: "52:54:00:00:00:01"}}
		in := flows.Input{Input: model.NewInput(&config, nil, row), Runtime: flows.Runtime{Sampled: sampled}}
		entries, err := openflow.EncodeAll(in.Compile().Rules, flows.PipelineOf(&config.Settings))
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	dump := func(what string, list []openflow.Flow, err error) {
		slices.SortFunc(list, func(a, b openflow.Flow) int {
			return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Match, b.Match))
		})
		note("%s: %d, %v", what, len(list), err)
		for _, f := range list {
			note("  %x %s %x", f.Cookie, openflow.Text(&f.Entry), f.Instructions)
		}
	}
	all := func(what string) {
		list, err := s.Flows(ctx, 0, 0)
		dump(what, list, err)
	}
	mode, err := s.FragmentMode(ctx)
	note("fragment mode %d %v", mode, err)
	note("set fragment mode %v", s.SetFragmentMode(ctx, openflow.FragNXMatch))
	mode, err = s.FragmentMode(ctx)
	note("fragment mode %d %v", mode, err)
	note("watch %v", s.Watch(ctx, []uint8{0, 1}, func(openflow.FlowUpdate) bool { return true }))
	limit, err := s.MeterLimit(ctx)
	note("meters can be had: %t %v", limit > 0, err)

	meter := openflow.NewMeter(flows.SampleMeter(1), 10, 10)
	note("add meter %v", s.AddMeters(ctx, []openflow.Meter{meter}))
	note("modify meter %v", s.ModifyMeters(ctx, []openflow.Meter{openflow.NewMeter(meter.ID, 20, 20)}))
	meters, err := s.Meters(ctx)
	note("meters %v %v", meters, err)
	var refusal *openflow.SwitchError
	note("add it again: refused %t", errors.As(s.AddMeters(ctx, []openflow.Meter{meter}), &refusal))

	plain, sampled, other := compile(1, false), compile(1, true), compile(2, false)
	note("add %v", s.Commit(ctx, flows.Diff(plain, nil)))
	all("added")
	note("modify %v", s.Commit(ctx, flows.Diff(sampled, plain)))
	all("modified")
	note("delete what has another cookie %v", s.Commit(ctx, []flows.Change{{Op: flows.Delete, Entry: other[0]}}))
	note("modify what isn't there %v", s.Commit(ctx, []flows.Change{{Op: flows.Modify, Entry: flows.Entry{
		Key: flows.Key{Table: plain[0].Table, Priority: 1, Match: plain[0].Match}, Instructions: plain[0].Instructions,
	}}}))
	all("untouched")
	note("replace %v", s.Commit(ctx, flows.Diff(other, sampled)))
	all("replaced")
	list, err := s.Flows(ctx, other[0].Cookie, ^uint64(0))
	dump("by cookie", list, err)
	list, err = s.TableFlows(ctx, 1, flows.CookiePrefix, flows.CookieMask)
	dump("by table", list, err)
	list, err = s.OwnFlows(ctx)
	dump("own", list, err)
	packets, err := s.Matched(ctx, 1)
	note("matched %d %v", packets, err)
	note("delete meter %v", s.DeleteMeters(ctx, []openflow.Meter{meter}))
	n, err := s.Release(ctx)
	note("release %d %v", n, err)
	all("released")
	mode, err = s.FragmentMode(ctx)
	note("fragment mode %d %v", mode, err)
	note("session open %v", s.Err())
	s.Close()
	<-s.Done()
	note("session ended %t, asking fails %t", s.Err() != nil, func() bool { _, err := s.FragmentMode(ctx); return err != nil }())
	return lines
}

// rowUUID returns a UUID by which a cookie names a row.
func rowUUID(n byte) string {
	return strings.Repeat(fmt.Sprintf("%02x", n), 4) + "-0000-4000-8000-000000000000"
}
