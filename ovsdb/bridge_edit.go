package ovsdb

import "github.com/vifguard/vifguard/model"

// BridgeEdit returns the edit that makes a change of a Bridge row.
func BridgeEdit(b *model.Bridge, c model.BridgeChange) Edit {
	e := Edit{Table: TableBridge, UUID: b.UUID, Set: c.Set, Delete: c.Delete, FailMode: c.FailMode}
	switch v := c.DisableInBand; {
	case v == nil:
	case *v == "":
		e.Config.Delete = []string{model.ConfigInBand}
	default:
		e.Config.Set = map[string]string{model.ConfigInBand: *v}
	}
	return e
}
