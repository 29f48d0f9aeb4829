package bridge

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/exposure/probe"
	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Times of a worker.
const (
	maxIdleRetry  = 30 * time.Second // between attempts at a bridge that was never guarded
	switchTimeout = 30 * time.Second // limit of one exchange with the switch
)

// A comparison with the switch takes time that grows with its flows. Those that only
// make sure that nothing was missed may take this part of all time, those that an update
// of the switch asks for a larger one.
const (
	CheckShare   = 200 // 1/200: 0.5 %
	disturbShare = 10  // 1/10
)

// Config is what a worker needs to know of its bridge.
type Config struct {
	Bridge        string        // its name
	Socket        string        // its management socket
	CheckInterval time.Duration // between comparisons with the real flows
	SampleRate    int           // refused packets per second and port that the switch sends at most; 0 for none
	Floods        *FloodTimes   // nil for the default
	Log           *logrus.Entry
	Metrics       *metrics.Bridge
	Journal       *drops.Journal // of refused frames
	Changed       func()         // called when there is a new Report; it must not block

	// Remade says that the bridge replaces a guarded one of the same name. What it let pass
	// until it was programmed counts as unguarded, though nothing was in force on it before.
	Remade bool

	// Probe reads what decides about frames beside the tables; nil for the bridge's real
	// switch.
	Probe Probe

	// Dial opens an OpenFlow session; nil for the bridge's real switch.
	Dial func(ctx context.Context, socket string) (Switch, error)
}

// Worker keeps one bridge's flows as its target asks. It is the only owner of the
// bridge's OpenFlow session. Only Run touches what lies below mailbox.
type Worker struct {
	Config
	log *logrus.Entry
	mailbox

	phase    phase
	retry    Retry
	session  *session // nil without one
	ledger   ledger
	refusals map[string]flows.Refusal // by Interface row UUID
	floods   *floods
	sampler  sampler
	last     comparison

	judgement judgement
}

// mailbox is what a worker exchanges with other goroutines: immutable values, each written
// by one side.
type mailbox struct {
	wake     chan struct{} // capacity 1
	want     atomic.Pointer[Target]
	host     atomic.Pointer[model.Host] // the newest view
	done     atomic.Pointer[Report]
	observed atomic.Pointer[observation]
}

// comparison is what the last comparison with the switch has shown, and when.
type comparison struct {
	ended     time.Time
	took      time.Duration
	disturbed time.Time  // when the switch last told that others have changed flows
	foreign   int        // flows of others that take precedence over the checks
	unguarded *Unguarded // the last time without checks
}

// NewWorker returns a worker that does nothing until Run.
func NewWorker(c Config) *Worker {
	if c.Floods == nil {
		c.Floods = &defaultFloodTimes
	}
	if c.Dial == nil {
		c.Dial = dialSwitch
	}
	if c.Probe == nil {
		c.Probe = &probe.Reader{RunDir: filepath.Dir(c.Socket), Bridge: c.Bridge}
	}
	log := c.Log.WithField("bridge", c.Bridge)
	w := &Worker{
		Config: c, log: log, mailbox: mailbox{wake: make(chan struct{}, 1)},
		refusals: make(map[string]flows.Refusal), floods: newFloods(*c.Floods, log, c.Metrics),
	}
	w.sampler = sampler{rate: uint32(c.SampleRate), log: log, reader: newSampleReader(c.Journal, w.want.Load)}
	w.observed.Store(&observation{})
	return w
}

// Bridge returns the bridge's name.
func (w *Worker) Bridge() string { return w.Config.Bridge }

// Inform gives the worker the newest view of the host. What it changes beside the bridge's
// own target is considered with the next comparison. Any goroutine may call it.
func (w *Worker) Inform(h *model.Host) { w.host.Store(h) }

// Aim gives the worker a new target. Any goroutine may call it.
func (w *Worker) Aim(t *Target) {
	w.Inform(t.Host)
	w.want.Store(t)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Report returns what the switch has confirmed; nil before it has confirmed anything. Any
// goroutine may call it.
func (w *Worker) Report() *Report { return w.done.Load() }

// Run works until ctx ends. It leaves the flows as they are.
func (w *Worker) Run(ctx context.Context) {
	defer w.hangUp()
	for ctx.Err() == nil {
		w.step(ctx)
		w.handle(w.wait(ctx))
	}
}

// enter moves to the phase that follows an event.
func (w *Worker) enter(e event) { w.phase = w.phase.next(e) }

// step does what the phase asks for. It always starts from the newest target.
func (w *Worker) step(ctx context.Context) {
	t := w.want.Load()
	switch {
	case t == nil:
		return
	case !t.Config.Usable:
		w.enter(spoiled)
		w.publish(&Report{Target: t, Problem: t.Config.Problems.String()})
		return
	case t.Config.Guarded:
		w.enter(guarded)
	default:
		w.enter(optedOut)
	}
	if w.phase == released {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	began := time.Now()
	err := w.achieve(ctx, t)
	switch {
	case err == nil:
		w.retry = Retry{}
	case !errors.Is(ctx.Err(), context.Canceled): // otherwise it is shutting down
		w.fail(t, err, time.Since(began))
	}
}

// occasion is why a worker stops waiting.
type occasion uint8

const (
	newTarget    occasion = iota // or the worker is to end
	sessionEnded                 // the switch, or somebody between, has closed it
	flowsChanged                 // the switch tells that others have changed flows
	timePassed                   // the phase's deadline is over
)

// wait returns when there may be something to do. It changes nothing.
func (w *Worker) wait(ctx context.Context) occasion {
	var timeout <-chan time.Time
	if at, ok := w.deadline(); ok {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		timeout = timer.C
	}
	var gone, change <-chan struct{}
	if w.session != nil {
		gone = w.session.Done()
		if w.phase == inForce {
			change = w.session.Disturbed()
		}
	}
	select {
	case <-ctx.Done():
		return newTarget
	case <-w.wake:
		return newTarget
	case <-gone:
		return sessionEnded
	case <-change:
		return flowsChanged
	case <-timeout:
		return timePassed
	}
}

// handle enters what follows an occasion. A new target is considered by the next step.
func (w *Worker) handle(o occasion) {
	switch o {
	case newTarget:
	case sessionEnded:
		w.log.WithError(w.session.Err()).Warn("OpenFlow session lost; flows stay as they are")
		w.hangUp()
	case flowsChanged:
		w.last.disturbed = time.Now()
		w.enter(changed)
	case timePassed:
		w.expire(time.Now())
	}
}

// deadline returns when the worker has to act if nothing happens; ok is false for never.
func (w *Worker) deadline() (at time.Time, ok bool) {
	switch w.phase {
	case unreachable:
		return w.retry.at, true
	case comparing:
		return time.Time{}, true // at once
	case inForce:
		return w.nextCheck(), true
	case disturbed:
		return earlier(w.nextCheck(), w.pauseEnd()), true
	case idle, unusable, released:
	}
	return time.Time{}, false
}

// nextCheck returns when there is something to read from a switch that is in force.
func (w *Worker) nextCheck() time.Time {
	at := w.session.checked.Add(w.CheckInterval)
	if len(w.ledger.limits) > 0 {
		at = earlier(at, w.floods.due())
	}
	return at
}

// pauseEnd returns when changes by others may be answered with the next comparison: flows
// that others keep changing don't keep the worker busy.
func (w *Worker) pauseEnd() time.Time { return w.last.ended.Add(disturbShare * w.last.took) }

// expire enters what follows a deadline.
func (w *Worker) expire(now time.Time) {
	switch {
	case w.phase == unreachable, w.phase == disturbed && !now.Before(w.pauseEnd()):
		w.enter(due)
	case w.phase.known() && w.comparisonDue(now):
		w.enter(stale)
	}
}

// comparisonDue reports whether it is time for a comparison that nothing asks for.
func (w *Worker) comparisonDue(now time.Time) bool {
	if now.Sub(w.session.checked) < w.CheckInterval {
		return false // it is made together with the check that is nearest
	}
	interval := w.CheckInterval
	if w.session.watches {
		// The switch tells of changes; what is left is to make sure.
		interval = max(interval, CheckShare*w.last.took)
	}
	return now.Sub(w.last.ended) >= interval-w.CheckInterval/2
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// fail notes that a target can't be reached for now. What was achieved before stays in the
// report.
func (w *Worker) fail(t *Target, err error, took time.Duration) {
	w.hangUp()
	w.enter(failed)
	limit := MaxRetry
	switch {
	case t.Config.Guarded:
		w.Config.Metrics.Reconciled(metrics.Failed, took)
		if w.retry.Remind() {
			w.log.WithError(err).Warn("waiting for the bridge's switch")
		}
	default: // nobody's worry
		w.log.WithError(err).Debug("can't read which flows to remove")
		if w.ledger.target == nil {
			limit = maxIdleRetry
		}
	}
	w.retry.Next(limit)
	r := Report{Target: t}
	if last := w.done.Load(); last != nil {
		r = *last
	}
	r.Problem, r.Released = err.Error(), false
	w.publish(&r)
}

// publish shows a report, unless it says what the last one says.
func (w *Worker) publish(r *Report) {
	if old := w.done.Load(); old != nil && old.same(r) {
		return
	}
	w.done.Store(r)
	w.Changed()
}

// same reports whether two reports say the same.
func (r *Report) same(o *Report) bool {
	return r.Target == o.Target && r.Problem == o.Problem && r.Released == o.Released && r.Unguarded == o.Unguarded && slices.Equal(r.VIFs, o.VIFs) && exposure.Equal(r.Findings, o.Findings)
}
