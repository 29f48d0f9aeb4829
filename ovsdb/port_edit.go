package ovsdb

import "github.com/vifguard/vifguard/model"

// PortEdit returns the edit that makes a change of the Port row of an interface.
func PortEdit(row *model.Interface, c model.PortChange) Edit {
	e := Edit{Table: TablePort, UUID: row.Facts.PortUUID, Config: MapEdit{Delete: c.GiveBack}}
	for _, key := range c.Close {
		if e.Config.Set == nil {
			e.Config.Set = make(map[string]string)
		}
		e.Config.Set[key] = "false"
	}
	if c.Closed == "" {
		e.Delete = []string{model.KeyClosed}
	} else {
		e.Set = map[string]string{model.KeyClosed: c.Closed}
	}
	return e
}
