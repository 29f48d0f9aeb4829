package model

import "fmt"

// Reason says why a packet is dropped. Each dropped packet has exactly one: that of
// the first stage that refused it.
type Reason uint8

// The reasons. Their numbers are part of the layout of flow cookies and of the register
// that carries them, so a new one comes last and none ever changes.
const (
	NoReason Reason = iota
	ReasonMAC
	ReasonVLAN
	ReasonEtherType
	ReasonARP
	ReasonND
	ReasonDHCPServer
	ReasonRouter
	ReasonIP
	ReasonBlocked
	ReasonUnknownPort
	ReasonFlood
	ReasonMalformed
)

// reason is what there is to know of one.
type reason struct {
	number  Reason
	name    string // public and stable
	meaning string // what the packet is, or what its VIF is
	whose   string // whose packets can have it, in words
	// can says whether packets of a VIF with this policy can have it; nil for a reason
	// that is counted per bridge, and not per VIF.
	can func(p *Policy) bool
}

const (
	whoseChecked = "any check"
	whoseGuarded = "`arp` or `ip`"
)

// reasons lists the reasons in the order of the stages that find them, and last those
// that are about a port as a whole. Everything that names or lists reasons comes from
// here, documents included.
var reasons = [...]reason{
	{ReasonVLAN, "vlan", "VLAN tags that aren't lifted, or more than one", whoseChecked, isChecked},
	{ReasonMAC, "mac", "Ethernet source or sender MAC (in ARP, RARP, ND) that isn't the VIF's", whoseChecked, isChecked},
	{ReasonEtherType, "ethertype", "protocol other than ARP, RARP, IPv4 and IPv6 that isn't lifted", whoseGuarded, isGuarded},
	{ReasonMalformed, "malformed", "packet that the switch can't read as far as a guard looks", whoseGuarded, isGuarded},
	{ReasonARP, "arp", "ARP for an address that isn't the VIF's", whoseGuarded, isGuarded},
	{ReasonND, "nd", "neighbour discovery for an address that isn't the VIF's", whoseGuarded, isGuarded},
	{ReasonDHCPServer, "dhcp-server", "message of a DHCPv4 or DHCPv6 server", whoseGuarded + ", without `dhcp-server` in `port-security-allow`",
		func(p *Policy) bool { return isGuarded(p) && !p.Allow.DHCPServer }},
	{ReasonRouter, "router", "router advertisement or redirect, of ICMPv6 or ICMP", whoseGuarded + ", without `router` in `port-security-allow`",
		func(p *Policy) bool { return isGuarded(p) && !p.Allow.Router }},
	{ReasonIP, "ip", "IP source that isn't the VIF's", "`ip`", func(p *Policy) bool { return isChecked(p) && p.Checks.IP() }},
	{ReasonBlocked, "blocked", "anything at all from a VIF that is blocked", "`block`, or no usable `attached-mac`",
		func(p *Policy) bool { return p.Mode == Blocked }},
	{ReasonFlood, "flood", "anything at all from a VIF that floods and is quarantined", "`port-security-flood`",
		func(p *Policy) bool { return isChecked(p) && p.FloodLimit() > 0 }},
	{ReasonUnknownPort, "unknown-port", "anything at all from a port that isn't programmed yet", "the bridge", nil},
}

func isChecked(p *Policy) bool { return p.Mode == Checked }

// isGuarded reports whether the guards are on.
func isGuarded(p *Policy) bool { return isChecked(p) && p.Checks.ARP() }

func (r Reason) info() *reason {
	for i := range reasons {
		if reasons[i].number == r {
			return &reasons[i]
		}
	}
	return nil
}

// String returns the reason's public name; "" for [NoReason].
func (r Reason) String() string {
	switch info := r.info(); {
	case info != nil:
		return info.name
	case r == NoReason:
		return ""
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// Meaning says in words which packets the reason is for.
func (r Reason) Meaning() string {
	if info := r.info(); info != nil {
		return info.meaning
	}
	return ""
}

// Whose says in words, with keys as in Markdown, whose packets can have the reason.
func (r Reason) Whose() string {
	if info := r.info(); info != nil {
		return info.whose
	}
	return ""
}

// PerVIF reports whether the reason is counted for each VIF, and not once for a bridge.
func (r Reason) PerVIF() bool {
	info := r.info()
	return info != nil && info.can != nil
}

// ParseReason returns the reason with a public name; [NoReason] when there is none.
func ParseReason(name string) Reason {
	for i := range reasons {
		if reasons[i].name == name {
			return reasons[i].number
		}
	}
	return NoReason
}

// Reasons returns all reasons in the order in which they are shown: that of the stages,
// and last those that are about a port as a whole.
func Reasons() []Reason {
	list := make([]Reason, len(reasons))
	for i := range reasons {
		list[i] = reasons[i].number
	}
	return list
}

// Reasons returns the reasons for which packets of a VIF with this policy can be
// dropped, in the order of [Reasons].
func (p *Policy) Reasons() []Reason {
	var list []Reason
	for i := range reasons {
		if r := &reasons[i]; r.can != nil && r.can(p) {
			list = append(list, r.number)
		}
	}
	return list
}
