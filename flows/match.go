package flows

import (
	"net/netip"

	"github.com/vifguard/vifguard/model"
)

// Match says which packets a rule applies to. The zero value matches everything, and
// the zero value of each field leaves that field out. A payload brings the
// prerequisites of its fields with it (OpenFlow 1.3 section 7.2.3.8), which
// ovs-ofctl and Open vSwitch would otherwise silently drop along with the match.
type Match struct {
	InPort  uint32    // OpenFlow port number
	EthSrc  model.MAC // Ethernet source
	VLAN    VLANMatch
	Payload Payload
	Flags   FlagMatch
	Blame   model.Reason // the reason that the packet carries
}

// VLANMatch is a condition on the outermost 802.1Q tag.
type VLANMatch uint8

// The VLAN conditions.
const (
	AnyVLAN        VLANMatch = iota
	Tagged                   // there is a tag
	PriorityTagged           // there is a tag with VID 0
)

// Payload is a condition on what follows the Ethernet header.
type Payload interface {
	fields(fs *fieldList)
}

// OfType matches an ethertype and nothing inside.
type OfType uint16

// ARPPacket matches ARP (RFC 826). Open vSwitch shows packets of other hardware or
// protocol types as opcode 0 with zero addresses, so rules that match a zero address
// must also match Op or SHA.
type ARPPacket struct {
	Op       uint16
	SPA, TPA netip.Prefix
	SHA, THA model.MAC
}

// RARPPacket matches RARP (RFC 903).
type RARPPacket ARPPacket

// Fragment is a condition on IP fragments, as seen with the switch in the fragment
// mode nx-match.
type Fragment uint8

// The fragment conditions.
const (
	AnyFragment   Fragment = iota
	FirstFragment          // a fragment with offset 0
	NotLater               // no fragment, or one with offset 0: the header of layer 4 is there
)

// IPv4 matches IPv4 packets.
type IPv4 struct {
	Src, Dst netip.Prefix
	Fragment Fragment
	Inner    Inner
}

// IPv6 matches IPv6 packets.
type IPv6 struct {
	Src, Dst netip.Prefix
	HopLimit uint8
	Fragment Fragment
	Inner    Inner
}

// Inner is a condition on what an IP packet carries.
type Inner interface {
	fields(fs *fieldList)
}

// Proto matches an IP protocol and nothing inside.
type Proto uint8

// UDP matches UDP ports; 0 leaves a port out.
type UDP struct{ Src, Dst uint16 }

// HiddenUDP matches UDP whose ports the switch can't read and shows as 0, because the
// packet ends before them; in later fragments, too, which [NotLater] excludes.
type HiddenUDP struct{}

// ICMPv4 matches an ICMP type of any code; in IPv4 only.
type ICMPv4 uint8

// ICMP message types of routers.
const (
	ICMPRedirect            ICMPv4 = 5 // RFC 792
	ICMPRouterAdvertisement ICMPv4 = 9 // RFC 1256
)

// ICMPv6 matches an ICMPv6 type of any code; in IPv6 only.
type ICMPv6 uint8

// ICMPv6 message types.
const (
	MLDv1Report           ICMPv6 = 131 // RFC 2710
	RouterSolicitation    ICMPv6 = 133 // RFC 4861
	RouterAdvertisement   ICMPv6 = 134
	NeighborSolicitation  ICMPv6 = 135
	NeighborAdvertisement ICMPv6 = 136
	Redirect              ICMPv6 = 137
	MLDv2Report           ICMPv6 = 143 // RFC 3810
)

// NS matches a neighbour solicitation that Open vSwitch could parse: code 0. Use it
// through [Solicitation], which adds the hop limit.
type NS struct {
	Target netip.Prefix
	SLL    *model.MAC // source link-layer option; the zero address also means absent
}

// NA matches a neighbour advertisement that Open vSwitch could parse: code 0. Use it
// through [Advertisement], which adds the hop limit.
type NA struct {
	Target netip.Prefix
	TLL    *model.MAC // target link-layer option; the zero address also means absent
}

// hopLimitND is the hop limit that proves that a packet crossed no router (RFC 4861
// section 7.1). Rules on ND fields always match it: otherwise the fields would enter
// the megaflow of every ICMPv6 packet.
const hopLimitND = 255

// Solicitation matches a valid neighbour solicitation with these contents.
func Solicitation(src netip.Prefix, ns NS) IPv6 {
	return IPv6{Src: src, HopLimit: hopLimitND, Inner: ns}
}

// Advertisement matches a valid neighbour advertisement with these contents.
func Advertisement(na NA) IPv6 { return IPv6{HopLimit: hopLimitND, Inner: na} }

// Host returns the prefix that holds just a.
func Host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
