package conformance

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	orderPolicies = flag.String("conformance.order", "mac,firewall,strict,vlan-trunk", "the policies of TestOrder")
	orderOnly     = flag.String("conformance.only", "", "TestOrder plays only the frames whose class and name contain this")
	orderPart     = flag.Int("conformance.part", 1, "TestOrder plays one in so many sequences")
	shuffleSeed   = flag.Uint64("conformance.shuffle", 1, "the seed of TestShuffled")
)

// orderPorts is how many sequences of a policy are played at the same time.
const orderPorts = 24

// maxHoles is how many holes a test reduces.
const maxHoles = 8

// pair is a frame that must be dropped after one of its variants, built for a VIF.
type pair struct {
	frame   Frame
	variant string
	build   func(v *VIF) sequence
}

// pairs are all that a policy must withstand.
func pairs(p *Policy) []pair {
	var all []pair
	seen := 0
	for _, f := range Frames() {
		if f.Seen(p) == Pass || p.Observe || !strings.Contains(f.Class+": "+f.Name, *orderOnly) {
			continue
		}
		for n, v := range variants(f.Bytes(NewVIF(1))) {
			if seen++; seen%*orderPart != 0 {
				continue
			}
			all = append(all, pair{f, v.name, func(v *VIF) sequence {
				frame := f.Bytes(v)
				return sequence{variants(frame)[n].frame, frame}
			}})
		}
	}
	return all
}

// TestOrder sends every frame that must be dropped after each of its variants, with an
// empty megaflow cache, so that the variant's megaflow is the only one that the frame
// can meet.
func TestOrder(t *testing.T) {
	policies := slices.DeleteFunc(Policies(), func(p Policy) bool {
		return !slices.Contains(strings.Split(*orderPolicies, ","), p.Name)
	})
	a := newAttackers(t, orderPorts, policies...)
	todo := map[string][]pair{}
	for _, p := range policies {
		todo[p.Name] = pairs(&p)
		if len(todo[p.Name]) == 0 {
			t.Fatalf("policy %s: nothing to play", p.Name)
		}
	}
	found, count := holes{}, tallies{}
	for len(todo) > 0 {
		now, sequences := map[string]pair{}, map[string]sequence{}
		for name, left := range todo {
			ports := a.of(name)
			n := min(len(ports), len(left))
			for i, port := range ports[:n] {
				now[port], sequences[port] = left[i], left[i].build(a.vifs[port])
			}
			if todo[name] = left[n:]; len(left) == n {
				delete(todo, name)
			}
		}
		if err := a.fresh(); err != nil {
			t.Fatal(err)
		}
		results, err := a.play(t.Context(), sequences)
		if err != nil {
			t.Fatal(err)
		}
		for port, r := range results {
			count.add(sequences[port], r)
			if len(r.leaked) > 0 {
				p := now[port]
				found.add("policy "+a.names[port]+": "+p.frame.Class+": "+p.frame.Name, p.variant, port, sequences[port][:r.leaked[0]+1])
			}
		}
	}
	t.Log(count)
	found.report(t, a)
}

// holes are the leaks that were found, by policy and what got through.
type holes map[string]*leak

// leak is a sequence whose last frame got through.
type leak struct {
	port     string
	sequence sequence
	after    []string // what else it got through after
}

func (hs holes) add(what, after, port string, s sequence) {
	if hs[what] == nil {
		hs[what] = &leak{port: port, sequence: s}
	}
	hs[what].after = append(hs[what].after, after)
}

// report reduces every leak and fails the test with it.
func (hs holes) report(t *testing.T, a *attackers) {
	t.Helper()
	for n, what := range slices.Sorted(maps.Keys(hs)) {
		l := hs[what]
		if n >= maxHoles {
			t.Errorf("%s: it gets through after: %s%s", what, strings.Join(l.after, "; "), l.sequence)
			continue
		}
		switch h, err := a.reduce(t.Context(), l.port, l.sequence); {
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case h == nil:
			t.Errorf("%s: it got through once, after: %s, and not again%s\nmegaflows then:\n%s", what, strings.Join(l.after, "; "), l.sequence, a.megaflowsOf(l.port))
		default:
			t.Errorf("%s: it gets through after: %s\n%s", what, strings.Join(l.after, "; "), h)
		}
	}
	if len(hs) > 0 {
		t.Errorf("%d frames got through", len(hs))
	}
}

// TestShuffled plays the whole suite under every policy in a random order, and never
// empties the megaflow cache.
func TestShuffled(t *testing.T) {
	t.Logf("seed %d: repeat with -conformance.shuffle=%d", *shuffleSeed, *shuffleSeed)
	policies := Policies()
	a := newAttackers(t, 1, policies...)
	if err := a.fresh(); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(*shuffleSeed, 0))
	order := map[string]sequence{}
	for _, p := range policies {
		port := a.of(p.Name)[0]
		for _, f := range Frames() {
			order[port] = append(order[port], f.Bytes(a.vifs[port]))
		}
		random.Shuffle(len(order[port]), func(i, j int) { s := order[port]; s[i], s[j] = s[j], s[i] })
	}
	found, count := holes{}, tallies{}
	for n := range Frames() {
		sequences := map[string]sequence{}
		for port, s := range order {
			sequences[port] = s[n : n+1]
		}
		results, err := a.play(t.Context(), sequences)
		if err != nil {
			t.Error(err)
		}
		for port, r := range results {
			count.add(sequences[port], r)
			if len(r.leaked) > 0 {
				found.add(fmt.Sprintf("policy %s: %x", a.names[port], order[port][n]), "others", port, order[port][:n+1])
			}
		}
	}
	t.Log(count)
	found.report(t, a)
}
