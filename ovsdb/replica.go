package ovsdb

import "github.com/ovn-org/libovsdb/cache"

// cacheReplica reads rows from libovsdb's cache. They are copies, ours to keep.
type cacheReplica struct{ cache *cache.TableCache }

func (c cacheReplica) bridge(uuid string) *bridgeRow { return row[bridgeRow](c, TableBridge, uuid) }
func (c cacheReplica) port(uuid string) *portRow     { return row[portRow](c, tablePort, uuid) }
func (c cacheReplica) iface(uuid string) *interfaceRow {
	return row[interfaceRow](c, TableInterface, uuid)
}

func row[T any](c cacheReplica, table Table, uuid string) *T {
	r, _ := c.cache.Table(string(table)).Row(uuid).(*T)
	return r
}

// root returns the row of the Open_vSwitch table. The schema allows one row only.
func (c cacheReplica) root() *rootRow {
	for _, m := range c.cache.Table(string(TableOpenvSwitch)).RowsShallow() {
		if r, ok := m.(*rootRow); ok {
			return r.clone()
		}
	}
	return nil
}

func (d *dirty) empty() bool {
	return !d.all && !d.root && len(d.bridges)+len(d.ports)+len(d.ifaces) == 0
}

func (d *dirty) add(table Table, uuid string) {
	set := &d.ifaces
	switch table {
	case TableOpenvSwitch:
		d.root = true
		return
	case TableBridge:
		set = &d.bridges
	case tablePort:
		set = &d.ports
	case TableInterface:
	default:
		return
	}
	if *set == nil {
		*set = make(map[string]struct{})
	}
	(*set)[uuid] = struct{}{}
}
