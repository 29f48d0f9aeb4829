package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/conformance/oracle"
)

// sequence is frames that one VIF sends, each when the switch has dealt with the one
// before: what one leaves in the megaflow cache is what the next one meets.
type sequence [][]byte

func (s sequence) String() string { return hexes(s) }

// attackers are guarded VIFs whose policies and identities are known.
type attackers struct {
	*guarded
	names    map[string]string // of the policies
	vifs     map[string]*VIF
	policies map[string]*model.Policy
}

// newAttackers guards a number of VIFs under each of several policies.
func newAttackers(tb testing.TB, each int, policies ...Policy) *attackers {
	a := &attackers{names: map[string]string{}, vifs: map[string]*VIF{}, policies: map[string]*model.Policy{}}
	keys := map[string]keysOfPort{}
	for _, p := range policies {
		for range each {
			n := len(keys) + 1
			port := fmt.Sprintf("vif%d", n)
			a.names[port] = p.Name
			a.vifs[port] = NewVIF(byte(n))
			keys[port] = p.ExternalIDs(a.vifs[port])
			policy := resolve(keys[port])
			a.policies[port] = &policy
		}
	}
	a.guarded = guard(tb, keys)
	a.keepMegaflows()
	return a
}

// keepMegaflows has the switch keep those that nobody meets any more, which would go after
// ten seconds.
func (a *attackers) keepMegaflows() {
	a.MustVsctl("set", "Open_vSwitch", ".", "other_config:max-idle=3600000")
}

// of returns the ports of a policy.
func (a *attackers) of(policy string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(a.names)), func(port string) bool { return a.names[port] != policy })
}

// mayPass reports whether the contract lets a frame of a port through, as far as an Open
// vSwitch can see.
func (a *attackers) mayPass(port string, frame []byte) bool {
	pass, _ := oracle.JudgeSeen(a.policies[port], frame)
	return pass
}

// played is what became of a sequence.
type played struct {
	leaked []int // indexes of frames that arrived and must not
	futile []int // the same of harmless ones
	lost   []int // indexes of frames that must arrive and didn't
}

// play has every port send its sequence, beside the others, and returns what became of
// each. No frame may occur twice in a sequence.
func (a *attackers) play(ctx context.Context, sequences map[string]sequence) (map[string]played, error) {
	longest := 0
	for _, s := range sequences {
		longest = max(longest, len(s))
	}
	for n := range longest {
		for port, s := range sequences {
			if n < len(s) {
				if err := a.inject(port, s[n]); err != nil {
					return nil, err
				}
			}
		}
		if err := a.installed(ctx); err != nil {
			return nil, err
		}
	}
	fresh, err := a.injection.collect(ctx)
	if err != nil {
		return nil, err
	}
	arrived := map[string]int{}
	for _, f := range fresh {
		arrived[string(untagged(f))]++
	}
	results := map[string]played{}
	for port, s := range sequences {
		results[port] = a.compare(port, s, arrived)
	}
	if len(arrived) > 0 {
		return results, fmt.Errorf("%d frames arrived that nobody sent, one of them %x", len(arrived), slices.Collect(maps.Keys(arrived))[0])
	}
	return results, nil
}

// tallies counts what became of the frames of many sequences.
type tallies struct{ sequences, frames, leaked, futile, lost int }

func (c *tallies) add(s sequence, p played) {
	c.sequences++
	c.frames += len(s)
	c.leaked += len(p.leaked)
	c.futile += len(p.futile)
	c.lost += len(p.lost)
}

func (c tallies) String() string {
	return fmt.Sprintf("%d sequences, %d frames: %d got through; %d more did that no receiver takes or that say nothing forbidden; %d that may pass didn't, because of what their own VIF had sent before",
		c.sequences, c.frames, c.leaked, c.futile, c.lost)
}

// compare says which frames of a sequence fared otherwise than they should, and removes
// the sequence's frames from what arrived. Frames that differ in their VLAN tag alone
// may look the same on arrival: then it is the last one that has leaked.
func (a *attackers) compare(port string, s sequence, arrived map[string]int) played {
	var p played
	expected := map[string]int{}
	for _, frame := range s {
		if d := delivered(frame); d != nil && a.mayPass(port, frame) {
			expected[string(d)]++
		}
	}
	for n, frame := range slices.Backward(s) {
		d := string(delivered(frame))
		switch pass := a.mayPass(port, frame); {
		case d == "": // can't be told from one that was dropped
		case pass && arrived[d] < expected[d]:
			p.lost = append(p.lost, n)
			expected[d]--
		case pass || arrived[d] <= expected[d]:
		case harmless(a.policies[port], frame):
			p.futile = append(p.futile, n)
			arrived[d]--
		default:
			p.leaked = append(p.leaked, n)
			arrived[d]--
		}
	}
	for _, frame := range s {
		delete(arrived, string(delivered(frame)))
	}
	slices.Reverse(p.leaked)
	return p
}

// fresh empties the megaflow cache.
func (a *attackers) fresh() error { return a.Purge() }

// leaks plays a sequence with an empty cache, and reports whether its last frame arrives
// although it must not.
func (a *attackers) leaks(ctx context.Context, port string, s sequence) (bool, error) {
	if err := a.fresh(); err != nil {
		return false, err
	}
	results, err := a.play(ctx, map[string]sequence{port: s})
	return slices.Contains(results[port].leaked, len(s)-1), err
}

// hole is a shortest sequence whose last frame gets through.
type hole struct {
	port, policy string
	sequence     sequence
	megaflows    string // what the datapath holds for the port afterwards
}

func (h *hole) String() string {
	return fmt.Sprintf("policy %s: the last frame arrives, and must not%s\nmegaflows:\n%s", h.policy, h.sequence, h.megaflows)
}

// reduce finds the shortest sequence that still lets the last frame through, by delta
// debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input").
// It returns nil when the last frame doesn't get through again.
func (a *attackers) reduce(ctx context.Context, port string, s sequence) (*hole, error) {
	last := s[len(s)-1]
	before, err := minimize(s[:len(s)-1], func(part [][]byte) (bool, error) {
		return a.leaks(ctx, port, append(slices.Clone(part), last))
	})
	if errors.Is(err, errNotReproduced) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := &hole{port: port, policy: a.names[port], sequence: append(before, last)}
	// The megaflows are those of this sequence alone.
	_, err = a.leaks(ctx, port, h.sequence)
	h.megaflows = a.megaflowsOf(port)
	return h, err
}

// megaflowsOf lists the datapath's flows of a port.
func (a *attackers) megaflowsOf(port string) string {
	out, err := a.Appctl("dpctl/dump-flows", "--names", "-m")
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "in_port("+port+")") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

// errNotReproduced is returned when the whole sequence doesn't fail.
var errNotReproduced = errors.New("the failure doesn't happen again")

// minimize returns a part of frames, in order, that still fails and from which no frame
// can be left out.
func minimize(frames [][]byte, fails func(part [][]byte) (bool, error)) ([][]byte, error) {
	if failed, err := fails(frames); err != nil || !failed {
		return nil, errors.Join(err, errNotReproduced)
	}
	// Mostly one frame is enough, and mostly the last ones are to blame.
	for _, f := range slices.Backward(frames) {
		if failed, err := fails([][]byte{f}); err != nil || failed {
			return [][]byte{f}, err
		}
	}
	for parts := 2; len(frames) > 1; {
		size := (len(frames) + parts - 1) / parts
		shorter := -1
		for at := 0; at < len(frames) && shorter < 0; at += size {
			rest := slices.Concat(frames[:at], frames[min(at+size, len(frames)):])
			failed, err := fails(rest)
			if err != nil {
				return nil, err
			}
			if failed {
				shorter = at
				frames = rest
			}
		}
		switch {
		case shorter >= 0:
			parts = max(parts-1, 2)
		case size == 1:
			return frames, nil
		default:
			parts = min(parts*2, len(frames))
		}
	}
	return frames, nil
}

// Minimize finds what is needed, wherever it is.
func TestMinimize(t *testing.T) {
	frames := make([][]byte, 20)
	for n := range frames {
		frames[n] = []byte{byte(n)}
	}
	for _, needed := range [][]byte{{0}, {19}, {3, 4}, {0, 19}, {2, 9, 17}, {0, 1, 2, 3}} {
		got, err := minimize(frames, func(part [][]byte) (bool, error) {
			return !slices.ContainsFunc(needed, func(b byte) bool { return !bytes.Contains(slices.Concat(part...), []byte{b}) }), nil
		})
		if err != nil || !bytes.Equal(slices.Concat(got...), needed) {
			t.Errorf("want %v, got %v, %v", needed, got, err)
		}
	}
	if _, err := minimize(frames, func([][]byte) (bool, error) { return false, nil }); !errors.Is(err, errNotReproduced) {
		t.Errorf("what doesn't fail is minimized: %v", err)
	}
}
