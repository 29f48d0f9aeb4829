package flows

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/model"
)

var guarded = model.BridgeConfig{Settings: model.Settings{Name: "br0"}, Guarded: true, Usable: true}

// compileIDs compiles a VIF with these external_ids, given as key=value words.
func compileIDs(words ...string) []Rule {
	ids := make(map[string]string)
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		ids[k] = v
	}
	p := model.Resolve(&guarded, nil, &model.Interface{Name: "tap1", ExternalIDs: ids})
	return Compile(Port{VIF: 1, InPort: 7, Policy: &p})
}

const mac1 = "attached-mac=52:54:00:00:00:01"

// What a VIF costs, in flows. The limit for a strict dual-stack VIF is a promise of
// docs/pipeline.md.
func TestFlowsPerVIF(t *testing.T) {
	for _, test := range []struct {
		name string
		ids  []string
		want int
	}{
		{"off", []string{mac1, "port-security=off"}, 1},
		{"blocked", []string{mac1, "port-security=block"}, 2},
		{"mac", []string{mac1, "port-security=mac"}, 8},
		{"mac,arp without addresses", []string{mac1, "port-security=mac,arp"}, 17},
		{"strict, IPv4 only", []string{mac1, "port-security=mac,arp,ip", "allowed-addresses=192.0.2.1"}, 22},
		{"strict, dual stack", []string{mac1, "port-security=mac,arp,ip", "allowed-addresses=192.0.2.1 2001:db8::1"}, 25},
		{"a flood limit", []string{mac1, "port-security=mac", "port-security-flood=1000"}, 9},
		{"a flood limit off", []string{mac1, "port-security=mac", "port-security-flood=off"}, 8},
		{"a flood limit of an observed VIF", []string{mac1, "port-security=mac", "port-security-flood=1000", "port-security-action=observe"}, 8},
		{"a flood limit without checks", []string{mac1, "port-security=off", "port-security-flood=1000"}, 1},
		{"a flood limit of a blocked VIF", []string{mac1, "port-security=block", "port-security-flood=1000"}, 2},
	} {
		if got := len(compileIDs(test.ids...)); got != test.want {
			t.Errorf("%s: %d flows, want %d", test.name, got, test.want)
		}
	}
}

// A quarantine adds one rule, which comes before all others, looks at nothing but the port,
// and goes by itself; whatever else the VIF has stays as it is.
func TestQuarantine(t *testing.T) {
	for _, test := range []struct {
		flood string
		more  int
	}{{"1000", 1}, {"off", 0}} {
		p := model.Resolve(&guarded, nil, &model.Interface{ExternalIDs: map[string]string{
			"attached-mac": "52:54:00:00:00:01", "port-security": "mac", "port-security-allow": "priority-tag", "port-security-flood": test.flood}})
		free := Compile(Port{VIF: 1, InPort: 7, Policy: &p})
		rules := Compile(Port{VIF: 1, InPort: 7, Policy: &p, Quarantine: 15})
		if more := len(rules) - len(free); more != test.more {
			t.Fatalf("flood %s: %d rules more, want %d", test.flood, more, test.more)
		}
		for i, r := range rules[test.more:] {
			if was, is := free[i].Text(Pipeline{}), r.Text(Pipeline{}); was != is {
				t.Errorf("flood %s: %s becomes %s", test.flood, was, is)
			}
		}
		const want = "cookie=0x7667000000000001,table=0,priority=40700,hard_timeout=15,in_port=7 actions=load:0xb0000->NXM_NX_REG15[0..31],goto_table:5"
		if got := rules[0].Text(Pipeline{Exit: -1}); test.more > 0 && got != want {
			t.Errorf("%s, want %s", got, want)
		}
		for _, r := range free {
			if r.Timeout != 0 || r.Stage == StagePort && r.Priority >= rules[0].Priority && test.more > 0 {
				t.Errorf("flood %s: %s", test.flood, r.Text(Pipeline{}))
			}
		}
	}
}

// matchKey identifies a rule within a bridge.
func matchKey(r *Rule) string {
	return fmt.Sprintf("%d %d %s", r.Stage, r.Priority, r.MatchText())
}

// randomIDs returns the metadata of a VIF with random keys.
func randomIDs(r *rand.Rand) []string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func(list ...string) string {
		var words []string
		for _, w := range list {
			if r.IntN(2) == 0 {
				words = append(words, w)
			}
		}
		return strings.Join(words, ",")
	}
	return []string{
		"attached-mac=" + pick("52:54:00:00:00:01", "00:00:5e:00:01:01", "00:00:5e:00:02:01"),
		"port-security=" + pick("auto", "mac", "mac,arp", "mac,arp,ip", "off", "block"),
		"port-security-action=" + pick("enforce", "observe"),
		"port-security-flood=" + pick("off", "1000"),
		"port-security-allow=" + some("dhcp-server", "router", "priority-tag", "vlan-trunk", "ethertype:0x88cc"),
		"allowed-addresses=" + some("192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::/64", "0.0.0.0/0"),
		"allowed-address-pairs=" + some("192.0.2.1", "192.0.2.9@00:00:5e:00:01:01", "192.0.2.9@52:54:00:00:00:02",
			"2001:db8::9@00:00:5e:00:02:01", "::/0", "0.0.0.0/0@00:00:5e:00:01:01", "fe80::/10"),
	}
}

// No two rules of a bridge may have the same table, priority and match: one would
// silently replace the other. Rules that could match the same packet with the same
// priority must do the same; here that is ensured by unequal keys in one band.
func TestRulesHaveDistinctKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		ids := randomIDs(r)
		seen := make(map[string]string)
		for _, rule := range append(Shared(), compileIDs(ids...)...) {
			k := matchKey(&rule)
			if other, ok := seen[k]; ok {
				t.Fatalf("%v: %q and %q have the same key %s", ids, other, rule.Why, k)
			}
			seen[k] = rule.Why
		}
	}
}

// A packet only ever moves forward, so no policy can loop, and every stage ends in a
// rule that matches everything.
func TestStagesMoveForwardAndAreClosed(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		for _, rule := range append(Shared(), compileIDs(randomIDs(r)...)...) {
			a, m := rule.Actions, rule.Match
			if a.Next == Goto && a.Stage <= rule.Stage {
				t.Fatalf("%s goes from %s to %s", rule.Why, rule.Stage, a.Stage)
			}
			// The one step back sets a flag that keeps it from being taken twice.
			if a.Next == Again && (rule.Stage != StageND || a.Stage != StageND || a.Set&m.Flags.Clear == 0) {
				t.Fatalf("%s can loop", rule.Why)
			}
		}
	}
	missing := map[Stage]bool{}
	for _, s := range Stages() {
		missing[s.Stage] = true
	}
	for _, rule := range Shared() {
		if rule.Priority == prioMiss && rule.MatchText() == "" {
			delete(missing, rule.Stage)
			if rule.Actions.Next == Leave && rule.Stage != StageExit {
				t.Errorf("a miss in %s leaves the pipeline", rule.Stage)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("stages without a miss rule: %v", missing)
	}
}

// Every reason that a checked VIF's packets can be blamed for has its counter, so that
// no drop goes uncounted.
func TestEveryBlameIsCounted(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		ids := randomIDs(r)
		own := compileIDs(ids...)
		counted := map[model.Reason]bool{model.NoReason: true, model.ReasonUnknownPort: true}
		for _, rule := range own {
			counted[rule.Counts] = true
		}
		for _, rule := range own {
			if b := rule.Actions.Blame; !counted[b] {
				t.Errorf("%v: %s blames %s, which isn't counted", ids, rule.Why, b)
			}
		}
	}
}

func TestUnguardedFieldsAreNotMatched(t *testing.T) {
	for _, test := range []struct {
		ids       []string
		forbidden []string
	}{
		{[]string{mac1, "port-security=mac", "allowed-addresses=192.0.2.1 2001:db8::1"}, []string{"nw_src", "ipv6_src", "nd_target", "udp", "arp_op=1", "arp_tpa=192"}},
		{[]string{mac1, "port-security=mac,arp", "allowed-addresses=192.0.2.1 2001:db8::1"}, []string{"nw_src"}},
		{[]string{mac1, "port-security=off", "allowed-addresses=192.0.2.1"}, []string{"dl_src"}},
	} {
		for _, rule := range compileIDs(test.ids...) {
			for _, f := range test.forbidden {
				if strings.Contains(rule.MatchText(), f) {
					t.Errorf("%v: %s matches %s: %s", test.ids, rule.Why, f, rule.MatchText())
				}
			}
		}
	}
}

func TestCookie(t *testing.T) {
	id := ParseVIFID("0123abcd-ef01-4234-8234-0123456789ab")
	if want := VIFID(0x0123abcdef); id != want {
		t.Errorf("VIFID 0x%x, want 0x%x", uint64(id), uint64(want))
	}
	for _, bad := range []string{"", "x", "0123abcd-ef01", "zzzzzzzz-zzzz-4234-8234-0123456789ab"} {
		if got := ParseVIFID(bad); got != 0 {
			t.Errorf("ParseVIFID(%q) = 0x%x", bad, uint64(got))
		}
	}
	c := NewCookie(id, model.ReasonRouter)
	if want := uint64(0x7667_07_0123abcdef); c != want {
		t.Errorf("cookie 0x%x, want 0x%x", c, want)
	}
	vif, reason, ok := SplitCookie(c)
	if vif != id || reason != model.ReasonRouter || !ok {
		t.Errorf("split: 0x%x %s %v", uint64(vif), reason, ok)
	}
	if _, _, ok := SplitCookie(0x1234); ok {
		t.Error("a foreign cookie passes as ours")
	}
}

func TestDiff(t *testing.T) {
	e := func(table uint8, match, instructions string, cookie uint64) Entry {
		return Entry{Key: Key{Table: table, Priority: 1, Match: match}, Instructions: instructions, Cookie: cookie}
	}
	timed := func(e Entry, seconds uint16) Entry { e.Timeout = seconds; return e }
	want := []Entry{e(0, "same", "i", 1), e(0, "new", "i", 1), e(1, "other actions", "new", 1), e(1, "other owner", "i", 2), timed(e(1, "other timeout", "i", 1), 9)}
	have := []Entry{e(0, "same", "i", 1), e(0, "old", "i", 1), e(1, "other actions", "old", 1), e(1, "other owner", "i", 1), timed(e(1, "other timeout", "i", 1), 8)}
	got := Diff(want, have)
	if diff := cmp.Diff([]Change{
		{Delete, have[1]}, {Delete, have[3]}, {Delete, have[4]}, {Add, want[1]}, {Modify, want[2]}, {Add, want[3]}, {Add, want[4]},
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := Diff(want, want); len(d) != 0 {
		t.Errorf("the same twice differs: %v", d)
	}
	if !slices.Equal(Diff(want, apply(have, got)), nil) {
		t.Error("applying the difference doesn't lead there")
	}
}

// apply carries out changes on a set of entries.
func apply(have []Entry, changes []Change) []Entry {
	byKey := make(map[Key]Entry)
	for _, e := range have {
		byKey[e.Key] = e
	}
	for _, c := range changes {
		if c.Op == Delete {
			delete(byKey, c.Entry.Key)
		} else {
			byKey[c.Entry.Key] = c.Entry
		}
	}
	var list []Entry
	for _, e := range byKey {
		list = append(list, e)
	}
	return list
}

// Any change and its reverse lead back to where they started.
func TestDiffIsReversible(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	random := func() []Entry {
		byKey := make(map[Key]Entry)
		for range r.IntN(20) {
			e := Entry{Key: Key{Table: uint8(r.IntN(3)), Match: string(rune('a' + r.IntN(6)))}, Cookie: r.Uint64N(2), Instructions: string(rune('x' + r.IntN(2)))}
			byKey[e.Key] = e
		}
		return apply(nil, func() (cs []Change) {
			for _, e := range byKey {
				cs = append(cs, Change{Add, e})
			}
			return cs
		}())
	}
	for range 1000 {
		a, b := random(), random()
		there := apply(a, Diff(b, a))
		if d := Diff(b, there); len(d) != 0 {
			t.Fatalf("from %v to %v: still to do %v", a, b, d)
		}
		if d := Diff(a, apply(there, Diff(a, there))); len(d) != 0 {
			t.Fatalf("from %v to %v and back: still to do %v", a, b, d)
		}
	}
}
