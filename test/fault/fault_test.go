package fault

import (
	"fmt"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// fault is one case. Everything around it is the same for all: a bridge with three
// guarded guests and traffic of all shapes before, during and after the fault.
type fault struct {
	name    string // what happens
	promise string // what the agent promises then

	settings []string                  // of the bridge
	prepare  func(*scene)              // before the traffic starts; nil: guard
	streams  func(*scene) []lab.Stream // nil: all honest frames and all lies of every guest
	rate     int                       // frames a second of each stream; 0: usualRate
	strike   func(*scene, *result)     // returns when everything is as promised again
	lost     func(lab.Stream) bool     // whose frames may be lost until then; nil: nobody's
	leaked   func(lab.Stream) bool     // whose lies may pass until then; nil: nobody's
	waits    bool                      // mostly waits, so it runs beside others of its kind
	steady   bool                      // nothing has to recover
	after    func(*scene)              // looks at the state when the traffic is over; nil: nothing
}

// usualRate is safe: a port's socket in the switch holds what nine streams of it send
// in a quarter of a second.
const usualRate = 100

// result is what was measured of a case.
type result struct {
	*fault
	struck    time.Time // when the fault happened
	recovered time.Time // when everything was as promised
	tally     *lab.Tally
}

// now sets the moment of the fault, where that isn't the beginning of strike.
func (r *result) now() { r.struck = time.Now() }

// anyone is everybody's frames; only is one guest's.
func anyone(lab.Stream) bool { return true }

func only(name string) func(lab.Stream) bool {
	return func(s lab.Stream) bool { return s.From.Port == name }
}

func kind(name string) func(lab.Stream) bool {
	return func(s lab.Stream) bool { return s.Kind == name }
}

// attempts is how often a case is tried when the machine was too slow to feed the
// switch: such a run says nothing about the agent. From the third on, each has half the
// rate of the one before.
const attempts = 5

func TestFaults(t *testing.T) {
	results := make([]*result, len(faults))
	t.Run("alone", func(t *testing.T) {
		for n := range faults {
			if f := &faults[n]; !f.waits {
				t.Run(f.name, func(t *testing.T) { results[n] = f.measure(t) })
			}
		}
	})
	t.Run("together", func(t *testing.T) {
		for n := range faults {
			if f := &faults[n]; f.waits {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel()
					results[n] = f.measure(t)
				})
			}
		}
	})
	if *update && !t.Failed() {
		writeDocument(t, results)
	}
}

// measure runs a case until the machine was fast enough for it.
func (f *fault) measure(t *testing.T) *result {
	rate := f.rate
	if rate == 0 {
		rate = usualRate
	}
	for n := range attempts {
		r := f.run(t, rate>>max(0, n-1))
		if full := r.tally.Overflow; full > 0 && f.lost == nil && n < attempts-1 {
			t.Logf("the machine is too slow: %d frames never reached the switch; once more", full)
			continue
		}
		if *update && n > 1 {
			t.Error("measured with a lower rate than the case says; use a quieter machine")
		}
		r.check(t)
		return r
	}
	return nil
}

// run plays a case once.
func (f *fault) run(t *testing.T, rate int) *result {
	s := newScene(t, f.settings...)
	if f.prepare != nil {
		f.prepare(s)
	} else {
		s.guard()
	}
	var streams []lab.Stream
	if f.streams != nil {
		streams = f.streams(s)
	} else {
		streams = s.streams()
	}
	for n := range streams {
		if streams[n].Rate == 0 {
			streams[n].Rate = rate
		}
	}
	s.run(streams)
	r := &result{fault: f}
	r.now()
	f.strike(s, r)
	r.recovered = time.Now()
	s.flowing()
	var err error
	if r.tally, err = s.traffic.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.after != nil {
		f.after(s)
	}
	return r
}

// recovery is how long it took until everything was as promised.
func (r *result) recovery() time.Duration { return r.recovered.Sub(r.struck) }

// check fails the test when a frame had the wrong fate that the case doesn't allow, or
// before the fault or after the recovery.
func (r *result) check(t *testing.T) {
	t.Helper()
	legitimate, spoofed := r.tally.Sent()
	t.Logf("%d legitimate frames, %d lost; %d spoofed, %d leaked; recovered in %s",
		legitimate, r.tally.Lost().Frames, spoofed, r.tally.Leaked().Frames, r.recovery().Round(time.Millisecond))
	for _, c := range r.tally.Streams {
		may, what := r.lost, "lost"
		if c.Spoofed {
			may, what = r.leaked, "leaked"
		}
		if err := r.fate(&c, may != nil && may(c.Stream)); err != nil {
			t.Errorf("%s of %s: %d of %d %s, %v", c.Kind, c.From.Port, len(c.Wrong), c.Sent, what, err)
		}
	}
	if t.Failed() {
		t.Logf("struck %s, recovered %s\n%s", r.struck.Format(clock), r.recovered.Format(clock), r.tally)
	}
}

const clock = "15:04:05.000"

// inFlight is how long before the fault a frame may have been sent that it caught.
const inFlight = 500 * time.Millisecond

func (r *result) fate(c *lab.Count, may bool) error {
	if len(c.Wrong) == 0 {
		return nil
	}
	first, last := c.Wrong[0], c.Wrong[len(c.Wrong)-1]
	switch {
	case !may:
		return fmt.Errorf("from %s to %s", first.Format(clock), last.Format(clock))
	case first.Before(r.struck.Add(-inFlight)):
		return fmt.Errorf("the first %s before the fault", r.struck.Sub(first))
	case last.After(r.recovered):
		return fmt.Errorf("the last %s after the recovery", last.Sub(r.recovered))
	}
	return nil
}
