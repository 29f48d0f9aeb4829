package drops

import (
	"slices"
	"time"

	"github.com/vifguard/vifguard/model/frame"
)

// Limits of what one bridge's guests can make an agent say.
const (
	Window       = 10 * time.Second // after which repetitions are summed up
	newPerWindow = 5                // claims of one VIF and reason that get a line of their own in a window
	linesRate    = 20               // lines per second of all VIFs
	linesBurst   = 200
	admitRate    = 2000 // samples per second that are read
	admitBurst   = 2000
	maxWindow    = 64 // claims that are distinguished in a flood
)

// Fold turns the samples of one bridge into events: the first of its kind at once,
// what repeats itself as a sum every [Window]. Samples are distinguished by their rule's
// cookie, which stands for a VIF and a reason, and within that by what they claim.
//
// It keeps account of the rule's packet counter, so that sums are of what the switch
// has counted and not of what was sampled: in the end every packet is in exactly one
// event. It is not safe for concurrent use.
type Fold struct {
	groups map[uint64]*group
	lines  bucket
	admit  bucket
}

// group is what came in of one VIF and reason.
type group struct {
	opened  time.Time                // start of the window; zero when it is over and nothing came
	claims  map[frame.Claim]struct{} // since the flood began
	shown   int                      // lines in this window
	pending uint64                   // samples without one
	last    *Sample

	reported uint64 // of the counter: packets that are in an event
	counted  uint64 // its last known value
}

// NewFold returns a Fold that knows of nothing.
func NewFold() *Fold {
	return &Fold{
		groups: make(map[uint64]*group),
		lines:  bucket{rate: linesRate, burst: linesBurst},
		admit:  bucket{rate: admitRate, burst: admitBurst},
	}
}

// Admit reports whether there is time to read one more sample. Those that aren't
// read are still in the sums, by the switch's counter.
func (f *Fold) Admit(now time.Time) bool { return f.admit.take(now) }

// Baseline says what a rule has counted before anything of it was sampled.
func (f *Fold) Baseline(cookie, packets uint64) {
	if f.groups[cookie] == nil && packets > 0 {
		f.groups[cookie] = &group{reported: packets, counted: packets}
	}
}

// Sample takes a sample of a rule. It returns an event, or nil when the sample will be
// part of a sum.
func (f *Fold) Sample(now time.Time, cookie uint64, s Sample) *Event {
	g := f.groups[cookie]
	if g == nil {
		g = &group{}
		f.groups[cookie] = g
	}
	if g.opened.IsZero() {
		g.opened, g.claims = now, make(map[frame.Claim]struct{})
	}
	g.last = &s
	_, known := g.claims[s.Claim]
	if !known && len(g.claims) < maxWindow {
		g.claims[s.Claim] = struct{}{}
	}
	if known || g.shown >= newPerWindow || len(g.claims) >= maxWindow || !f.lines.take(now) {
		g.pending++
		return nil
	}
	g.shown++
	g.reported++
	e := s.event(now)
	return &e
}

// Due returns the cookies whose window is over, in ascending order: their counters
// should be read and given to [Fold.Close].
func (f *Fold) Due(now time.Time) []uint64 {
	var due []uint64
	for cookie, g := range f.groups {
		if !g.opened.IsZero() && now.Sub(g.opened) >= Window {
			due = append(due, cookie)
		}
	}
	slices.Sort(due)
	return due
}

// Close ends a window and returns what there was beside the events so far, or nil if
// that is nothing. packets is the rule's counter; known is false when it couldn't be
// read.
func (f *Fold) Close(now time.Time, cookie, packets uint64, known bool) *Event {
	g := f.groups[cookie]
	if g == nil || g.opened.IsZero() {
		return nil
	}
	more, exact := g.more(packets, known)
	if more > 0 && !f.lines.take(now) {
		return nil // the window stays open
	}
	var e *Event
	if more > 0 {
		sum := g.last.event(now)
		sum.More = &More{Packets: more, Exact: exact, Seconds: int(now.Sub(g.opened).Seconds() + 0.5), Claims: len(g.claims)}
		e = &sum
	}
	switch {
	case known && exact:
		g.reported, g.counted = max(packets, g.reported), packets
	case known:
		g.reported, g.counted = packets, packets
	}
	if more == 0 && g.pending == 0 {
		g.opened, g.claims = time.Time{}, nil
	} else {
		g.opened = now
	}
	g.shown, g.pending = 0, 0
	return e
}

// Unsampled takes the counter of a rule that isn't sampled at the moment, because another rule of
// the same VIF has used up what its meter lets through: a flood must not hide
// what else a guest does. like is the cookie of that other rule.
func (f *Fold) Unsampled(now time.Time, like, cookie uint64, reason string, packets uint64) *Event {
	other, g := f.groups[like], f.groups[cookie]
	if g == nil {
		g = &group{}
	}
	more, exact := g.more(packets, true)
	if other == nil || other.last == nil || !g.opened.IsZero() || more == 0 || !f.lines.take(now) {
		return nil
	}
	f.groups[cookie] = g
	g.reported, g.counted = packets, packets
	return &Event{
		Time: now.UTC(), VIF: other.last.VIF, Reason: reason, Passed: other.last.Passed,
		More: &More{Packets: more, Exact: exact, Seconds: int(Window.Seconds())},
	}
}

// more returns how many packets are in no event yet. A counter lags behind by up to a
// second, so it may be less than what was reported; when it has gone back, the switch has
// a new rule, and what the old one counted last is lost.
func (g *group) more(packets uint64, known bool) (n uint64, exact bool) {
	switch {
	case !known:
		return g.pending, false
	case packets < g.counted:
		return max(packets, g.pending), false
	case packets < g.reported:
		return 0, true
	}
	return packets - g.reported, true
}

// Retain forgets rules that aren't there any more, unless they have something to say.
func (f *Fold) Retain(exists func(cookie uint64) bool) {
	for cookie, g := range f.groups {
		if g.opened.IsZero() && !exists(cookie) {
			delete(f.groups, cookie)
		}
	}
}
