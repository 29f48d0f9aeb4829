package controller

import (
	"context"
	"time"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// told is what a bridge's status keys were last compared with, so that looking again at
// rows that haven't changed costs next to nothing.
type told struct {
	bridge   *model.Bridge
	outcomes []*vif  // parallel to its interfaces
	report   *report // what decides where there is no outcome yet
	problems string  // what is wrong with the bridge's own metadata
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

// tell writes the agent's name, and the status of every interface whose status keys
// don't say what they should, all in one transaction. It returns a channel that fires
// when it should be tried again.
func (a *Agent) tell(ctx context.Context, host *model.Host) <-chan time.Time {
	var edits []ovsdb.Edit
	if root := a.source.RootUUID(); host.Agent != a.name && root != "" {
		edits = append(edits, ovsdb.Edit{Table: ovsdb.TableOpenvSwitch, UUID: root, Set: map[string]string{model.KeyAgent: a.name}})
	}
	next := make(map[string]*told, len(host.Bridges))
	for _, b := range host.Bridges {
		r, target := a.workers[b.Name].done.Load(), a.workers[b.Name].target
		is := &told{bridge: b, outcomes: r.outcomes(b), report: r, problems: target.config.Problems.String()}
		next[b.Name] = is
		if e, ok := bridgeEdit(target, r); ok {
			edits = append(edits, e)
		}
		for _, i := range is.news(a.told[b.Name]) {
			if e, ok := a.edit(target, b.Interfaces[i], is.outcomes[i], r); ok {
				edits = append(edits, e)
			}
		}
	}
	if len(edits) == 0 {
		a.told = next
		return nil
	}
	if _, err := a.source.Apply(ctx, edits); err != nil {
		if a.retry.remind() {
			a.log.WithError(err).Warn("can't write status to OVSDB; trying again")
		}
		return time.After(a.retry.next(maxRetry))
	}
	a.told, a.retry = next, retry{}
	return nil
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
			same = rows[0] == row && outcomes[0] == t.outcomes[i] && (outcomes[0] != nil || t.report == before.report)
			rows, outcomes = rows[1:], outcomes[1:]
		}
		if all || !same {
			list = append(list, i)
		}
	}
	return list
}

// edit returns the change of status that an interface needs.
func (a *Agent) edit(t *target, row *model.Interface, outcome *vif, r *report) (ovsdb.Edit, bool) {
	status, settled := statusOf(t, row, outcome, r)
	if !settled {
		return ovsdb.Edit{}, false
	}
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
		return pending(t, row)
	case outcome.policy.Mode == model.Trusted:
		return model.Status{}, true
	case outcome.row.OFPort == 0:
		return model.PendingStatus(outcome.policy, row, t.config.Problems), true
	}
	s = model.StatusOf(outcome.policy, outcome.row, t.config.Problems)
	if outcome.refused != nil {
		// What the row asks for isn't in force.
		s.Seq, s.HasSeq = row.ExternalIDs[model.KeyStatusSeq]
	}
	return s, true
}

// pending is the status of an interface that its worker hasn't reported yet. A VIF
// that has a state keeps it until the worker reports, unless the bridge itself can't be
// programmed.
func pending(t *target, row *model.Interface) (model.Status, bool) {
	_, known := row.ExternalIDs[model.KeyStatusState]
	if known && t.config.Usable {
		return model.Status{}, false
	}
	p := model.Resolve(&t.config, t.profiles, row)
	if p.Mode == model.Trusted {
		return model.Status{}, !known || !t.config.Usable
	}
	return model.PendingStatus(&p, row, t.config.Problems), true
}
