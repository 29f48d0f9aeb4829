package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// This file is what a worker does with a session: bring the switch's flows to what the
// target asks for, and note what it sees on the way.

func (w *Worker) failModeChanged(t *Target) bool {
	old := w.ledger.target
	return old != nil && old.Bridge.FailMode != t.Bridge.FailMode
}

// program applies the target. When the switch refuses a VIF's flow, that VIF is blocked
// and everything else is applied.
func (w *Worker) program(ctx context.Context, t *Target) error {
	for {
		flipped := w.failModeChanged(t)
		c, err := w.ledger.update(t, w.sampling.enabled(), w.floods.settle(time.Now(), t))
		if err != nil {
			return err
		}
		left := w.inSync // the switch is as it was left
		ready, err := w.sampling.prepare(ctx, &w.ledger, &c, left)
		if err != nil {
			return err
		}
		if !ready {
			w.inSync = false // the ledger asks for what the switch won't have
			continue
		}
		began := time.Now()
		var result metrics.Result
		if w.inSync {
			result, err = w.apply(ctx, flows.Diff(c.new, c.old))
		} else {
			// With nothing new to apply, any difference to the switch is drift.
			result, err = w.synchronise(ctx, w.resumed && (flipped || len(c.old)+len(c.new) == 0))
		}
		if err == nil && result != "" {
			w.Config.Metrics.Reconciled(result, time.Since(began))
		}
		var rejected *openflow.RejectedError
		if !errors.As(err, &rejected) {
			w.inSync = err == nil
			w.resumed = w.resumed || w.inSync
			if err == nil {
				err = w.sampling.settle(ctx, &w.ledger, &c, left)
			}
			return err
		}
		w.inSync = false // the ledger is ahead of the switch
		if w.sampling.blamed(rejected) {
			continue
		}
		if err := w.block(rejected, t); err != nil {
			return err
		}
	}
}

// apply makes changes to a switch that is in sync. Without any it has no result.
func (w *Worker) apply(ctx context.Context, changes []flows.Change) (metrics.Result, error) {
	if len(changes) == 0 {
		return "", nil
	}
	if err := w.conn.Commit(ctx, changes); err != nil {
		return "", err
	}
	n := count(changes)
	w.see(func(s *sight) {
		s.installed += n[flows.Add] - n[flows.Delete]
		s.success = time.Now()
	})
	return metrics.Changed, nil
}

// block replaces the VIF whose flow the switch refused.
func (w *Worker) block(rejected *openflow.RejectedError, t *Target) error {
	i := w.ledger.owner(rejected.Change.Entry.Cookie)
	if i < 0 || w.ledger.vifs[i].refused != nil {
		return fmt.Errorf("a flow that the bridge can't do without: %w", rejected)
	}
	v := w.ledger.vifs[i]
	w.log.WithField("port", v.Row.Name).WithError(rejected).Error("the switch refused a flow; the VIF is blocked")
	replaced := *v
	if err := replaced.refuse(t, &model.Problem{Key: "OpenFlow", Reason: rejected.Error() + "; the VIF is blocked"}); err != nil {
		return err
	}
	w.ledger.replace(i, &replaced)
	return nil
}

// synchronise compares the switch's real flows with the ledger and repairs what
// differs, in one bundle.
func (w *Worker) synchronise(ctx context.Context, drift bool) (metrics.Result, error) {
	began := time.Now()
	known := latest(w.compared, w.told)
	defer func() { w.compared = time.Now(); w.took = w.compared.Sub(began) }()
	all, err := w.conn.Flows(ctx, 0, 0)
	if err != nil {
		return "", err
	}
	own := w.look(all)
	changes := w.sampling.renew(flows.Diff(w.ledger.entries(), own), &w.ledger)
	if len(changes) == 0 {
		w.see(func(s *sight) { s.success = time.Now() })
		return metrics.Unchanged, nil
	}
	exposed, read := exposedFor(w.ledger.target, all, known), time.Now()
	if _, err := w.apply(ctx, changes); err != nil {
		return "", err
	}
	if exposed > 0 {
		w.noteExposure(&Unguarded{Length: exposed + time.Since(read), end: time.Now()})
	}
	n := count(changes)
	line := w.log.WithFields(logrus.Fields{"added": n[flows.Add], "modified": n[flows.Modify], "deleted": n[flows.Delete]})
	if !drift {
		line.Info("flows brought to what OVSDB asks for")
		return metrics.Changed, nil
	}
	w.Config.Metrics.Repaired(len(changes))
	line.Warn("flows had drifted from what OVSDB asks for; repaired")
	return metrics.Drift, nil
}

// look notes what is worth knowing of the switch's flows and returns vifguard's own.
func (w *Worker) look(all []openflow.Flow) []flows.Entry {
	own := make([]flows.Entry, 0, len(all))
	packets := make(map[uint64]uint64)
	foreign := 0
	pipeline := w.ledger.target.pipeline()
	for _, f := range all {
		_, reason, ours := flows.SplitCookie(f.Cookie)
		switch {
		case !ours && pipeline.Shadows(f.Key):
			foreign++
		case ours:
			own = append(own, f.Entry)
			if reason != flows.NoReason {
				packets[f.Cookie] += f.Packets
			}
		}
	}
	w.noteForeign(foreign)
	w.see(func(s *sight) {
		s.installed, s.foreign, s.packets = len(own), foreign, packets
	})
	return own
}

// ensureFragmentMode makes the switch show fragments to the stages: in its default
// mode every field of layer 4 is zero in every fragment, and the guards are blind.
func (w *Worker) ensureFragmentMode(ctx context.Context) error {
	mode, err := w.conn.FragmentMode(ctx)
	if err != nil || mode == openflow.FragNXMatch {
		return err
	}
	w.log.WithField("was", mode).Info("setting the fragment mode to nx-match")
	return w.conn.SetFragmentMode(ctx, openflow.FragNXMatch)
}

// noteForeign warns of flows of others that take precedence over the guard. They are
// never touched.
func (w *Worker) noteForeign(n int) {
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

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (w *Worker) noteExposure(e *Unguarded) {
	w.exposed = e
	w.log.WithField("for", e.Length.Round(time.Millisecond).String()).
		Warnf("the bridge forwarded unchecked: the switch had lost its flows, and its fail_mode isn't secure (to close that: vifguard guard --secure %s)", w.ledger.target.Bridge.Name)
}

// release removes everything of ours from a bridge that isn't guarded.
func (w *Worker) release(ctx context.Context, t *Target) error {
	n, err := w.conn.Release(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		w.log.WithField("deleted", n).Info("bridge isn't guarded; flows removed")
	}
	w.ledger, w.released = ledger{}, true
	w.floods.forget()
	w.hangUp()
	w.publish(&Report{Target: t, Released: true})
	return nil
}

// count returns how many changes there are of each kind.
func count(changes []flows.Change) map[flows.Op]int {
	n := make(map[flows.Op]int)
	for _, c := range changes {
		n[c.Op]++
	}
	return n
}
