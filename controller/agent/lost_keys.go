package agent

import (
	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/model"
)

// noteLostKeys warns of interfaces that were VIFs and have lost all their keys: by the last
// target, or by the status of an agent that worked here before. Each is an unmarked port from
// now on, which usually passes unchecked.
func (a *Agent) noteLostKeys(was, is *bridge.Target) {
	if !is.Config.Guarded {
		return
	}
	var before []*model.Interface
	if was != nil {
		before = was.Bridge.Interfaces
	}
	for _, row := range is.Bridge.Interfaces {
		for len(before) > 0 && model.Before(before[0], row) {
			before = before[1:]
		}
		if len(before) > 0 && before[0] == row {
			continue
		}
		wasVIF := len(before) > 0 && before[0].UUID == row.UUID && before[0].IsVIF()
		if row.IsVIF() || !wasVIF && (was != nil || !hasStatus(row)) {
			continue
		}
		policy := model.Resolve(&is.Config, is.Profiles, row)
		then := "it passes unchecked from now on"
		if policy.Mode == model.Blocked {
			then = "it is blocked, as unmarked ports are here"
		}
		a.log.WithField("bridge", is.Bridge.Name).WithField("port", row.Name).
			Warnf("the VIF has lost all its keys: %s (to guard it again: vifguard set %s --mac MAC ...)", then, row.Name)
		a.metrics.Bridge(is.Bridge.Name).LostKeys()
	}
}

// hasStatus reports whether an agent has reported a state on a row.
func hasStatus(row *model.Interface) bool {
	_, ok := row.ExternalIDs[model.KeyStatusState]
	return ok
}
