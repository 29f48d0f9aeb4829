package inspect

import (
	"maps"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/model"
)

// Programmer names what else programs a bridge's flows, or returns "". OVN needs no
// controller row: like vifguard it uses the management socket. Neutron's agent sets one
// on each of its bridges.
func Programmer(h *model.Host, b *model.Bridge) string {
	if h.OVNBridge == b.Name {
		return "OVN (Open_vSwitch external_ids has ovn-remote)"
	}
	for _, k := range slices.Sorted(maps.Keys(b.ExternalIDs)) {
		// ovn-controller numbers its connection tracking zones there, whatever the
		// bridge's name is.
		if strings.HasPrefix(k, "ct-zone-") || k == "ovn-nb-cfg" {
			return "OVN (its external_ids has " + k + ")"
		}
	}
	if b.HasController {
		return "an OpenFlow controller (Neutron's agent, for example; ovs-vsctl get-controller " + b.Name + ")"
	}
	return ""
}
