package conformance

import (
	"flag"
	"slices"
	"testing"
	"time"
)

var sequencesTime = flag.Duration("conformance.sequences", 5*time.Second, "how long TestSequences looks for sequences of frames that get one through")

const (
	sequenceLength = 8 // frames of a VIF between two looks at what has arrived
	sequenceRounds = 6 // sequences until the megaflow cache is emptied
	sequenceEpoch  = 8 // times that it is emptied until all policies change
)

// TestSequences has VIFs with random policies send random sequences, in which frames
// resemble each other, and reports the shortest ones after which a frame gets through
// that must not.
func TestSequences(t *testing.T) {
	t.Logf("seed %d: repeat with -conformance.seed=%d", *fuzzSeed, *fuzzSeed)
	f := newFuzzer(t, *fuzzSeed)
	a := &attackers{guarded: f.guarded, names: map[string]string{}, vifs: f.vifs, policies: f.policies}
	a.keepMegaflows()
	found, count := holes{}, tallies{}
	for end := time.Now().Add(*sequencesTime); time.Now().Before(end) && len(found) < maxReports; {
		f.changePolicies()
		for port, ids := range f.keys {
			a.names[port] = ids.text()
		}
		for n := 0; n < sequenceEpoch && time.Now().Before(end) && len(found) < maxReports; n++ {
			f.cached(a, &count, found)
		}
	}
	t.Log(count)
	if len(found) > 0 {
		t.Errorf("%d frames got through", len(found))
	}
}

// cached plays several sequences of every VIF with what the ones before have left in the
// megaflow cache, which is empty in the beginning.
func (f *fuzzer) cached(a *attackers, count *tallies, found holes) {
	if err := a.fresh(); err != nil {
		f.Fatal(err)
	}
	before := map[string]sequence{}
	for range sequenceRounds {
		sequences := map[string]sequence{}
		for _, port := range f.ports {
			sequences[port] = f.gen.sequence(f.vifs[port])
		}
		results, err := a.play(f.Context(), sequences)
		if err != nil {
			f.Error(err)
		}
		leaks := holes{}
		for port, s := range sequences {
			count.add(s, results[port])
			if leaked := results[port].leaked; len(leaked) > 0 {
				leaks.add(a.names[port], "", port, slices.Concat(before[port], s[:leaked[0]+1]))
			}
			before[port] = append(before[port], s...)
		}
		if len(leaks) > 0 {
			leaks.report(f.T, a)
			for what, l := range leaks {
				found[what] = l
			}
			return // the cache was emptied
		}
	}
}

// sequence returns random frames, of which most are like one of the suite. No two are
// the same.
func (g *generator) sequence(v *VIF) sequence {
	theme := pick(g, g.frames...).Bytes(v)
	like := variants(theme)
	var s sequence
	for len(s) < sequenceLength {
		frame := theme
		switch g.IntN(8) {
		case 0, 1, 2:
			frame = pick(g, like...).frame
		case 3, 4:
			frame = g.mutate(v, slices.Clone(theme))
		case 5:
			frame = g.mutate(v, slices.Clone(pick(g, like...).frame))
		case 6:
			frame = g.frame(v)
		}
		if len(frame) >= ethernetBytes && !slices.ContainsFunc(s, func(f []byte) bool { return string(f) == string(frame) }) {
			s = append(s, frame)
		}
	}
	return s
}
