package agent

import (
	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// portEdit returns the change that the Port row of an interface needs, once it is known what
// its flows are: a VIF takes no part in the bridge's spanning trees, unless its Port says that
// it does; what was closed is given back when the interface is a VIF no more.
func portEdit(t *bridge.Target, row *model.Interface, outcome *bridge.VIF) (ovsdb.Edit, bool) {
	var change model.PortChange
	switch {
	case !t.Config.Guarded:
		change = model.OpenPort(row)
	case outcome != nil:
		change = model.ClosePort(t.Bridge, row, outcome.Policy)
	}
	return ovsdb.PortEdit(row, change), !change.Empty()
}
