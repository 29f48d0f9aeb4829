package agent

import (
	"context"
	"math"
	"runtime/debug"
	"time"

	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// pendingAfter is how long a VIF without a state may take to get an OpenFlow port before
// it is called pending. Most take milliseconds, and every status that is written has
// ovs-vswitchd look at all its ports again instead of making that one.
const pendingAfter = 500 * time.Millisecond

// written is what a bridge's status keys were last compared with, so that comparing rows
// that haven't changed costs next to nothing.
type written struct {
	bridge    *model.Bridge
	outcomes  []*bridge.VIF        // parallel to its interfaces
	report    *bridge.Report       // what decides where there is no outcome yet
	problems  string               // what is wrong with the bridge's own metadata
	findings  []exposure.Finding   // what decides about frames beside its tables
	postponed map[string]time.Time // by UUID: interfaces that are to be called pending, and when
}

// isPostponed reports whether an interface is to be compared again. Where none is, it
// doesn't read the row: that would take longer than all else that is asked of most rows.
func (w *written) isPostponed(row *model.Interface) bool {
	if len(w.postponed) == 0 {
		return false
	}
	_, ok := w.postponed[row.UUID]
	return ok
}

// postpone returns how long an interface's status can wait, which is so when it would be
// pending and had no state before, and notes until when.
func (w *written) postpone(before *written, row *model.Interface, s model.Status) (left time.Duration) {
	if _, known := row.ExternalIDs[model.KeyStatusState]; known || s.State != model.StatePending {
		return 0
	}
	until := time.Now().Add(pendingAfter)
	if before != nil {
		if u, ok := before.postponed[row.UUID]; ok {
			until = u
		}
	}
	if left = time.Until(until); left > 0 {
		w.postponed[row.UUID] = until
	}
	return left
}

// stale returns the indices of the interfaces that aren't as they were compared before.
func (w *written) stale(before *written) (list []int) {
	if before == nil {
		before = &written{bridge: &model.Bridge{}}
	}
	all := w.problems != before.problems || !exposure.Equal(w.findings, before.findings) ||
		w.bridge.Facts.STP != before.bridge.Facts.STP || w.bridge.Facts.RSTP != before.bridge.Facts.RSTP
	rows, outcomes := before.bridge.Interfaces, before.outcomes
	for i, row := range w.bridge.Interfaces {
		for len(rows) > 0 && model.Before(rows[0], row) {
			rows, outcomes = rows[1:], outcomes[1:]
		}
		same := false
		if len(rows) > 0 && !model.Before(row, rows[0]) {
			same = rows[0] == row && outcomes[0] == w.outcomes[i] && (outcomes[0] != nil || w.report == before.report) && !before.isPostponed(row)
			rows, outcomes = rows[1:], outcomes[1:]
		}
		if all || !same {
			list = append(list, i)
		}
	}
	return list
}

// statusUpdate is one transaction that makes status keys say what they should.
type statusUpdate struct {
	edits []ovsdb.Edit
	log   []func() // what to log once they are written

	next     map[string]*written
	reported bool          // every guarded bridge has a report
	wait     time.Duration // until a postponed status is due
}

// writeStatus writes the status of every interface whose status keys don't say what they
// should, and the agent's name, all in one transaction. It returns a channel that fires
// when it should be tried again.
func (a *Agent) writeStatus(ctx context.Context, host *model.Host) <-chan time.Time {
	u := statusUpdate{next: make(map[string]*written, len(host.Bridges)), reported: true, wait: math.MaxInt64}
	for _, b := range host.Bridges {
		a.collect(&u, b)
	}
	// The name can wait for the flows: ovs-vswitchd would look at all ports for it.
	if root := a.source.RootUUID(); host.Agent != a.name && root != "" && (u.reported || len(u.edits) > 0) {
		u.edits = append(u.edits, ovsdb.Edit{Table: ovsdb.TableOpenvSwitch, UUID: root, Set: map[string]string{model.KeyAgent: a.name}})
	}
	if len(u.edits) > 0 {
		if _, err := a.source.Apply(ctx, u.edits); err != nil {
			if a.retry.Remind() {
				a.log.WithError(err).Warn("can't write status to OVSDB; trying again")
			}
			return time.After(a.retry.Next(bridge.MaxRetry))
		}
		a.retry = bridge.Retry{}
		for _, log := range u.log {
			log()
		}
	} else if u.reported && !a.started {
		// Starting takes several times the memory that goes on being used.
		a.started = true
		debug.FreeOSMemory()
	}
	a.written = u.next
	if u.wait == math.MaxInt64 {
		return nil
	}
	return time.After(u.wait)
}

// collect adds what is to be written about one bridge and its interfaces.
func (a *Agent) collect(u *statusUpdate, b *model.Bridge) {
	r, target := a.workers[b.Name].Report(), a.workers[b.Name].target
	is := &written{bridge: b, outcomes: r.Outcomes(b), report: r, problems: target.Config.Problems.String(), postponed: make(map[string]time.Time)}
	if r != nil {
		is.findings = r.Findings
	}
	u.next[b.Name] = is
	u.reported = u.reported && (r != nil || !target.Config.Guarded)
	if e, ok := bridgeEdit(target, r); ok {
		u.edits = append(u.edits, e)
	}
	before := a.written[b.Name]
	for _, i := range is.stale(before) {
		row := b.Interfaces[i]
		status, known := statusOf(target, row, is.outcomes[i], r)
		if !known {
			continue
		}
		if left := is.postpone(before, row, status); left > 0 {
			u.wait = min(u.wait, left)
			continue
		}
		if e, ok := portEdit(target, row, is.outcomes[i]); ok {
			u.edits = append(u.edits, e)
		}
		set, del := status.Changes(row)
		if len(set) == 0 && len(del) == 0 {
			continue
		}
		u.edits = append(u.edits, ovsdb.Edit{Table: ovsdb.TableInterface, UUID: row.UUID, Set: set, Delete: del})
		u.log = append(u.log, func() { a.logStatus(b, row, status, set) })
	}
}

// logStatus writes one line for what an operator would want to know of a VIF whose status
// was written.
func (a *Agent) logStatus(b *model.Bridge, row *model.Interface, s model.Status, set map[string]string) {
	log := a.log.WithField("bridge", b.Name).WithField("port", row.Name)
	if state, ok := set[model.KeyStatusState]; ok {
		log = log.WithField("state", state)
	} else if _, ok := set[model.KeyStatusChecks]; !ok && set[model.KeyStatusError] == "" {
		return
	}
	if s.Checks != "" {
		log = log.WithField("checks", s.Checks)
	}
	switch {
	case s.State == model.StateExposed:
		log.WithField("error", s.Error).Warn("VIF programmed, but exposed")
	case s.Error != "":
		log.WithField("error", s.Error).Warn("VIF has metadata that can't be used")
	case s.State == model.StateQuarantined: // its worker has said why
	case s.State == model.StatePending:
		log.Info("VIF waits for its OpenFlow port")
	default:
		log.Info("VIF programmed")
	}
}

// statusOf returns what an interface's status keys should say. known is false while that
// can't be said: then they stay as they are.
func statusOf(t *bridge.Target, row *model.Interface, outcome *bridge.VIF, r *bridge.Report) (s model.Status, known bool) {
	switch {
	case !t.Config.Guarded:
		return model.Status{}, r != nil && r.Released
	case outcome == nil:
		return pending(t, row, r)
	case outcome.Policy.Mode == model.Trusted:
		return model.Status{}, true
	case outcome.Pending():
		return model.PendingStatus(outcome.Policy, row, t.Config.Problems), true
	}
	s = model.StatusOf(outcome.Policy, outcome.Row, t.Config.Problems)
	s.State = outcome.State()
	if f := exposure.Of(r.Findings, row.Name); f != nil {
		s.Expose(f.Words())
	}
	s.Flood = outcome.Policy.LastFlood(row)
	if outcome.Quarantined() {
		s.Flood = outcome.Quarantine()
	}
	if outcome.Refused() {
		// What the row asks for isn't in force.
		s.Seq, s.HasSeq = row.ExternalIDs[model.KeyStatusSeq]
	}
	return s, true
}

// pending is the status of an interface that its worker hasn't reported yet. A VIF
// that has a state keeps it until the worker reports, unless the bridge itself can't be
// programmed; one that has none is left to the worker, unless that waits too.
func pending(t *bridge.Target, row *model.Interface, r *bridge.Report) (s model.Status, known bool) {
	_, had := row.ExternalIDs[model.KeyStatusState]
	if t.Config.Usable && (had || row.OFPort != 0 && (r == nil || r.Problem == "")) {
		return model.Status{}, false
	}
	p := model.Resolve(&t.Config, t.Profiles, row)
	if p.Mode == model.Trusted {
		return model.Status{}, !had || !t.Config.Usable
	}
	return model.PendingStatus(&p, row, t.Config.Problems), true
}
