package agent

import (
	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// bridgeEdit returns the change that a bridge's own row needs: when it was last exposed,
// and, once it is released, the settings that it had before "vifguard guard" closed them.
func bridgeEdit(t *bridge.Target, r *bridge.Report) (ovsdb.Edit, bool) {
	e := ovsdb.Edit{Table: ovsdb.TableBridge, UUID: t.Bridge.UUID}
	if r == nil {
		return e, false
	}
	have := t.Bridge.ExternalIDs
	if !t.Config.Guarded {
		if !r.Released {
			return e, false
		}
		change := model.OpenBridge(t.Bridge)
		return ovsdb.BridgeEdit(t.Bridge, change), len(change.Delete) > 0
	}
	if r.Unguarded == nil || have[model.KeyUnguarded] == r.Unguarded.String() {
		return e, false
	}
	e.Set = map[string]string{model.KeyUnguarded: r.Unguarded.String()}
	return e, true
}
