package agent

import (
	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// bridgeEdit returns the change that a bridge's own row needs: when it was last exposed,
// and, once it is released, the fail_mode that it had before "guard --secure".
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
		e.Delete, e.FailMode = model.BridgeLeftovers(t.Bridge)
		return e, len(e.Delete) > 0
	}
	if r.Unguarded == nil || have[model.KeyUnguarded] == r.Unguarded.String() {
		return e, false
	}
	e.Set = map[string]string{model.KeyUnguarded: r.Unguarded.String()}
	return e, true
}
