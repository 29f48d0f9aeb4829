package bridge

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
)

// Times of a worker.
const (
	maxIdleRetry  = 30 * time.Second // between attempts at a bridge that was never guarded
	switchTimeout = 30 * time.Second // limit of one exchange with the switch
)

// A comparison with the switch takes time that grows with its flows. Those that only
// make sure that nothing was missed may take this part of it all, those that an update
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
}

// Worker keeps one bridge's flows as its target asks. It is the only owner of the
// bridge's OpenFlow session.
type Worker struct {
	Config
	log  *logrus.Entry
	wake chan struct{} // capacity 1
	want atomic.Pointer[Target]
	done atomic.Pointer[Report]
	seen atomic.Pointer[sight]

	sampling *sampling // nil for none; only touched by run
	floods   *floods   // only touched by run

	// Below: only touched by run.
	conn     *openflow.Conn
	watched  *flows.Pipeline // of which tables the session was asked to tell changes
	watches  bool            // it does tell
	ledger   ledger
	inSync   bool          // the ledger holds what the switch has
	resumed  bool          // the switch was compared since the session began
	released bool          // nothing of ours is left on the switch
	foreign  int           // flows of others in our tables that take precedence
	exposed  *Unguarded    // the last one
	checked  time.Time     // when the fragment mode was last read
	compared time.Time     // when the last comparison ended
	told     time.Time     // when the switch last told of a change by others
	took     time.Duration // what it took
	retry    Retry
}

// NewWorker returns a worker that does nothing until Run.
func NewWorker(c Config) *Worker {
	w := &Worker{Config: c, log: c.Log.WithField("bridge", c.Bridge), wake: make(chan struct{}, 1)}
	w.seen.Store(&sight{})
	w.sampling = newSampling(c.SampleRate, w, c.Journal)
	if c.Floods == nil {
		c.Floods = &defaultFloodTimes
	}
	w.floods = newFloods(*c.Floods, w)
	return w
}

// Bridge returns the bridge's name.
func (w *Worker) Bridge() string { return w.Config.Bridge }

// Report returns what the switch has confirmed; nil before it has confirmed anything. It
// may be called from any goroutine.
func (w *Worker) Report() *Report { return w.done.Load() }

// Aim gives the worker a new target.
func (w *Worker) Aim(t *Target) {
	w.want.Store(t)
	poke(w.wake)
}

// poke triggers a level-triggered channel of capacity 1.
func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. It leaves the flows as they are.
func (w *Worker) Run(ctx context.Context) {
	defer w.hangUp()
	for ctx.Err() == nil {
		w.wait(ctx, w.work(ctx))
	}
}

// wait returns when there may be something to do.
func (w *Worker) wait(ctx context.Context, again <-chan time.Time) {
	var check <-chan time.Time
	if w.inSync {
		timer := time.NewTimer(time.Until(w.checked.Add(w.CheckInterval)))
		defer timer.Stop()
		check = timer.C
	}
	var flood <-chan time.Time
	if w.inSync && len(w.ledger.limits) > 0 {
		timer := time.NewTimer(time.Until(w.floods.due()))
		defer timer.Stop()
		flood = timer.C
	}
	for {
		// Flows that others keep changing may not keep the worker busy.
		var disturbed <-chan struct{}
		var calm <-chan time.Time
		if busy := time.Until(w.compared.Add(disturbShare * w.took)); busy > 0 {
			calm = time.After(busy)
		} else if w.conn != nil {
			disturbed = w.conn.Disturbed()
		}
		select {
		case <-calm:
			continue
		case <-ctx.Done():
		case <-w.wake:
		case <-again:
		case <-flood:
		case <-w.lost():
			w.log.WithError(w.conn.Err()).Warn("OpenFlow session lost; flows stay as they are")
			w.hangUp()
		case <-disturbed:
			w.inSync, w.told = false, time.Now()
		case <-check:
			w.inSync = !w.compareDue()
		}
		return
	}
}

// compareDue reports whether it is time for a comparison that nothing asks for.
func (w *Worker) compareDue() bool {
	interval := w.CheckInterval
	if w.watches {
		// The switch tells of changes; what is left is to make sure.
		interval = max(interval, CheckShare*w.took)
	}
	return time.Since(w.compared) >= interval-w.CheckInterval/2 // at the check that is nearest
}

// lost returns a channel that is closed when the session ends; nil without one.
func (w *Worker) lost() <-chan struct{} {
	if w.conn == nil {
		return nil
	}
	return w.conn.Done()
}

func (w *Worker) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.sampling.detach()
		w.conn = nil
	}
	w.inSync = false
	w.see(func(s *sight) { s.connected = false })
}

// see changes what the worker shows of its switch.
func (w *Worker) see(change func(*sight)) {
	s := *w.seen.Load()
	change(&s)
	w.seen.Store(&s)
}

// work brings the bridge to the wanted target and reports. It returns a channel that
// fires when it should be tried again; nil when there is nothing to repeat.
func (w *Worker) work(ctx context.Context) <-chan time.Time {
	t := w.want.Load()
	if t == nil || (!t.Config.Guarded && w.released) {
		return nil
	}
	if !t.Config.Usable {
		w.publish(&Report{Target: t, Problem: t.Config.Problems.String()})
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	began := time.Now()
	err := w.achieve(ctx, t)
	if err == nil {
		w.retry = Retry{}
		return nil
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil // shutting down
	}
	w.hangUp()
	if t.Config.Guarded {
		w.Config.Metrics.Reconciled(metrics.Failed, time.Since(began))
	}
	w.remind(err, t)
	w.fail(t, err)
	limit := MaxRetry
	if !t.Config.Guarded && w.ledger.target == nil {
		limit = maxIdleRetry
	}
	return time.After(w.retry.Next(limit))
}

// remind says why the worker waits. A bridge that isn't guarded is nobody's worry.
func (w *Worker) remind(err error, t *Target) {
	if !t.Config.Guarded {
		w.log.WithError(err).Debug("can't look for flows to remove")
	} else if w.retry.Remind() {
		w.log.WithError(err).Warn("waiting for the bridge's switch")
	}
}

// fail reports that a target can't be reached for now. What was achieved before stays
// in the report.
func (w *Worker) fail(t *Target, err error) {
	r := Report{Target: t}
	if last := w.done.Load(); last != nil {
		r = *last
	}
	r.Problem, r.Released = err.Error(), false
	w.publish(&r)
}

func (w *Worker) publish(r *Report) {
	if old := w.done.Load(); old != nil && old.Target == r.Target && old.Problem == r.Problem && old.Released == r.Released && old.Unguarded == r.Unguarded && slices.Equal(old.VIFs, r.VIFs) {
		return
	}
	w.done.Store(r)
	w.Config.Changed()
}

// achieve makes the switch match the target and publishes the outcome.
func (w *Worker) achieve(ctx context.Context, t *Target) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if !t.Config.Guarded {
		return w.release(ctx, t)
	}
	w.released = false
	if err := w.watch(ctx, t.pipeline()); err != nil {
		return err
	}
	if err := w.sampling.attach(ctx, w.conn); err != nil {
		return err
	}
	if w.failModeChanged(t) {
		w.inSync = false // Open vSwitch has cleared all flows
	}
	if !w.inSync || time.Since(w.checked) >= w.CheckInterval {
		// The one thing that the switch never tells of. Asking costs little.
		if err := w.ensureFragmentMode(ctx); err != nil {
			return err
		}
		w.checked = time.Now()
	}
	if w.inSync {
		if err := w.floods.look(ctx, w.conn, &w.ledger); err != nil {
			return err
		}
	}
	if err := w.program(ctx, t); err != nil {
		return err
	}
	w.publish(&Report{Target: t, VIFs: w.ledger.vifs, Guarded: w.ledger.guarded, shared: len(w.ledger.shared), Unguarded: w.exposed})
	return nil
}

// connect opens a session where there is none.
func (w *Worker) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := openflow.Dial(ctx, w.Socket)
	if err != nil {
		return err
	}
	w.conn, w.resumed, w.watched = conn, false, nil
	w.see(func(s *sight) { s.connected = true })
	w.log.Debug("OpenFlow session open")
	return nil
}

// watch has the switch tell of changes that others make to what matters here. A session
// watches once, so other tables need another one.
func (w *Worker) watch(ctx context.Context, p flows.Pipeline) error {
	if w.watched != nil && *w.watched != p {
		w.hangUp()
		if err := w.connect(ctx); err != nil {
			return err
		}
	}
	if w.watched != nil {
		return nil
	}
	w.watched = &p
	err := w.conn.Watch(ctx, p.Tables(), func(u openflow.FlowUpdate) bool {
		_, _, own := flows.SplitCookie(u.Cookie)
		return own || (!u.Deleted && p.Shadows(flows.Key{Table: u.Table, Priority: u.Priority}))
	})
	w.watches = err == nil
	var refused *openflow.SwitchError
	if errors.As(err, &refused) {
		w.log.WithError(err).Info("the switch doesn't tell of changes by others; relying on comparisons alone")
		return nil
	}
	return err
}
