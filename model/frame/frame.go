package frame

import (
	"net/netip"

	"github.com/vifguard/vifguard/model"
)

// Frame is what can be read of an Ethernet frame. Fields that the frame doesn't
// have, or that can't be read, are zero.
type Frame struct {
	Dst, Src model.MAC
	Tags     []Tag // from the outside in
	LLC      *LLC  // of IEEE 802.3 frames, which have a length for an ethertype

	// EtherType is that of the payload: behind the tags and LLC/SNAP. It is 0 for
	// plain LLC and for LLC/SNAP of other organizations than 00:00:00.
	EtherType uint16

	ARP *ARP // also RARP, whose EtherType differs
	IP  *IP

	// What an IP packet holds, unless it is a later fragment.
	UDP, TCP       *Ports
	ICMPv4, ICMPv6 *ICMP
	ND             *ND // of the ICMPv6 types of neighbour discovery
	DHCP           *DHCP
	VRRP           *VRRP

	// Problems says what is malformed, from the outside in. Each is a short phrase
	// of printable characters that names the layer, the value and what is valid.
	Problems []string
}

// Tag is a VLAN tag of IEEE 802.1Q (0x8100) or 802.1ad (0x88a8). Like Open
// vSwitch, this package takes 0x9100 for an ethertype that it doesn't know.
type Tag struct {
	TPID uint16
	VID  uint16
	PCP  uint8
}

// LLC is an IEEE 802.2 header.
type LLC struct {
	DSAP, SSAP, Control uint8
	SNAP                bool
	OUI                 uint32 // of SNAP; 0 if its protocol is an ethertype (RFC 1042)
	Protocol            uint16 // of SNAP
}

// ARP is an ARP or RARP packet (RFC 826, RFC 903). The addresses are read if they
// have the lengths of Ethernet and IPv4, whatever the two types say.
type ARP struct {
	HardwareType, ProtocolType     uint16
	HardwareLength, ProtocolLength uint8

	Op       uint16
	SHA, THA model.MAC  // sender and target hardware address
	SPA, TPA netip.Addr // sender and target protocol address
}

// IP is an IPv4 or IPv6 header.
type IP struct {
	Version  uint8 // as the ethertype says: 4 or 6
	Src, Dst netip.Addr
	// Protocol is that of the payload, behind the extension headers. If one of them
	// can't be read, it is the number of that header.
	Protocol uint8
	TTL      uint8 // the hop limit of IPv6
	Fragment Fragment
	Headers  []string // names of IPv6 extension headers
}

// Fragment says which part of a packet a frame has.
type Fragment string

// The parts of a packet.
const (
	Whole  Fragment = ""
	Atomic Fragment = "atomic fragment" // the whole packet, with a fragment header (RFC 6946)
	First  Fragment = "first fragment"
	Later  Fragment = "later fragment"
)

// Ports are those of a UDP datagram or TCP segment.
type Ports struct{ Src, Dst uint16 }

// ICMP is the start of an ICMPv4 or ICMPv6 message.
type ICMP struct{ Type, Code uint8 }

// ND is a neighbour discovery message (RFC 4861).
type ND struct {
	Target      netip.Addr // of solicitations, advertisements of neighbours, and redirects
	Destination netip.Addr // of redirects: what is reached by the target
	LinkLayer   []LinkLayer
}

// LinkLayer is a source or target link-layer address option (RFC 4861 section
// 4.6.1) of the length that Ethernet has.
type LinkLayer struct {
	Target bool
	MAC    model.MAC
}

// DHCP is a DHCPv4 or DHCPv6 message, judged by its ports.
type DHCP struct {
	Version uint8 // 4 or 6
	Type    uint8 // 0 for BOOTP, which has none
}

// VRRP is an advertisement of a virtual router (RFC 9568).
type VRRP struct {
	Version, Router, Priority uint8
	Addrs                     []netip.Addr // of the virtual router
}
