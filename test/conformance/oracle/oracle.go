// Package oracle judges frames from vifguard's contract alone. It parses a raw frame and
// decides what a policy means for it, and shares no code with the compiler of flows, nor
// with the tables of package conformance, which are held against it.
package oracle

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// The reasons of a drop, as the contract names them.
const (
	MAC        = "mac"
	VLAN       = "vlan"
	EtherType  = "ethertype"
	ARP        = "arp"
	ND         = "nd"
	DHCPServer = "dhcp-server"
	Router     = "router"
	IP         = "ip"
	Malformed  = "malformed"
	Blocked    = "blocked"
)

// Judge decides, from the contract alone, what a policy means for a frame: whether
// it passes, and for which reason it is dropped. For a policy that observes, a frame
// passes and the reason is the one that is counted; otherwise the reason of a frame
// that passes is empty.
//
// Where several stages would refuse a frame, the first one in this order is to
// blame: the VLAN tag, the Ethernet source, the sender MACs inside, the ethertype,
// what can't be read, the claims of ARP or neighbour discovery, the router guard, the
// DHCP guard, and the IP source.
//
// The oracle knows what the contract allows to know: the checksums of packets and
// the insides of tunnels aren't looked at, nor are options that a message isn't
// defined to have (RFC 4861 section 4 has receivers ignore them).
func Judge(p *model.Policy, frame []byte) (pass bool, reason string) {
	return judge(p, frame, false)
}

// JudgeSeen is Judge with the eyes of an Open vSwitch with the userspace datapath: it
// sees options of neighbour discovery only as far as the switch does, and nothing behind
// the end of a packet. Every difference to Judge is a limit in the tables.
func JudgeSeen(p *model.Policy, frame []byte) (pass bool, reason string) {
	return judge(p, frame, true)
}

func judge(p *model.Policy, frame []byte, seen bool) (pass bool, reason string) {
	switch p.Mode {
	case model.Trusted, model.Off:
		return true, ""
	case model.Blocked:
		reason = Blocked
	default:
		j := judgment{p: p, packet: parse(frame, p.Allow, seen)}
		reason = j.reason()
	}
	return reason == "" || p.Action == model.Observe, reason
}

// packet is what a frame holds, as far as it can be read.
type packet struct {
	src       model.MAC
	badTag    bool   // a VLAN tag that isn't allowed
	etherType uint16 // below 0x0600 for IEEE 802.3 frames without an ethertype
	seen      bool   // read with the switch's eyes
	length    int    // of the whole frame
	arp       *arpPacket
	ip        *ipPacket // nil when it isn't IP or its header can't be read
}

// Ethertypes.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeRARP = 0x8035
	typeIPv6 = 0x86dd
	typeMin  = 0x0600
	typeLLC  = 0 // IEEE 802.3 without a readable ethertype
)

// IsTag reports whether an ethertype is that of a VLAN tag.
func IsTag(t uint16) bool { return t == 0x8100 || t == 0x88a8 }

// parse reads a frame of at least 14 bytes.
func parse(frame []byte, allow model.Allow, seen bool) *packet {
	p := &packet{src: model.MAC(frame[6:12]), seen: seen, length: len(frame)}
	rest := frame[12:] // starts with an ethertype
	if t := be(rest); IsTag(t) {
		// A tag is complete with the ethertype that follows it.
		vid := uint16(0xffff)
		if len(rest) >= 6 {
			vid = be(rest[2:]) & 0x0fff
			rest = rest[4:]
		}
		p.badTag = vid == 0xffff || !allow.VLANTrunk && (!allow.PriorityTag || vid != 0)
	}
	t, body := TypeOf(rest)
	p.etherType = t
	p.badTag = p.badTag || IsTag(t)
	switch t {
	case typeARP, typeRARP:
		p.arp = parseARP(body)
	case typeIPv4:
		p.ip = parseIPv4(body)
	case typeIPv6:
		p.ip = parseIPv6(body)
	}
	return p
}

// TypeOf reads an ethertype, or that in the LLC/SNAP header with the OUI 0 which
// follows a length (RFC 1042).
func TypeOf(b []byte) (t uint16, body []byte) {
	t, body = be(b), b[2:]
	if t >= typeMin {
		return t, body
	}
	if len(body) < 8 || string(body[:6]) != "\xaa\xaa\x03\x00\x00\x00" {
		return typeLLC, body
	}
	if t = be(body[6:]); t < typeMin {
		return typeLLC, body
	}
	return t, body[8:]
}

// arpPacket is an ARP or RARP packet for Ethernet and IPv4.
type arpPacket struct {
	op       uint16
	sha, tha model.MAC
	spa, tpa netip.Addr
}

// parseARP returns nil for any other hardware or protocol, and for a packet that is
// cut off.
func parseARP(b []byte) *arpPacket {
	if len(b) < 28 || string(b[:6]) != "\x00\x01\x08\x00\x06\x04" {
		return nil
	}
	return &arpPacket{
		op:  be(b[6:]),
		sha: model.MAC(b[8:14]), spa: addr4(b[14:18]),
		tha: model.MAC(b[18:24]), tpa: addr4(b[24:28]),
	}
}

// judgment is a policy beside a packet.
type judgment struct {
	p *model.Policy
	*packet
}

// reason returns "" for a frame that the contract lets pass.
func (j *judgment) reason() string {
	switch {
	case j.badTag:
		return VLAN
	case !j.owns(j.src) || j.foreignSender():
		return MAC
	}
	if j.p.Checks == model.CheckMAC {
		return ""
	}
	switch j.etherType {
	case typeARP:
		if !j.arpClaim() {
			return ARP
		}
	case typeRARP:
	case typeIPv4, typeIPv6:
		return j.ipReason()
	default:
		if !slices.Contains(j.p.Allow.EtherTypes, j.etherType) {
			return EtherType
		}
	}
	return ""
}

// owns reports whether a MAC is in M.
func (j *judgment) owns(mac model.MAC) bool {
	return mac != model.MAC{} && mac[0]&1 == 0 && slices.Contains(j.p.MACs(), mac)
}

// bound reports whether an address is inside a binding of a MAC. With claim set,
// prefixes shorter than /8 in IPv4 and /16 in IPv6 don't count: they widen the check of IP
// sources only. The unspecified address can't be bound.
func (j *judgment) bound(mac model.MAC, a netip.Addr, claim bool) bool {
	if a.IsUnspecified() {
		return false
	}
	least := 0
	switch {
	case claim && a.Is4():
		least = 8
	case claim:
		least = 16
	}
	for _, b := range j.p.Bindings {
		if b.MAC == mac && b.Prefix.Contains(a) && b.Prefix.Bits() >= least {
			return true
		}
	}
	return false
}

// foreignSender reports whether the payload names a sender MAC that isn't the VIF's.
func (j *judgment) foreignSender() bool {
	switch j.etherType {
	case typeARP:
		return j.arp == nil || !j.owns(j.arp.sha)
	case typeRARP:
		a := j.arp
		return a == nil || a.op != 3 || a.sha != j.src || a.tha != j.src ||
			!a.spa.IsUnspecified() || !a.tpa.IsUnspecified()
	case typeIPv6:
		return j.foreignOption()
	}
	return false
}

// arpClaim reports whether an ARP packet claims nothing but what the VIF owns.
func (j *judgment) arpClaim() bool {
	a := j.arp
	if a.op != 1 && a.op != 2 {
		return false
	}
	if a.sha != j.src && !j.vrrpTwin(a.sha) {
		return false
	}
	if a.spa.IsUnspecified() { // RFC 5227 section 2.1
		return a.op == 1 && j.bound(a.sha, a.tpa, true)
	}
	return j.bound(a.sha, a.spa, true)
}

// vrrpTwin reports whether a frame from the own MAC may carry another sender MAC:
// that of a virtual router (RFC 9568 section 8.1.2).
func (j *judgment) vrrpTwin(sender model.MAC) bool {
	return j.src == j.p.MAC && sender != j.src && isVirtual(sender)
}

// isVirtual reports whether a MAC is that of a virtual router (RFC 9568 section 7.3).
func isVirtual(m model.MAC) bool {
	return m == model.MAC{0, 0, 0x5e, 0, 1, m[5]} || m == model.MAC{0, 0, 0x5e, 0, 2, m[5]}
}

func be(b []byte) uint16         { return binary.BigEndian.Uint16(b) }
func addr4(b []byte) netip.Addr  { return netip.AddrFrom4([4]byte(b)) }
func addr16(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)) }
func within(a netip.Addr, prefix string) bool {
	return netip.MustParsePrefix(prefix).Contains(a)
}
