package flows

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// Port is one port as the switch knows it, and what it may be.
type Port struct {
	VIF    VIFID
	InPort uint32 // OpenFlow port number, never 0
	Policy *model.Policy

	// Quarantine is for how many seconds at most nothing passes, because the VIF floods;
	// 0 when it isn't quarantined. A policy without a flood limit has no quarantine.
	Quarantine uint16
}

// Compile returns the rules of one port in the order in which the switch tries them.
// They depend on nothing but the port, so one port's rules change only when its own
// policy or number changes.
func Compile(p Port) []Rule {
	c := compiler{port: p, list: ruleList{vif: p.VIF}}
	switch p.Policy.Mode {
	case model.Trusted:
		c.add(StagePort, prioAllow, Match{}, goTo(StageExit), "trusted port: "+p.Policy.Origins.Mode)
	case model.Off:
		c.add(StagePort, prioAllow, Match{}, goTo(StageExit), "no check is on")
	case model.Blocked:
		c.add(StagePort, prioAllow, Match{}, load(uint32(model.ReasonBlocked)<<blameShift, StageDrop), "blocked: "+p.Policy.Origins.Mode)
		c.counters(model.ReasonBlocked)
	case model.Checked:
		c.checked()
	}
	slices.SortStableFunc(c.list.rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(b.Priority, a.Priority))
	})
	return c.list.rules
}

type compiler struct {
	port Port
	list ruleList
}

func (c *compiler) add(s Stage, priority uint16, m Match, a Actions, why string) {
	m.InPort = c.port.InPort
	c.list.stage = s
	c.list.add(priority, m, a, why)
}

func (c *compiler) checked() {
	p := c.port.Policy
	c.classify()
	if c.port.Quarantine > 0 && p.FloodLimit() > 0 {
		c.quarantine()
	}
	for _, mac := range p.MACs() {
		c.add(StageMAC, prioAllow, Match{EthSrc: mac}, goTo(StageARP), "Ethernet source "+mac.String())
		c.announcement(mac)
	}
	if p.Checks.ARP() {
		c.claimedMACs()
		for _, b := range p.Bindings {
			c.binding(b)
		}
		for _, t := range p.Allow.EtherTypes {
			c.add(StageARP, prioClass, Match{Payload: OfType(t)}, goTo(StageExit), fmt.Sprintf("ethertype 0x%04x is lifted", t))
		}
	} else {
		c.claimedMACsOnly()
	}
	c.counters(p.Reasons()...)
}

// classify writes the port stage: what the policy asks for, as flags.
func (c *compiler) classify() {
	p := c.port.Policy
	flags := flagIf(p.Checks.ARP(), FlagARP) | flagIf(p.Checks.IP(), FlagIP) |
		flagIf(p.Allow.DHCPServer, FlagDHCPServer) | flagIf(p.Allow.Router, FlagRouter) |
		flagIf(p.Allow.VLANTrunk, FlagTagOK)
	blamed := uint32(model.ReasonMAC) << blameShift
	c.add(StagePort, prioAllow, Match{}, load(blamed|uint32(flags), StageMAC), "checked: "+p.Checks.String())
	if p.Allow.PriorityTag && !p.Allow.VLANTrunk {
		c.add(StagePort, prioException, Match{VLAN: PriorityTagged}, load(blamed|uint32(flags|FlagTagOK), StageMAC), "one tag with VID 0 is lifted")
	}
}

// quarantine refuses everything before any field but the port has been looked at, so that
// frames which differ share a megaflow. It takes precedence over the policy, of which
// nothing changes, and the switch ends it by itself should there be no agent to do so.
func (c *compiler) quarantine() {
	c.add(StagePort, prioGuard, Match{}, load(uint32(model.ReasonFlood)<<blameShift, StageDrop), "quarantined: too many frames a second were refused")
	c.list.rules[len(c.list.rules)-1].Timeout = c.port.Quarantine
}

func flagIf(on bool, f Flags) Flags {
	if on {
		return f
	}
	return 0
}

// opRequestReverse is the RARP opcode "request reverse" (RFC 903).
const opRequestReverse = 3

// announcement allows the RARP packet that QEMU sends after a live migration, so that
// switches learn where the VIF is now. It speaks for no IP address.
func (c *compiler) announcement(mac model.MAC) {
	c.add(StageARP, prioAllow, Match{EthSrc: mac, Payload: RARPPacket{
		Op: opRequestReverse, SPA: unspecified4, TPA: unspecified4, SHA: mac, THA: mac,
	}}, goTo(StageExit), "RARP announcement of "+mac.String()+" after a migration")
}

// claimedMACsOnly lets ARP and ND through whose sender MACs are the VIF's, whatever
// addresses they speak for.
func (c *compiler) claimedMACsOnly() {
	for _, mac := range c.port.Policy.MACs() {
		c.add(StageARP, prioAllow, Match{Payload: ARPPacket{SHA: mac}}, goTo(StageExit), "ARP sender "+mac.String())
		c.add(StageND, prioAllow, Match{Payload: Solicitation(anySource, NS{SLL: &mac}), Flags: firstPass}, measured(longestOption), "NS source link-layer option "+mac.String())
		c.add(StageND, prioAllow, Match{Payload: Advertisement(NA{TLL: &mac}), Flags: firstPass}, measured(longestOption), "NA target link-layer option "+mac.String())
	}
}

// claimedMACs sorts ARP and ND by the sender MACs inside: ND whose option is the
// Ethernet source goes on to its claims; what carries another MAC of the VIF is no
// longer to blame on its MAC.
func (c *compiler) claimedMACs() {
	macs := c.port.Policy.MACs()
	for _, mac := range macs {
		ns, na := Solicitation(anySource, NS{SLL: &mac}), Advertisement(NA{TLL: &mac})
		c.add(StageARP, prioBlame, Match{Payload: ARPPacket{SHA: mac}}, blame(model.ReasonARP), "ARP from "+mac.String()+" that no binding allows")
		if c.ownsUnspecified(mac) {
			c.add(StageARP, prioRefuse, Match{Payload: ARPPacket{SPA: unspecified4, SHA: mac}}, blame(model.ReasonARP), "ARP sender 0.0.0.0, whatever prefixes the VIF owns")
			c.add(StageARP, prioGuard, Match{Payload: ARPPacket{SPA: unspecified4, TPA: unspecified4, SHA: mac}}, blame(model.ReasonARP), "ARP probe for 0.0.0.0, whatever prefixes the VIF owns")
		}
		c.add(StageND, prioAllow, Match{EthSrc: mac, Payload: ns, Flags: firstPass}, toClaims(longestOption), "NS source link-layer option "+mac.String())
		c.add(StageND, prioAllow, Match{EthSrc: mac, Payload: na, Flags: firstPass}, toClaims(longestOption), "NA target link-layer option "+mac.String())
		if len(macs) > 1 {
			c.add(StageND, prioBlame, Match{Payload: ns, Flags: firstPass}, blame(model.ReasonND), "NS option "+mac.String()+" from another of the VIF's MACs")
			c.add(StageND, prioBlame, Match{Payload: na, Flags: firstPass}, blame(model.ReasonND), "NA option "+mac.String()+" from another of the VIF's MACs")
		}
		if own := c.port.Policy.MAC; mac.IsVRRP() && mac != own {
			twin := toClaims(longestOption)
			twin.Set |= FlagVRRP
			c.add(StageND, prioAllow, Match{EthSrc: own, Payload: ns, Flags: firstPass}, twin, "NS from the own MAC for VRRP virtual MAC "+mac.String())
			c.add(StageND, prioAllow, Match{EthSrc: own, Payload: na, Flags: firstPass}, twin, "NA from the own MAC for VRRP virtual MAC "+mac.String())
		}
	}
}

// ownsUnspecified reports whether a binding that is good for ARP covers 0.0.0.0, which
// is nobody's address.
func (c *compiler) ownsUnspecified(mac model.MAC) bool {
	return slices.ContainsFunc(c.port.Policy.Bindings, func(b model.Binding) bool {
		return b.MAC == mac && !b.IPOnly() && b.Prefix.Contains(unspecified4.Addr())
	})
}

// binding lets through what one binding allows, in every stage.
func (c *compiler) binding(b model.Binding) {
	is4 := b.Prefix.Addr().Is4()
	if !b.IPOnly() {
		if is4 {
			c.arpClaims(b)
		} else {
			c.ndClaims(b)
		}
	}
	if is4 {
		c.source4(b)
	} else {
		c.source6(b)
	}
}

// vrrpOwner returns the own MAC when b belongs to a VRRP virtual MAC that the VIF
// may also speak for from its own MAC (RFC 9568 section 8.1.2).
func (c *compiler) vrrpOwner(b model.Binding) (model.MAC, bool) {
	own := c.port.Policy.MAC
	return own, b.MAC.IsVRRP() && b.MAC != own
}

// ARP opcodes (RFC 826).
const (
	opRequest = 1
	opReply   = 2
)

func (c *compiler) arpClaims(b model.Binding) {
	sources := []model.MAC{b.MAC}
	if own, ok := c.vrrpOwner(b); ok {
		sources = append(sources, own)
	}
	for _, src := range sources {
		from := b.String()
		if src != b.MAC {
			from += " by the own MAC"
		}
		request := ARPPacket{Op: opRequest, SPA: b.Prefix, SHA: b.MAC}
		reply := ARPPacket{Op: opReply, SPA: b.Prefix, SHA: b.MAC}
		c.add(StageARP, prioAllow, Match{EthSrc: src, Payload: request}, goTo(StageExit), "ARP request from "+from)
		c.add(StageARP, prioAllow, Match{EthSrc: src, Payload: reply}, goTo(StageExit), "ARP reply from "+from)
		c.add(StageARP, prioException, Match{EthSrc: src, Payload: ARPPacket{Op: opRequest, SPA: unspecified4, TPA: b.Prefix, SHA: b.MAC}}, goTo(StageExit), "ARP probe for "+from+" (RFC 5227)")
	}
}

func (c *compiler) ndClaims(b model.Binding) {
	none := noMAC
	dad := Solicitation(unspecified6, NS{Target: b.Prefix, SLL: &none})
	c.add(StageND, prioAllow, Match{EthSrc: b.MAC, Payload: dad, Flags: secondPass}, singly(goTo(StageExit)), "duplicate address detection for "+b.String())
	na := Advertisement(NA{Target: b.Prefix})
	m := Match{EthSrc: b.MAC, Payload: na, Flags: secondPass}
	if c.hasVRRP() {
		m.Flags.Clear = FlagVRRP
	}
	c.add(StageND, prioAllow, m, goTo(StageIP), "advertisement of "+b.String())
	if own, ok := c.vrrpOwner(b); ok {
		twin := Advertisement(NA{Target: b.Prefix, TLL: &b.MAC})
		c.add(StageND, prioAllow, Match{EthSrc: own, Payload: twin, Flags: vrrpTwin}, goTo(StageIP), "advertisement of "+b.String()+" from the own MAC")
		// Its source is what a solicitation claims, which the source check would allow the
		// own MAC for other addresses.
		ns := Solicitation(b.Prefix, NS{SLL: &b.MAC})
		c.add(StageND, prioAllow, Match{EthSrc: own, Payload: ns, Flags: vrrpTwin}, goTo(StageExit), "solicitation by "+b.String()+" from the own MAC")
	}
}

// hasVRRP reports whether any binding belongs to a VRRP virtual MAC.
func (c *compiler) hasVRRP() bool {
	for _, b := range c.port.Policy.Bindings {
		if _, ok := c.vrrpOwner(b); ok {
			return true
		}
	}
	return false
}

func (c *compiler) source4(b model.Binding) {
	if !c.port.Policy.Checks.IP() {
		return
	}
	c.add(StageIP, prioAllow, Match{EthSrc: b.MAC, Payload: IPv4{Src: b.Prefix}}, goTo(StageExit), "IPv4 source "+b.String())
	c.adverts(b, func(src netip.Prefix) Payload { return IPv4{Src: src, Dst: vrrpGroup4, Inner: Proto(protoVRRP)} })
}

// source6 allows a source of IPv6. VIFs without ip send only neighbour discovery
// here; a short prefix allows all but that.
func (c *compiler) source6(b model.Binding) {
	ip := c.port.Policy.Checks.IP()
	m := Match{EthSrc: b.MAC, Payload: IPv6{Src: b.Prefix}}
	if b.IPOnly() {
		if !ip {
			return
		}
		m.Flags.Clear = FlagND
	}
	c.add(StageIP, prioAllow, m, goTo(StageExit), "IPv6 source "+b.String())
	if own, ok := c.vrrpOwner(b); ok && !b.IPOnly() {
		twin := IPv6{Src: b.Prefix, HopLimit: hopLimitND, Inner: NA{TLL: &b.MAC}}
		m := Match{EthSrc: own, Payload: twin, Flags: vrrpTwin}
		c.add(StageIP, prioAllow, m, goTo(StageExit), "source of an advertisement of "+b.String()+" from the own MAC")
	}
	if ip {
		c.adverts(b, func(src netip.Prefix) Payload { return IPv6{Src: src, Dst: vrrpGroup6, Inner: Proto(protoVRRP)} })
	}
}

// adverts lets every VRRP virtual MAC send VRRP advertisements from a binding of the
// own MAC.
func (c *compiler) adverts(b model.Binding, payload func(netip.Prefix) Payload) {
	if b.MAC != c.port.Policy.MAC {
		return
	}
	for _, mac := range c.port.Policy.MACs() {
		if mac.IsVRRP() && mac != b.MAC {
			c.add(StageIP, prioAllow+1, Match{EthSrc: mac, Payload: payload(b.Prefix)}, goTo(StageExit), "VRRP advertisement from "+mac.String()+" with source "+model.FormatPrefix(b.Prefix))
		}
	}
}

// counters adds the flows that count what is dropped, or what would be.
func (c *compiler) counters(reasons ...model.Reason) {
	a, what := Actions{}, "counts and drops "
	if c.port.Policy.Action == model.Observe {
		a, what = goTo(StageExit), "counts and lets through "
	}
	for _, r := range reasons {
		c.add(StageDrop, prioAllow, Match{Blame: r}, a, what+r.String())
		c.list.rules[len(c.list.rules)-1].Counts = r
	}
}
