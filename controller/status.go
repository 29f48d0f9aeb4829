package controller

import (
	"context"
	"math"
	"runtime/debug"
	"time"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// pendingAfter is how long a VIF without a state may take to get an OpenFlow port before
// it is called pending. Most take milliseconds, and every status that is written has
// ovs-vswitchd look at all its ports again instead of making that one.
const pendingAfter = 500 * time.Millisecond

// told is what a bridge's status keys were last compared with, so that looking again at
// rows that haven't changed costs next to nothing.
type told struct {
	bridge   *model.Bridge
	outcomes []*vif               // parallel to its interfaces
	report   *report              // what decides where there is no outcome yet
	problems string               // what is wrong with the bridge's own metadata
	waits    map[string]time.Time // by UUID: interfaces to look at again, and when they are pending
}

// waiting reports whether an interface is to be looked at again. Where none is, it doesn't
// read the row: that would take longer than all else that is asked of most rows.
func (t *told) waiting(row *model.Interface) bool {
	if len(t.waits) == 0 {
		return false
	}
	_, waits := t.waits[row.UUID]
	return waits
}

// postpone returns how long an interface's status can wait, which is so when it would be
// pending and had no state before, and notes until when.
func (t *told) postpone(before *told, row *model.Interface, s model.Status) (left time.Duration) {
	if _, known := row.ExternalIDs[model.KeyStatusState]; known || s.State != model.StatePending {
		return 0
	}
	until := time.Now().Add(pendingAfter)
	if before != nil {
		if u, ok := before.waits[row.UUID]; ok {
			until = u
		}
	}
	if left = time.Until(until); left > 0 {
		t.waits[row.UUID] = until
	}
	return left
}

// outcomes returns what the switch has confirmed, parallel to a bridge's interfaces; nil
// where it hasn't yet.
func (r *report) outcomes(b *model.Bridge) []*vif {
	if r != nil && r.vifs != nil && r.target.bridge == b {
		return r.vifs
	}
	list := make([]*vif, len(b.Interfaces))
	if r == nil {
		return list
	}
	known := r.vifs
	for i, row := range b.Interfaces {
		for len(known) > 0 && model.Before(known[0].row, row) {
			known = known[1:]
		}
		if len(known) > 0 && !model.Before(row, known[0].row) {
			list[i], known = known[0], known[1:]
		}
	}
	return list
}

// tell writes the status of every interface whose status keys don't say what they should,
// and the agent's name, all in one transaction. It returns a channel that fires when it
// should be tried again.
func (a *Agent) tell(ctx context.Context, host *model.Host) <-chan time.Time {
	var edits []ovsdb.Edit
	reported := true
	again := time.Duration(math.MaxInt64) // until an interface is pending
	next := make(map[string]*told, len(host.Bridges))
	for _, b := range host.Bridges {
		r, target := a.workers[b.Name].done.Load(), a.workers[b.Name].target
		is := &told{bridge: b, outcomes: r.outcomes(b), report: r, problems: target.config.Problems.String(), waits: make(map[string]time.Time)}
		next[b.Name] = is
		reported = reported && (r != nil || !target.config.Guarded)
		if e, ok := bridgeEdit(target, r); ok {
			edits = append(edits, e)
		}
		before := a.told[b.Name]
		for _, i := range is.news(before) {
			row := b.Interfaces[i]
			status, settled := statusOf(target, row, is.outcomes[i], r)
			if !settled {
				continue
			}
			if left := is.postpone(before, row, status); left > 0 {
				again = min(again, left)
				continue
			}
			if e, ok := a.edit(target, row, status); ok {
				edits = append(edits, e)
			}
		}
	}
	// The name can wait for the flows: ovs-vswitchd would look at all ports for it.
	if root := a.source.RootUUID(); host.Agent != a.name && root != "" && (reported || len(edits) > 0) {
		edits = append(edits, ovsdb.Edit{Table: ovsdb.TableOpenvSwitch, UUID: root, Set: map[string]string{model.KeyAgent: a.name}})
	}
	if len(edits) > 0 {
		if _, err := a.source.Apply(ctx, edits); err != nil {
			if a.retry.remind() {
				a.log.WithError(err).Warn("can't write status to OVSDB; trying again")
			}
			return time.After(a.retry.next(maxRetry))
		}
		a.retry = retry{}
	} else if reported && !a.started {
		// Starting takes several times the memory that goes on being used.
		a.started = true
		debug.FreeOSMemory()
	}
	a.told = next
	if again == math.MaxInt64 {
		return nil
	}
	return time.After(again)
}

// news returns the indices of the interfaces that aren't as they were told before.
func (t *told) news(before *told) (list []int) {
	if before == nil {
		before = &told{bridge: &model.Bridge{}}
	}
	all := t.problems != before.problems
	rows, outcomes := before.bridge.Interfaces, before.outcomes
	for i, row := range t.bridge.Interfaces {
		for len(rows) > 0 && model.Before(rows[0], row) {
			rows, outcomes = rows[1:], outcomes[1:]
		}
		same := false
		if len(rows) > 0 && !model.Before(row, rows[0]) {
			same = rows[0] == row && outcomes[0] == t.outcomes[i] && (outcomes[0] != nil || t.report == before.report) && !before.waiting(row)
			rows, outcomes = rows[1:], outcomes[1:]
		}
		if all || !same {
			list = append(list, i)
		}
	}
	return list
}

// edit returns the change of keys that makes an interface's status so.
func (a *Agent) edit(t *target, row *model.Interface, status model.Status) (ovsdb.Edit, bool) {
	set, del := status.Changes(row)
	if len(set) == 0 && len(del) == 0 {
		return ovsdb.Edit{}, false
	}
	a.logStatus(t, row, status, set)
	return ovsdb.Edit{Table: ovsdb.TableInterface, UUID: row.UUID, Set: set, Delete: del}, true
}

// logStatus writes one line for what an operator would want to know of a VIF.
func (a *Agent) logStatus(t *target, row *model.Interface, s model.Status, set map[string]string) {
	log := a.log.WithField("bridge", t.bridge.Name).WithField("port", row.Name)
	if state, ok := set[model.KeyStatusState]; ok {
		log = log.WithField("state", state)
	} else if _, ok := set[model.KeyStatusChecks]; !ok && set[model.KeyStatusError] == "" {
		return
	}
	if s.Checks != "" {
		log = log.WithField("checks", s.Checks)
	}
	if s.Error != "" {
		log.WithField("error", s.Error).Warn("VIF has metadata that can't be used")
		return
	}
	if s.State == model.StateQuarantined {
		return // its worker has said why
	}
	if s.State == model.StatePending {
		log.Info("VIF waits for its OpenFlow port")
		return
	}
	log.Info("VIF programmed")
}

// statusOf returns what an interface's status keys should say. settled is false while
// that isn't known: then they stay as they are.
func statusOf(t *target, row *model.Interface, outcome *vif, r *report) (s model.Status, settled bool) {
	switch {
	case !t.config.Guarded:
		return model.Status{}, r != nil && r.released
	case outcome == nil:
		return pending(t, row, r)
	case outcome.policy.Mode == model.Trusted:
		return model.Status{}, true
	case outcome.row.OFPort == 0:
		return model.PendingStatus(outcome.policy, row, t.config.Problems), true
	}
	s = model.StatusOf(outcome.policy, outcome.row, t.config.Problems)
	s.State = outcome.state()
	if outcome.quarantined() {
		s.Flood = outcome.quarantine.String()
	} else {
		s.Flood = outcome.policy.LastFlood(row)
	}
	if outcome.refused != nil {
		// What the row asks for isn't in force.
		s.Seq, s.HasSeq = row.ExternalIDs[model.KeyStatusSeq]
	}
	return s, true
}

// pending is the status of an interface that its worker hasn't reported yet. A VIF
// that has a state keeps it until the worker reports, unless the bridge itself can't be
// programmed; one that has none is left to the worker, unless that waits too.
func pending(t *target, row *model.Interface, r *report) (model.Status, bool) {
	_, known := row.ExternalIDs[model.KeyStatusState]
	if t.config.Usable && (known || row.OFPort != 0 && (r == nil || r.problem == "")) {
		return model.Status{}, false
	}
	p := model.Resolve(&t.config, t.profiles, row)
	if p.Mode == model.Trusted {
		return model.Status{}, !known || !t.config.Usable
	}
	return model.PendingStatus(&p, row, t.config.Problems), true
}
