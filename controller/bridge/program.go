package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// achieve makes the switch match the target and publishes the outcome.
func (w *Worker) achieve(ctx context.Context, t *Target) error {
	if err := w.connect(ctx, t); err != nil {
		return err
	}
	if !t.Config.Guarded {
		return w.release(ctx, t)
	}
	if err := w.checkFragmentMode(ctx); err != nil {
		return err
	}
	if w.phase.known() {
		if err := w.floods.measure(ctx, w.session, &w.ledger); err != nil {
			return err
		}
	}
	if err := w.program(ctx, t); err != nil {
		return err
	}
	w.judge(ctx, t)
	w.publish(&Report{
		Target: t, VIFs: w.ledger.vifs, Guarded: w.ledger.guarded, shared: len(w.ledger.shared),
		Unguarded: w.last.unguarded, Findings: w.judgement.findings,
	})
	return nil
}

// program applies the target. When the switch refuses a VIF's flow, that VIF is blocked
// and everything else is applied.
func (w *Worker) program(ctx context.Context, t *Target) error {
	for {
		cleared := w.ledger.target != nil && w.ledger.target.Bridge.FailMode != t.Bridge.FailMode
		if cleared {
			w.enter(stale) // Open vSwitch has cleared all flows
		}
		sampling := w.session.sampling
		c, err := w.ledger.update(t, facts{sampled: sampling.on, quarantines: w.floods.current(time.Now(), t), refusals: maps.Clone(w.refusals)})
		if err != nil {
			return err
		}
		w.forgetRefusals()
		known := w.phase.known()
		ready, err := sampling.prepare(ctx, &w.ledger, &c, known)
		if err != nil {
			return err
		}
		if !ready {
			w.enter(stale) // the ledger asks for what the switch won't have
			continue
		}
		err = w.bring(ctx, &c, cleared)
		var rejected *openflow.RejectedError
		switch {
		case err == nil:
			w.enter(confirmed)
			return sampling.tidy(ctx, &w.ledger, &c, known)
		case !errors.As(err, &rejected):
			return err
		}
		w.enter(stale) // the ledger is ahead of the switch
		if sampling.isToBlame(rejected) {
			continue
		}
		if err := w.block(rejected); err != nil {
			return err
		}
	}
}

// bring brings the switch to the ledger: by the change alone where the switch is known,
// otherwise by a comparison.
func (w *Worker) bring(ctx context.Context, c *change, cleared bool) (err error) {
	began := time.Now()
	var result metrics.Result
	if w.phase.known() {
		result, err = w.apply(ctx, flows.Diff(c.new, c.old))
	} else {
		// With nothing new to apply, any difference to the switch is drift.
		drift := w.session.compared && (cleared || len(c.old)+len(c.new) == 0)
		result, err = w.compare(ctx, drift)
		w.session.compared = w.session.compared || err == nil
	}
	if err == nil && result != "" {
		w.Config.Metrics.Reconciled(result, time.Since(began))
	}
	return err
}

// apply makes changes to a switch that is known. Without any it has no result.
func (w *Worker) apply(ctx context.Context, changes []flows.Change) (metrics.Result, error) {
	if len(changes) == 0 {
		return "", nil
	}
	if err := w.session.Commit(ctx, changes); err != nil {
		return "", err
	}
	n := count(changes)
	w.observe(func(o *observation) {
		o.installed += n[flows.Add] - n[flows.Delete]
		o.success = time.Now()
	})
	return metrics.Changed, nil
}

// block has the VIF blocked whose flow the switch refused.
func (w *Worker) block(rejected *openflow.RejectedError) error {
	v := w.ledger.owner(rejected.Change.Entry.Cookie)
	if v == nil || v.refused {
		return fmt.Errorf("a flow that the bridge can't do without: %w", rejected)
	}
	w.log.WithField("port", v.Row.Name).WithError(rejected).Error("the switch refused a flow; the VIF is blocked")
	w.refusals[v.Row.UUID] = v.input.Refuse(rejected.Error())
	return nil
}

// forgetRefusals drops the refusals of rules that nobody asks for any more.
func (w *Worker) forgetRefusals() {
	if len(w.refusals) == 0 {
		return
	}
	blocked := make(map[string]bool)
	for _, v := range w.ledger.vifs {
		if v.refused {
			blocked[v.Row.UUID] = true
		}
	}
	maps.DeleteFunc(w.refusals, func(uuid string, _ flows.Refusal) bool { return !blocked[uuid] })
}

// compare compares the switch's real flows with the ledger and repairs what differs, in
// one bundle.
func (w *Worker) compare(ctx context.Context, drift bool) (metrics.Result, error) {
	began, lastKnown := time.Now(), later(w.last.ended, w.last.disturbed)
	defer func() { w.last.ended = time.Now(); w.last.took = w.last.ended.Sub(began) }()
	all, err := w.session.Flows(ctx, 0, 0)
	if err != nil {
		return "", err
	}
	changes := w.session.sampling.renew(flows.Diff(w.ledger.entries(), w.read(all)), &w.ledger)
	if len(changes) == 0 {
		w.observe(func(o *observation) { o.success = time.Now() })
		return metrics.Unchanged, nil
	}
	unguarded, read := unguardedFor(w.ledger.target, all, lastKnown, w.Remade), time.Now()
	if _, err := w.apply(ctx, changes); err != nil {
		return "", err
	}
	if unguarded > 0 {
		w.noteUnguarded(&Unguarded{Length: unguarded + time.Since(read), end: time.Now()})
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

// read notes what is worth knowing of the switch's flows and returns vifguard's own.
func (w *Worker) read(all []openflow.Flow) []flows.Entry {
	own := make([]flows.Entry, 0, len(all))
	packets := make(map[uint64]uint64)
	foreign := 0
	for _, f := range all {
		_, reason, ours := flows.SplitCookie(f.Cookie)
		switch {
		case !ours && w.session.pipeline.Shadows(f.Key):
			foreign++
		case ours:
			own = append(own, f.Entry)
			if reason != model.NoReason {
				packets[f.Cookie] += f.Packets
			}
		}
	}
	w.judgement.foreign = openflow.Foreign(all)
	w.noteForeign(foreign)
	w.observe(func(o *observation) {
		o.installed, o.foreign, o.packets = len(own), foreign, packets
	})
	return own
}

// noteForeign warns of flows of others that take precedence over the guard. They are
// never touched.
func (w *Worker) noteForeign(n int) {
	if n == w.last.foreign {
		return
	}
	w.last.foreign = n
	if n > 0 {
		w.log.WithField("flows", n).Warnf("flows of others in vifguard's tables take precedence over the checks; move them, or set %s", model.KeyFirstTable)
	} else {
		w.log.Info("no flows of others take precedence over the checks any more")
	}
}

func (w *Worker) noteUnguarded(u *Unguarded) {
	w.last.unguarded = u
	w.log.WithField("for", u.Length.Round(time.Millisecond).String()).
		Warnf("the bridge forwarded unchecked: its switch had none of the flows, and its fail_mode isn't secure (to close that: vifguard guard --secure %s)", w.Bridge())
}

// release removes everything of vifguard's from a bridge that isn't guarded.
func (w *Worker) release(ctx context.Context, t *Target) error {
	n, err := w.session.Release(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		w.log.WithField("deleted", n).Info("bridge isn't guarded; flows removed")
	}
	w.hangUp()
	w.ledger = ledger{}
	w.judgement = judgement{}
	w.floods.clear()
	clear(w.refusals)
	w.enter(cleaned)
	w.publish(&Report{Target: t, Released: true})
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// count returns how many changes there are of each kind.
func count(changes []flows.Change) map[flows.Op]int {
	n := make(map[flows.Op]int)
	for _, c := range changes {
		n[c.Op]++
	}
	return n
}
