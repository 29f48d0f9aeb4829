package advice

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
)

// refused reports whether a policy still refuses what was claimed, for the reason that
// it was refused for then. What metadata can't allow, such as malformed frames, doesn't
// show in a claim and counts as not refused.
func refused(p *model.Policy, reason string, c *frame.Claim) bool {
	switch p.Mode {
	case model.Trusted, model.Off:
		return false
	case model.Blocked:
		return reason == "blocked"
	}
	unbound := func(a netip.Addr) bool { return !bound(p, speakers(reason, c), a, reason == "ip") }
	switch reason {
	case "mac":
		macs := p.MACs()
		return slices.ContainsFunc(inner(c), func(m model.MAC) bool { return !slices.Contains(macs, m) })
	case "vlan":
		return !tagAllowed(p.Allow, c.VLANs)
	case "ip":
		return p.Checks.IP() && c.Source.IsValid() && unbound(c.Source)
	}
	if !p.Checks.ARP() {
		return false
	}
	switch reason {
	case "arp", "nd":
		return slices.ContainsFunc(claimed(reason, c), unbound)
	case "ethertype":
		return !slices.Contains(p.Allow.EtherTypes, uint16(c.EtherType))
	case "dhcp-server":
		return !p.Allow.DHCPServer
	case "router":
		return !p.Allow.Router
	}
	return false
}

// bound reports whether one of the MACs may speak for the address.
func bound(p *model.Policy, macs []model.MAC, a netip.Addr, source bool) bool {
	return slices.ContainsFunc(p.Bindings, func(b model.Binding) bool {
		return slices.Contains(macs, b.MAC) && b.Prefix.Contains(a) && (source || !b.IPOnly())
	})
}

// speaker is the MAC that a frame binds its addresses to.
func speaker(reason string, c *frame.Claim) model.MAC {
	switch {
	case reason == "arp":
		return c.SHA
	case reason == "nd" && c.Option.IsVRRP():
		return c.Option
	}
	return c.EthSrc
}

// speakers are the MACs of which one has to have each address of a frame. The source of
// an NA for a virtual MAC is that of the router's own.
func speakers(reason string, c *frame.Claim) []model.MAC {
	if reason == "nd" {
		return []model.MAC{speaker(reason, c), c.EthSrc}
	}
	return []model.MAC{speaker(reason, c)}
}

// claimed are the addresses that a frame speaks for.
func claimed(reason string, c *frame.Claim) []netip.Addr {
	var list []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && !a.IsUnspecified() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	switch reason {
	case "arp":
		add(c.SPA)
		if len(list) == 0 {
			add(c.Target)
		}
	case "nd":
		add(c.Source)
		add(c.Target)
	case "ip":
		if c.Source.IsValid() {
			list = append(list, c.Source)
		}
	}
	return list
}

func tagAllowed(a model.Allow, vlans string) bool {
	return a.VLANTrunk && !strings.Contains(vlans, ",") || a.PriorityTag && vlans == "0"
}
