package ovsdb

import "github.com/ovn-org/libovsdb/cache"

// cacheReplica reads rows from libovsdb's cache. They are copies, ours to keep.
type cacheReplica struct{ cache *cache.TableCache }

func (c cacheReplica) bridge(uuid string) *bridgeRow { return row[bridgeRow](c, TableBridge, uuid) }
func (c cacheReplica) port(uuid string) *portRow     { return row[portRow](c, TablePort, uuid) }
func (c cacheReplica) iface(uuid string) *interfaceRow {
	return row[interfaceRow](c, TableInterface, uuid)
}
func (c cacheReplica) controller(uuid string) *controllerRow {
	if r := row[controllerRow](c, tableController, uuid); r != nil {
		return r
	}
	return (*controllerRow)(row[oldControllerRow](c, tableController, uuid))
}
func (c cacheReplica) manager(uuid string) *controllerRow {
	return (*controllerRow)(row[managerRow](c, tableManager, uuid))
}
func (c cacheReplica) mirror(uuid string) *mirrorRow { return row[mirrorRow](c, tableMirror, uuid) }
func (c cacheReplica) datapath(uuid string) *datapathRow {
	return row[datapathRow](c, tableDatapath, uuid)
}

func row[T any](c cacheReplica, table Table, uuid string) *T {
	t := c.cache.Table(string(table))
	if t == nil {
		return nil // a table that this server's schema lacks
	}
	r, _ := t.Row(uuid).(*T)
	return r
}

// root returns the row of the Open_vSwitch table. The schema allows one row only.
func (c cacheReplica) root() *rootRow {
	for _, m := range c.cache.Table(string(TableOpenvSwitch)).RowsShallow() {
		switch r := m.(type) {
		case *rootRow:
			return r.clone()
		case *oldRootRow:
			return (*rootRow)(r).clone()
		}
	}
	return nil
}

func (d *dirty) empty() bool {
	return !d.all && !d.root && !d.attached && len(d.bridges)+len(d.ports)+len(d.ifaces) == 0
}

func (d *dirty) add(table Table, uuid string) {
	set := &d.ifaces
	switch table {
	case TableOpenvSwitch:
		d.root = true
		return
	case TableBridge:
		set = &d.bridges
	case TablePort:
		set = &d.ports
	case TableInterface:
	case tableManager, tableDatapath:
		d.root = true
		return
	case tableController, tableMirror:
		d.attached = true
		return
	default:
		return
	}
	if *set == nil {
		*set = make(map[string]struct{})
	}
	(*set)[uuid] = struct{}{}
}
