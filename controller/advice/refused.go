package advice

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
)

// refusal is why a policy refuses today what was claimed, given why it was refused then;
// "" if it doesn't. What metadata can't allow, such as malformed frames, doesn't show in
// a claim and counts as not refused. A MAC that the VIF has lost since comes first, as it
// does in the switch: nothing that was said with it is the VIF's.
func refusal(p *model.Policy, reason model.Reason, c *frame.Claim) model.Reason {
	switch {
	case p.Mode == model.Trusted || p.Mode == model.Off:
		return model.NoReason
	case p.Mode == model.Blocked || reason == model.ReasonBlocked:
		if p.Mode == model.Blocked && reason == model.ReasonBlocked {
			return reason
		}
		return model.NoReason
	case reason == model.ReasonVLAN && !tagAllowed(p.Allow, c.VLANs):
		return reason
	case slices.ContainsFunc(inner(c), func(m model.MAC) bool { return !slices.Contains(p.MACs(), m) }):
		return model.ReasonMAC
	case refusedByStages(p, reason, c):
		return reason
	}
	return model.NoReason
}

// refusedByStages is for what the stages behind that of the MACs refuse.
func refusedByStages(p *model.Policy, reason model.Reason, c *frame.Claim) bool {
	unbound := func(a netip.Addr) bool { return !bound(p, speakers(reason, c), a, reason == model.ReasonIP) }
	if reason == model.ReasonIP {
		return p.Checks.IP() && c.Source.IsValid() && unbound(c.Source)
	}
	if !p.Checks.ARP() {
		return false
	}
	switch reason {
	case model.ReasonARP, model.ReasonND:
		return slices.ContainsFunc(claimed(reason, c), unbound)
	case model.ReasonEtherType:
		return !slices.Contains(p.Allow.EtherTypes, uint16(c.EtherType))
	case model.ReasonDHCPServer:
		return !p.Allow.DHCPServer
	case model.ReasonRouter:
		return !p.Allow.Router
	case model.ReasonMalformed:
		return true
	default:
		return false
	}
}

// bound reports whether one of the MACs may speak for the address.
func bound(p *model.Policy, macs []model.MAC, a netip.Addr, source bool) bool {
	return slices.ContainsFunc(p.Bindings, func(b model.Binding) bool {
		return slices.Contains(macs, b.MAC) && b.Prefix.Contains(a) && (source || !b.IPOnly())
	})
}

// speaker is the MAC that a frame binds its addresses to.
func speaker(reason model.Reason, c *frame.Claim) model.MAC {
	switch {
	case reason == model.ReasonARP:
		return c.SHA
	case reason == model.ReasonND && c.Option.IsVRRP():
		return c.Option
	}
	return c.EthSrc
}

// speakers are the MACs of which one has to have each address of a frame. The source of
// an NA for a virtual MAC is that of the router's own.
func speakers(reason model.Reason, c *frame.Claim) []model.MAC {
	if reason == model.ReasonND {
		return []model.MAC{speaker(reason, c), c.EthSrc}
	}
	return []model.MAC{speaker(reason, c)}
}

// claimed are the addresses that a frame speaks for.
func claimed(reason model.Reason, c *frame.Claim) []netip.Addr {
	var list []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && !a.IsUnspecified() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	switch reason {
	case model.ReasonARP:
		add(c.SPA)
		if len(list) == 0 {
			add(c.Target)
		}
	case model.ReasonND:
		add(c.Source)
		add(c.Target)
	case model.ReasonIP:
		if c.Source.IsValid() {
			list = append(list, c.Source)
		}
	default: // what else is refused isn't about addresses
	}
	return list
}

func tagAllowed(a model.Allow, vlans string) bool {
	return a.VLANTrunk && !strings.Contains(vlans, ",") || a.PriorityTag && vlans == "0"
}
