package controller

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Times of a worker.
const (
	firstRetry     = 50 * time.Millisecond // before the second attempt to reach the switch
	maxRetry       = time.Second           // between attempts
	maxIdleRetry   = 30 * time.Second      // between attempts at a bridge that was never guarded
	remindInterval = 30 * time.Second      // between two messages that it still waits
	switchTimeout  = 30 * time.Second      // limit of one exchange with the switch
)

// worker keeps one bridge's flows as its target asks. It is the only owner of the
// bridge's OpenFlow session.
type worker struct {
	socket  string        // management socket
	check   time.Duration // between comparisons with the real flows
	log     *logrus.Entry
	wake    chan struct{} // capacity 1
	want    atomic.Pointer[target]
	done    atomic.Pointer[report]
	changed func() // called after done was set

	// Below: only touched by run.
	conn     *openflow.Conn
	ledger   ledger
	inSync   bool // the ledger holds what the switch has
	resumed  bool // the switch was compared since the session began
	released bool // nothing of ours is left on the switch
	foreign  int  // flows of others in our tables that take precedence
	retry    time.Duration
	reminded time.Time
}

// report is what a worker achieved: the switch has confirmed it. It is immutable.
type report struct {
	target   *target
	vifs     map[string]*vif // by Interface row UUID; nil when the bridge isn't guarded
	released bool            // nothing of ours is on the switch
	problem  string          // why the bridge couldn't be programmed; "" when it could
}

func newWorker(name, socket string, check time.Duration, log *logrus.Entry, changed func()) *worker {
	return &worker{
		socket: socket, check: check, changed: changed,
		log:  log.WithField("bridge", name),
		wake: make(chan struct{}, 1),
	}
}

// set gives the worker a new target.
func (w *worker) set(t *target) {
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

// run works until ctx ends. It leaves the flows as they are.
func (w *worker) run(ctx context.Context) {
	defer w.hangUp()
	tick := time.NewTicker(w.check)
	defer tick.Stop()
	for {
		again := w.work(ctx)
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-again:
		case <-w.lost():
			w.log.WithError(w.conn.Err()).Warn("OpenFlow session lost; flows stay as they are")
			w.hangUp()
		case <-tick.C:
			w.inSync = false
		}
	}
}

// lost returns a channel that is closed when the session ends; nil without one.
func (w *worker) lost() <-chan struct{} {
	if w.conn == nil {
		return nil
	}
	return w.conn.Done()
}

func (w *worker) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
	w.inSync = false
}

// work brings the bridge to the wanted target and reports. It returns a channel that
// fires when it should be tried again; nil when there is nothing to repeat.
func (w *worker) work(ctx context.Context) <-chan time.Time {
	t := w.want.Load()
	if t == nil || (!t.config.Guarded && w.released) {
		return nil
	}
	if !t.config.Usable {
		w.publish(&report{target: t, problem: t.config.Problems.String()})
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	err := w.achieve(ctx, t)
	if err == nil {
		w.retry, w.reminded = 0, time.Time{}
		return nil
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil // shutting down
	}
	w.hangUp()
	w.remind(err, t)
	limit := maxRetry
	if !t.config.Guarded && w.ledger.target == nil {
		limit = maxIdleRetry
	}
	w.retry = min(max(2*w.retry, firstRetry), limit)
	return time.After(w.retry)
}

// remind says why the worker waits: at once, and then every half minute. A bridge that
// isn't guarded is nobody's worry.
func (w *worker) remind(err error, t *target) {
	if !t.config.Guarded {
		w.log.WithError(err).Debug("can't look for flows to remove")
		return
	}
	if time.Since(w.reminded) >= remindInterval {
		w.log.WithError(err).Warn("waiting for the bridge's switch")
		w.reminded = time.Now()
	}
}

func (w *worker) publish(r *report) {
	if old := w.done.Load(); old != nil && old.target == r.target && old.problem == r.problem && old.released == r.released && sameVIFs(old.vifs, r.vifs) {
		return
	}
	w.done.Store(r)
	w.changed()
}

func sameVIFs(a, b map[string]*vif) bool {
	if len(a) != len(b) {
		return false
	}
	for uuid, v := range a {
		if b[uuid] != v {
			return false
		}
	}
	return true
}

// achieve makes the switch match the target and publishes the outcome.
func (w *worker) achieve(ctx context.Context, t *target) error {
	if w.conn == nil {
		conn, err := openflow.Dial(ctx, w.socket)
		if err != nil {
			return err
		}
		w.conn, w.resumed = conn, false
		w.log.Debug("OpenFlow session open")
	}
	if !t.config.Guarded {
		return w.release(ctx, t)
	}
	w.released = false
	if w.failModeChanged(t) {
		w.inSync = false // Open vSwitch has cleared all flows
	}
	if err := w.program(ctx, t); err != nil {
		return err
	}
	w.publish(&report{target: t, vifs: w.ledger.vifs})
	return nil
}

func (w *worker) failModeChanged(t *target) bool {
	old := w.ledger.target
	return old != nil && old.bridge.FailMode != t.bridge.FailMode
}

// program applies the target. When the switch refuses a VIF's flow, that VIF is blocked
// and everything else is applied.
func (w *worker) program(ctx context.Context, t *target) error {
	for {
		flipped := w.failModeChanged(t)
		c, err := w.ledger.update(t)
		if err != nil {
			return err
		}
		if w.inSync {
			err = w.conn.Commit(ctx, flows.Diff(c.new, c.old))
		} else {
			// With nothing new to apply, any difference to the switch is drift.
			err = w.synchronise(ctx, w.resumed && (flipped || len(c.old)+len(c.new) == 0))
		}
		var rejected *openflow.RejectedError
		if !errors.As(err, &rejected) {
			w.inSync = err == nil
			w.resumed = w.resumed || w.inSync
			return err
		}
		w.inSync = false // the ledger is ahead of the switch
		if err := w.block(rejected, t); err != nil {
			return err
		}
	}
}

// block replaces the VIF whose flow the switch refused.
func (w *worker) block(rejected *openflow.RejectedError, t *target) error {
	v := w.ledger.owner(rejected.Change.Entry.Cookie)
	if v == nil || v.refused != nil {
		return fmt.Errorf("a flow that the bridge can't do without: %w", rejected)
	}
	w.log.WithField("port", v.row.Name).WithError(rejected).Error("the switch refused a flow; the VIF is blocked")
	replaced := *v
	if err := replaced.refuse(t, &model.Problem{Key: "OpenFlow", Reason: rejected.Error() + "; the VIF is blocked"}); err != nil {
		return err
	}
	w.ledger.vifs[v.row.UUID] = &replaced
	return nil
}

// synchronise compares the switch's real flows with the ledger and repairs what
// differs, in one bundle.
func (w *worker) synchronise(ctx context.Context, drift bool) error {
	if err := w.ensureFragmentMode(ctx); err != nil {
		return err
	}
	all, err := w.conn.Flows(ctx, 0, 0)
	if err != nil {
		return err
	}
	var own []flows.Entry
	foreign := 0
	for _, f := range all {
		if _, _, ok := flows.SplitCookie(f.Cookie); ok {
			own = append(own, f.Entry)
		} else if w.ledger.target.pipeline().Shadows(f.Key) {
			foreign++
		}
	}
	w.noteForeign(foreign)
	changes := flows.Diff(w.ledger.entries(), own)
	if len(changes) == 0 {
		return nil
	}
	if err := w.conn.Commit(ctx, changes); err != nil {
		return err
	}
	line := w.log.WithFields(count(changes))
	if drift {
		line.Warn("flows had drifted from what OVSDB asks for; repaired")
	} else {
		line.Info("flows brought to what OVSDB asks for")
	}
	return nil
}

// ensureFragmentMode makes the switch show fragments to the stages: in its default
// mode every field of layer 4 is zero in every fragment, and the guards are blind.
func (w *worker) ensureFragmentMode(ctx context.Context) error {
	mode, err := w.conn.FragmentMode(ctx)
	if err != nil || mode == openflow.FragNXMatch {
		return err
	}
	w.log.WithField("was", mode).Info("setting the fragment mode to nx-match")
	return w.conn.SetFragmentMode(ctx, openflow.FragNXMatch)
}

// noteForeign warns of flows of others that take precedence over the guard. They are
// never touched.
func (w *worker) noteForeign(n int) {
	if n == w.foreign {
		return
	}
	w.foreign = n
	if n > 0 {
		w.log.WithField("flows", n).Warnf("flows of others in vifguard's tables take precedence over the checks; move them, or set %s", model.KeyFirstTable)
	} else {
		w.log.Info("no flows of others take precedence over the checks any more")
	}
}

// release removes everything of ours from a bridge that isn't guarded.
func (w *worker) release(ctx context.Context, t *target) error {
	n, err := w.conn.Release(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		w.log.WithField("deleted", n).Info("bridge isn't guarded; flows removed")
	}
	w.ledger, w.released = ledger{}, true
	w.hangUp()
	w.publish(&report{target: t, released: true})
	return nil
}

// count sums changes up for a log line.
func count(changes []flows.Change) logrus.Fields {
	n := map[flows.Op]int{}
	for _, c := range changes {
		n[c.Op]++
	}
	return logrus.Fields{"added": n[flows.Add], "modified": n[flows.Modify], "deleted": n[flows.Delete]}
}
