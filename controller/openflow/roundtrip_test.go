package openflow_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// everyRule is what the tests inside the package use.
func everyRule() []flows.Rule { return openflow.EveryRule() }

func start(t *testing.T) (*lab.T, *openflow.Conn, context.Context) {
	t.Helper()
	lab.Need(t, lab.OVS)
	sw := lab.New(t, lab.Options{})
	sw.MustBridge("br0")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	c, err := openflow.Dial(ctx, sw.Mgmt("br0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return sw, c, ctx
}

func entries(list []openflow.Flow) []flows.Entry {
	var es []flows.Entry
	for _, f := range list {
		es = append(es, f.Entry)
	}
	return es
}

// Every rule comes back byte for byte: nothing was widened, and a comparison needs no
// decoder.
func TestRulesComeBackByteForByte(t *testing.T) {
	sw, c, ctx := start(t)
	for _, p := range []flows.Pipeline{{First: 0, Exit: -1}, {First: 40, Exit: 100}} {
		rules := everyRule()
		if p.Exit >= 0 {
			rules = sampled(t, c, ctx, rules)
		}
		want, err := openflow.EncodeAll(rules, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Commit(ctx, flows.Diff(want, nil)); err != nil {
			t.Fatal(err)
		}
		got, err := c.OwnFlows(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := flows.Diff(want, entries(got)); len(diff) != 0 {
			t.Errorf("%d of %d flows differ", len(diff), len(want))
			byKey := map[flows.Key]string{}
			for i := range rules {
				byKey[want[i].Key] = rules[i].Text(p)
			}
			for _, d := range diff {
				t.Errorf("%s %x %x\n%s", d.Op, d.Entry.Match, d.Entry.Instructions, byKey[d.Entry.Key])
			}
			t.Log(sw.MustOfctl("dump-flows", "br0"))
			return
		}
		if err := c.Commit(ctx, flows.Diff(nil, want)); err != nil {
			t.Fatal(err)
		}
		left, err := c.OwnFlows(ctx)
		if err != nil || len(left) != 0 {
			t.Fatalf("after deleting everything: %d flows left, %v", len(left), err)
		}
	}
}

// A flow that another owner has taken over isn't deleted by what the former one leaves.
func TestDeleteSparesOtherOwners(t *testing.T) {
	_, c, ctx := start(t)
	rule := flows.Rule{Stage: flows.StagePort, Priority: 40000, Match: flows.Match{InPort: 6}, VIF: 2}
	now, err := openflow.Encode(&rule, flows.Pipeline{Exit: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, []flows.Change{{Op: flows.Add, Entry: now}}); err != nil {
		t.Fatal(err)
	}
	former := now
	former.Cookie = flows.NewCookie(1, model.NoReason)
	if err := c.Commit(ctx, []flows.Change{{Op: flows.Delete, Entry: former}}); err != nil {
		t.Fatal(err)
	}
	got, err := c.OwnFlows(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]flows.Entry{now}, entries(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The text of a rule is what ovs-ofctl understands: loading it gives the same flow.
func TestTextIsTheSameFlow(t *testing.T) {
	sw, c, ctx := start(t)
	p := flows.Pipeline{First: 0, Exit: -1}
	rules := sampled(t, c, ctx, everyRule())
	var text strings.Builder
	for i := range rules {
		fmt.Fprintln(&text, rules[i].Text(p))
	}
	file := filepath.Join(t.TempDir(), "flows")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	sw.MustOfctl("add-flows", "br0", file)
	want, err := openflow.EncodeAll(rules, p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.OwnFlows(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keys(want), keys(entries(got))); diff != "" {
		t.Error(diff)
	}
	for _, d := range flows.Diff(want, entries(got)) {
		t.Errorf("%s %+v", d.Op, d.Entry)
	}
}

// What the switch prints of a flow identifies the rule that it came from, which is how
// a trace is put into words.
func TestPrintedFlowsIdentifyTheirRules(t *testing.T) {
	sw, c, ctx := start(t)
	p := flows.Pipeline{First: 1, Exit: -1} // dumps leave table 0 out
	rules := everyRule()
	want, err := openflow.EncodeAll(rules, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, flows.Diff(want, nil)); err != nil {
		t.Fatal(err)
	}
	printed := make(map[string]int)
	line := regexp.MustCompile(`cookie=(0x[0-9a-f]+), table=(\d+), (?:hard_timeout=\d+, )?priority=(\d+),?(.*) actions=`)
	for l := range strings.Lines(sw.MustOfctl("dump-flows", "--no-stats", "--no-names", "br0")) {
		if m := line.FindStringSubmatch(l); m != nil {
			printed[m[1]+" "+m[2]+" "+m[3]+" "+string(flows.IdentifyMatch(m[4]))]++
		}
	}
	for i := range rules {
		r := &rules[i]
		key := fmt.Sprintf("0x%x %d %d %s", r.Cookie(), p.Table(r.Stage), r.Priority, flows.IdentifyMatch(r.MatchText()))
		if printed[key] != 1 {
			t.Errorf("%d printed flows are %s", printed[key], key)
		}
	}
}

// A table's statistics and a flow's counter tell of the same packets, and a flow with a
// timeout goes by itself.
func TestMatched(t *testing.T) {
	sw, c, ctx := start(t)
	sw.MustPort("br0", "p1", lab.PortOptions{OFPort: 1})
	e, err := openflow.Encode(&flows.Rule{Stage: flows.StagePort, Priority: 40000, Timeout: 2}, flows.Pipeline{Exit: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, []flows.Change{{Op: flows.Add, Entry: e}}); err != nil {
		t.Fatal(err)
	}
	before, err := c.Matched(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		sw.MustInject("p1", lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:01")))
	}
	sw.MustBarrier()
	sw.MustPurge()
	after, err := c.Matched(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.TableFlows(ctx, 0, flows.CookiePrefix, flows.CookieMask)
	if err != nil || len(list) != 1 || list[0].Packets != 3 || after-before != 3 {
		t.Errorf("%d packets have met the table, flows %+v, %v", after-before, list, err)
	}
	if other, err := c.TableFlows(ctx, 5, 0, 0); err != nil || len(other) != 0 {
		t.Errorf("another table: %v, %v", other, err)
	}
	lab.Eventually(t, "the flow to go", func() error {
		list, err := c.OwnFlows(ctx)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("there are %v", list)
		}
		return err
	})
}

func keys(es []flows.Entry) []flows.Key {
	m := map[flows.Key]bool{}
	for _, e := range es {
		m[e.Key] = true
	}
	return slices.SortedFunc(maps.Keys(m), func(a, b flows.Key) int {
		if a.Table != b.Table {
			return int(a.Table) - int(b.Table)
		}
		if a.Priority != b.Priority {
			return int(a.Priority) - int(b.Priority)
		}
		return strings.Compare(a.Match, b.Match)
	})
}

// Asking by cookie finds the flows of that owner, of every reason, and no others.
func TestFlowsByCookie(t *testing.T) {
	_, c, ctx := start(t)
	want, err := openflow.EncodeAll(everyRule(), flows.Pipeline{First: 0, Exit: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, flows.Diff(want, nil)); err != nil {
		t.Fatal(err)
	}
	owners := make(map[flows.VIFID][]flows.Entry)
	for _, e := range want {
		owner, _, _ := flows.SplitCookie(e.Cookie)
		owners[owner] = append(owners[owner], e)
	}
	if len(owners) < 3 {
		t.Fatalf("flows of %d owners", len(owners))
	}
	for owner, own := range owners {
		got, err := c.CookieFlows(ctx, flows.Cookies(owner)...)
		if err != nil || len(got) != len(own) || len(flows.Diff(own, entries(got))) != 0 {
			t.Errorf("owner %x: %d flows, %v; want %d", owner, len(got), err, len(own))
		}
	}
	if got, err := c.CookieFlows(ctx); err != nil || got != nil {
		t.Errorf("no cookies: %d flows, %v", len(got), err)
	}
}
