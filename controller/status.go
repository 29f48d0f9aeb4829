package controller

import (
	"context"
	"time"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// told is what was last compared for an interface, so that looking again at a row that
// hasn't changed costs nothing.
type told struct {
	row     *model.Interface
	outcome *vif    // nil while pending
	report  *report // only kept while pending, when the bridge decides the status
	bridge  string  // what is wrong with the bridge's own metadata
}

// tell writes the agent's name, and the status of every interface whose status keys
// don't say what they should, all in one transaction. It returns a channel that fires
// when it should be tried again.
func (a *Agent) tell(ctx context.Context, host *model.Host) <-chan time.Time {
	var edits []ovsdb.Edit
	if root := a.source.RootUUID(); host.Agent != a.name && root != "" {
		edits = append(edits, ovsdb.Edit{Table: ovsdb.TableOpenvSwitch, UUID: root, Set: map[string]string{model.KeyAgent: a.name}})
	}
	next := make(map[string]told, len(a.told))
	for _, b := range host.Bridges {
		r := a.workers[b.Name].done.Load()
		target := a.workers[b.Name].target
		problems := target.config.Problems.String()
		if e, ok := bridgeEdit(target, r); ok {
			edits = append(edits, e)
		}
		for _, row := range b.Interfaces {
			is := told{row: row, report: r, bridge: problems}
			if r != nil && r.vifs[row.UUID] != nil {
				is = told{row: row, outcome: r.vifs[row.UUID], bridge: problems}
			}
			if a.told[row.UUID] != is {
				if e, ok := a.edit(target, row, is.outcome, r); ok {
					edits = append(edits, e)
				}
			}
			next[row.UUID] = is
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
