package ovsdb

import (
	"cmp"
	"maps"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// replica is what a view reads: private copies of rows, nil for a missing one.
type replica interface {
	root() *rootRow
	bridge(uuid string) *bridgeRow
	port(uuid string) *portRow
	iface(uuid string) *interfaceRow
	controller(uuid string) *controllerRow
	manager(uuid string) *controllerRow
	mirror(uuid string) *mirrorRow
	datapath(uuid string) *datapathRow
}

// dirty says which rows a view must read again.
type dirty struct {
	all, root              bool
	attached               bool // rows that a Bridge row refers to, other than its ports
	bridges, ports, ifaces map[string]struct{}
}

// view computes Hosts from a replica. It remembers who refers to whom, so that a
// changed row costs its bridge and not the host; whatever is rare (a bridge comes
// or goes, a row with two referrers) is left to the full rebuild.
type view struct {
	host     *model.Host
	rootUUID string
	roots    []string          // Open_vSwitch.bridges, sorted
	profiles map[string]string // of host, or newer until published
	agent    string            // likewise
	ovn      string            // likewise, Host.OVNBridge
	facts    *model.HostFacts  // likewise
	bridges  map[string]*bridgeNode
	ports    map[string]*portNode        // every port referred to by a bridge, present or not
	owner    map[string]string           // interface to the port that refers to it
	ifaces   map[string]*model.Interface // every interface present with an owner
	shared   bool                        // some row has two referrers
}

type bridgeNode struct {
	bridge  *model.Bridge // as last published
	row     *model.Bridge // the row's own columns as last read
	ports   []string      // sorted
	mirrors []*mirrorRow
}

type portNode struct {
	port
	bridge string // UUID
	ifaces []string
}

// newView returns a view that reuses the values of seed where rows are equal.
func newView(seed *model.Host) *view {
	v := &view{host: seed, bridges: map[string]*bridgeNode{}, ifaces: map[string]*model.Interface{}}
	if seed == nil {
		v.host = &model.Host{}
		return v
	}
	for _, b := range seed.Bridges {
		v.bridges[b.UUID] = &bridgeNode{bridge: b}
		for _, i := range b.Interfaces {
			v.ifaces[i.UUID] = i
		}
	}
	return v
}

// refresh reads the dirty rows and returns the Host. The result doesn't depend on
// what is dirty, provided that all changed rows are.
func (v *view) refresh(r replica, d dirty) *model.Host {
	if d.all || v.shared || !v.update(r, d) {
		v.rebuild(r)
	}
	return v.host
}

// rebuild reads every row. Nothing but the values to reuse is taken from before.
func (v *view) rebuild(r replica) {
	old := v.bridges
	v.bridges, v.ports, v.owner = map[string]*bridgeNode{}, map[string]*portNode{}, map[string]string{}
	v.shared, v.rootUUID, v.roots, v.profiles, v.agent, v.ovn, v.facts = false, "", nil, nil, "", "", nil
	if root := r.root(); root != nil {
		v.rootUUID, v.roots = root.UUID, sorted(root.Bridges)
		v.loadRoot(r, root)
	}
	for _, u := range v.roots {
		if row := r.bridge(u); row != nil {
			n := &bridgeNode{ports: sorted(row.Ports)}
			n.load(r, row)
			v.bridges[u] = n
		}
	}
	// Of several referrers the first in this order wins.
	for _, n := range slices.SortedFunc(maps.Values(v.bridges), func(a, b *bridgeNode) int { return byBridge(a.row, b.row) }) {
		for _, p := range n.ports {
			v.claimPort(r, n.row.UUID, p, nil)
		}
	}
	maps.DeleteFunc(v.ifaces, func(u string, _ *model.Interface) bool { _, ok := v.owner[u]; return !ok })
	for u, n := range v.bridges {
		if o := old[u]; o != nil {
			n.bridge = o.bridge
		}
		n.publish(v, v.interfacesOf(n))
	}
	v.publishHost()
}

func (v *view) loadRoot(r replica, root *rootRow) {
	v.profiles, v.agent, v.ovn, v.facts = root.profiles(), root.ExternalIDs[model.KeyAgent], root.ovnBridge(), root.facts(r)
}

// load reads a bridge's own columns and the rows that they refer to, but for its ports.
func (n *bridgeNode) load(r replica, row *bridgeRow) {
	n.row, n.mirrors = row.bridge(), nil
	n.row.Facts.Controllers = remotes(row.Controllers, r.controller)
	for _, u := range row.Mirrors {
		if m := r.mirror(u); m != nil {
			n.mirrors = append(n.mirrors, m)
		}
	}
}

func (v *view) interfacesOf(n *bridgeNode) []*model.Interface {
	var list []*model.Interface
	for _, p := range n.ports {
		port := v.ports[p]
		if port == nil || port.bridge != n.row.UUID {
			continue
		}
		for _, i := range port.ifaces {
			if i := v.ifaces[i]; i != nil && v.owner[i.UUID] == p {
				list = append(list, i)
			}
		}
	}
	slices.SortFunc(list, model.CompareInterfaces)
	return slices.Compact(list) // a row can name an interface twice only if ovsdb-server is broken
}

// update reads the dirty rows only. It returns false when a rebuild is needed.
func (v *view) update(r replica, d dirty) bool {
	if d.root {
		root := r.root()
		if root == nil || root.UUID != v.rootUUID || !slices.Equal(sorted(root.Bridges), v.roots) {
			return false
		}
		v.loadRoot(r, root)
	}
	if d.bridges == nil {
		d.bridges = map[string]struct{}{}
	}
	if d.attached { // rare, and bridges are few
		for u := range v.bridges {
			d.bridges[u] = struct{}{}
		}
	}
	t := touched{}
	for u := range d.bridges {
		if !v.updateBridge(r, u, t) {
			return false
		}
	}
	for u := range d.ports {
		if n := v.ports[u]; n != nil {
			v.releasePort(u, t)
			v.claimPort(r, n.bridge, u, t)
			if b := v.bridges[n.bridge]; len(b.mirrors) > 0 {
				d.bridges[n.bridge] = struct{}{} // they name their ports
			}
		}
	}
	for u := range d.ifaces {
		if port, ok := v.owner[u]; ok {
			v.touch(t, u)
			v.load(r, u, &v.ports[port].port)
		}
	}
	if v.shared {
		return false
	}
	v.publish(t, d.bridges)
	return true
}

func (v *view) updateBridge(r replica, u string, t touched) bool {
	n, row := v.bridges[u], r.bridge(u)
	if n == nil || row == nil {
		// A bridge nobody refers to doesn't matter, present or not.
		_, referred := slices.BinarySearch(v.roots, u)
		return !referred
	}
	n.load(r, row)
	was, is := n.ports, sorted(row.Ports)
	n.ports = is
	for _, p := range missingIn(was, is) {
		v.releasePort(p, t)
	}
	for _, p := range missingIn(is, was) {
		v.claimPort(r, u, p, t)
	}
	return true
}

func (v *view) claimPort(r replica, bridge, port string, t touched) {
	if _, taken := v.ports[port]; taken {
		v.shared = true
		return
	}
	n := &portNode{bridge: bridge}
	v.ports[port] = n
	row := r.port(port)
	if row == nil {
		return
	}
	n.port, n.ifaces = row.port(), sorted(row.Interfaces)
	for _, i := range n.ifaces {
		if _, taken := v.owner[i]; taken {
			v.shared = true
			continue
		}
		v.touch(t, i)
		v.owner[i] = port
		v.load(r, i, &n.port)
	}
}

func (v *view) releasePort(port string, t touched) {
	for _, i := range v.ports[port].ifaces {
		if v.owner[i] == port {
			v.touch(t, i)
			delete(v.owner, i)
		}
	}
	delete(v.ports, port)
}

// load reads an interface row, and keeps the value it had if that is still true.
func (v *view) load(r replica, u string, p *port) {
	row := r.iface(u)
	if row == nil {
		delete(v.ifaces, u)
		return
	}
	now := row.iface(p)
	if old := v.ifaces[u]; old == nil || !equalInterface(old, now) {
		v.ifaces[u] = now
	}
}

// touched remembers for each interface where and what it was before an update.
type touched map[string]place

type place struct {
	bridge string
	iface  *model.Interface
}

func (v *view) place(u string) place {
	if port, ok := v.owner[u]; ok {
		return place{v.ports[port].bridge, v.ifaces[u]}
	}
	return place{}
}

// touch must be called before an interface's owner or value changes.
func (v *view) touch(t touched, u string) {
	if t == nil {
		return
	}
	if _, again := t[u]; !again {
		t[u] = v.place(u)
	}
}

func (v *view) publish(t touched, bridges map[string]struct{}) {
	type change struct{ out, in []*model.Interface }
	changes := map[string]change{}
	for u := range bridges {
		if v.bridges[u] != nil {
			changes[u] = change{}
		}
	}
	for u, was := range t {
		is := v.place(u)
		if _, ok := v.owner[u]; !ok {
			delete(v.ifaces, u)
		}
		if was == is {
			continue
		}
		if was.iface != nil {
			c := changes[was.bridge]
			c.out = append(c.out, was.iface)
			changes[was.bridge] = c
		}
		if is.iface != nil {
			c := changes[is.bridge]
			c.in = append(c.in, is.iface)
			changes[is.bridge] = c
		}
	}
	for u, c := range changes {
		n := v.bridges[u]
		n.publish(v, merge(n.bridge.Interfaces, c.out, c.in))
	}
	v.publishHost()
}

// publish makes a new Bridge of the row and these interfaces, unless it would be equal.
func (n *bridgeNode) publish(v *view, list []*model.Interface) {
	n.row.Facts.Mirrors = n.mirrorFacts(v)
	if n.bridge != nil && equalRow(n.bridge, n.row) && slices.Equal(n.bridge.Interfaces, list) {
		return
	}
	b := *n.row
	b.Interfaces = list
	n.bridge = &b
}

// mirrorFacts returns the bridge's mirrors. Ports of other bridges mean nothing to them.
func (n *bridgeNode) mirrorFacts(v *view) (list []model.Mirror) {
	for _, m := range n.mirrors {
		list = append(list, m.mirror(func(u string) string {
			if p := v.ports[u]; p != nil && p.bridge == n.row.UUID {
				return p.name
			}
			return ""
		}))
	}
	slices.SortFunc(list, func(a, b model.Mirror) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (v *view) publishHost() {
	list := make([]*model.Bridge, 0, len(v.bridges))
	for _, n := range v.bridges {
		list = append(list, n.bridge)
	}
	slices.SortFunc(list, byBridge)
	if v.facts.Equal(v.host.Facts) {
		v.facts = v.host.Facts
	}
	now := &model.Host{Bridges: list, Profiles: v.profiles, Agent: v.agent, OVNBridge: v.ovn, Facts: v.facts}
	if !equalHost(v.host, now) {
		v.host = now
	}
}

// fewChanges is up to how many changes a search for each of them is cheaper than a walk
// along all.
const fewChanges = 16

// merge returns the sorted list without out and with in. It shares nothing with list.
func merge(list, out, in []*model.Interface) []*model.Interface {
	if len(out) == 0 && len(in) == 0 {
		return list
	}
	merged := make([]*model.Interface, len(list), len(list)+len(in))
	copy(merged, list)
	if len(out)+len(in) <= fewChanges {
		for _, i := range out {
			if at, ok := slices.BinarySearchFunc(merged, i, model.CompareInterfaces); ok {
				merged = slices.Delete(merged, at, at+1)
			}
		}
		for _, i := range in {
			at, _ := slices.BinarySearchFunc(merged, i, model.CompareInterfaces)
			merged = slices.Insert(merged, at, i)
		}
	} else {
		gone := make(map[*model.Interface]bool, len(out))
		for _, i := range out {
			gone[i] = true
		}
		merged = slices.DeleteFunc(merged, func(i *model.Interface) bool { return gone[i] })
		merged = append(merged, in...)
		slices.SortFunc(merged, model.CompareInterfaces)
	}
	if len(merged) == 0 {
		return nil // as a rebuild has it
	}
	return merged
}

func byBridge(a, b *model.Bridge) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UUID, b.UUID))
}

// equalHost compares hosts whose bridges and facts are the same values if they are equal.
func equalHost(a, b *model.Host) bool {
	return slices.Equal(a.Bridges, b.Bridges) && maps.Equal(a.Profiles, b.Profiles) &&
		a.Agent == b.Agent && a.OVNBridge == b.OVNBridge && a.Facts == b.Facts
}

func equalInterface(a, b *model.Interface) bool {
	return a.UUID == b.UUID && a.Name == b.Name && a.Port == b.Port && a.Type == b.Type &&
		a.OFPort == b.OFPort && a.Facts == b.Facts && maps.Equal(a.ExternalIDs, b.ExternalIDs)
}

// equalRow compares all but the interfaces.
func equalRow(a, b *model.Bridge) bool {
	return a.UUID == b.UUID && a.Name == b.Name && a.FailMode == b.FailMode && a.HasController == b.HasController &&
		a.Facts.Equal(&b.Facts) && slices.Equal(a.Protocols, b.Protocols) && maps.Equal(a.ExternalIDs, b.ExternalIDs)
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// missingIn returns what the sorted a has and the sorted b has not.
func missingIn(a, b []string) []string {
	var list []string
	for _, s := range a {
		for len(b) > 0 && b[0] < s {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != s {
			list = append(list, s)
		}
	}
	return list
}
