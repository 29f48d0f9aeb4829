package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// bridge is the bridge of every measurement.
const bridge = "br0"

// vif is one port of the fleet: with all checks on, it has an IPv4 and an IPv6
// address, a failover address that is shared with its neighbour, and a prefix.
type vif int

func (v vif) name() string { return fmt.Sprintf("p%d", int(v)) }
func (v vif) ofport() int  { return int(v) + 1 }
func (v vif) mac() string {
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", int(v)>>16&255, int(v)>>8&255, int(v)&255)
}
func (v vif) ip4() netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(int(v) >> 16), byte(int(v) >> 8), byte(v)})
}
func (v vif) ip6() string { return fmt.Sprintf("2001:db8::%x", int(v)+1) }
func (v vif) pair() string {
	return netip.AddrFrom4([4]byte{172, 16, byte(int(v) >> 9), byte(int(v) >> 1)}).String()
}
func (v vif) prefix() string {
	return netip.AddrFrom4([4]byte{100, 64 | byte(int(v)>>12), byte(int(v) >> 4), byte(int(v) << 4)}).String() + "/28"
}

func (v vif) ids() map[string]string {
	return map[string]string{
		"attached-mac":          v.mac(),
		"allowed-addresses":     v.ip4().String() + "," + v.ip6() + "," + v.prefix(),
		"allowed-address-pairs": v.pair(),
	}
}

// batch is the number of ports that are added in one transaction. ovs-vsctl takes time
// that grows with the square of it, so the fleet doesn't use it.
const batch = 1000

// addFleet adds VIFs from..to-1 to the bridge and waits until the switch has them.
func addFleet(ctx context.Context, db *database, from, to int, w wiring) error {
	for ; from < to; from += batch {
		var ops, ports []any
		for i := from; i < min(from+batch, to); i++ {
			ports = append(ports, namedUUID(fmt.Sprintf("port%d", i)))
			ops = append(ops, plug(vif(i), w)...)
		}
		if err := db.transact(ctx, append(ops, attach(bridge, ports))...); err != nil {
			return fmt.Errorf("add ports: %w", err)
		}
	}
	return db.applied(ctx)
}

// wiring is what a fleet's ports are. The agent treats all alike.
type wiring string

const (
	// Patch ports exist only in the switch's control plane, in pairs: ten thousand of
	// them take seconds, while those that have a datapath port take minutes.
	patched wiring = "patch"
	dummy   wiring = "dummy"
)

// plug returns the operations that make a VIF's rows.
func plug(v vif, w wiring) []any {
	row := map[string]any{"name": v.name(), "type": w, "ofport_request": v.ofport(), "external_ids": ovsMap(v.ids())}
	if w == patched {
		row["options"] = ovsMap(map[string]string{"peer": vif(int(v) ^ 1).name()})
	}
	return []any{
		map[string]any{"op": "insert", "table": "Interface", "uuid-name": fmt.Sprintf("iface%d", int(v)), "row": row},
		map[string]any{
			"op": "insert", "table": "Port", "uuid-name": fmt.Sprintf("port%d", int(v)),
			"row": map[string]any{"name": v.name(), "interfaces": namedUUID(fmt.Sprintf("iface%d", int(v)))},
		},
	}
}

// attach returns the operation that gives rows of ports to a bridge.
func attach(bridge string, ports []any) any {
	return map[string]any{
		"op": "mutate", "table": "Bridge", "where": [][]any{{"name", "==", bridge}},
		"mutations": [][]any{{"ports", "insert", ovsSet(ports)}},
	}
}

// rulesOf returns the rules that a bridge with the first n VIFs, and its own port,
// must have. Cookies aside they are what the agent installs.
func rulesOf(n int) []flows.Rule {
	config := &model.BridgeConfig{Settings: model.Settings{Name: bridge}}
	rules := flows.Shared()
	own := model.Policy{Mode: model.Trusted}
	rules = append(rules, flows.Compile(flows.Port{InPort: model.LocalPort, Policy: &own})...)
	for i := range n {
		v := vif(i)
		ids := v.ids()
		ids[model.KeyChecks] = "auto"
		p := model.Resolve(config, nil, &model.Interface{Name: v.name(), Type: "dummy", OFPort: uint32(v.ofport()), ExternalIDs: ids})
		rules = append(rules, flows.Compile(flows.Port{VIF: flows.VIFID(i + 1), InPort: uint32(v.ofport()), Policy: &p})...)
	}
	return rules
}
