package lab

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// ICMPv6 message types.
const (
	ICMPv6EchoRequest = 128
	ICMPv6MLDv1Report = 131
	ICMPv6RS          = 133 // router solicitation
	ICMPv6RA          = 134 // router advertisement
	ICMPv6NS          = 135 // neighbour solicitation
	ICMPv6NA          = 136 // neighbour advertisement
	ICMPv6Redirect    = 137
	ICMPv6MLDv2Report = 143
)

// Flags of a neighbour advertisement (RFC 4861 section 4.4).
const (
	FlagRouter    = 0x80
	FlagSolicited = 0x40
	FlagOverride  = 0x20
)

// Multicast groups of the link.
var (
	AllNodes   = netip.MustParseAddr("ff02::1")
	AllRouters = netip.MustParseAddr("ff02::2")

	mldv2Routers = netip.MustParseAddr("ff02::16")
)

// ICMPv6 is an ICMPv6 message, the payload of an IPv6 packet from src to dst;
// body is everything after the checksum.
func ICMPv6(src, dst netip.Addr, typ, code uint8, body ...[]byte) []byte {
	message := append([]byte{typ, code, 0, 0}, slices.Concat(body...)...)
	sum := checksum(pseudoHeader(src, dst, ProtoICMPv6, len(message)), message)
	binary.BigEndian.PutUint16(message[2:], sum)
	return message
}

// ndPacket is a neighbour discovery message in a packet, with the hop limit
// 255 that receivers demand.
func ndPacket(src, dst netip.Addr, typ uint8, body ...[]byte) []byte {
	return IPv6{Src: src, Dst: dst, Next: ProtoICMPv6, HopLimit: 255}.Packet(ICMPv6(src, dst, typ, 0, body...))
}

// The bodies of neighbour discovery messages (RFC 4861 section 4), for packets
// with an unusual header: ICMPv6(src, dst, ICMPv6NS, 1, NSBody(target)).

// NSBody is the body of a neighbour solicitation.
func NSBody(target netip.Addr, options ...[]byte) []byte {
	return slices.Concat(be32(0), target.AsSlice(), slices.Concat(options...))
}

// NABody is the body of a neighbour advertisement.
func NABody(flags uint8, target netip.Addr, options ...[]byte) []byte {
	return slices.Concat([]byte{flags, 0, 0, 0}, target.AsSlice(), slices.Concat(options...))
}

// NS is a packet with a neighbour solicitation.
func NS(src, dst, target netip.Addr, options ...[]byte) []byte {
	return ndPacket(src, dst, ICMPv6NS, NSBody(target, options...))
}

// DAD is a packet that asks whether someone has target already (RFC 4862
// section 5.4).
func DAD(target netip.Addr, options ...[]byte) []byte {
	return NS(netip.IPv6Unspecified(), SolicitedNode(target), target, options...)
}

// NA is a packet with a neighbour advertisement.
func NA(src, dst netip.Addr, flags uint8, target netip.Addr, options ...[]byte) []byte {
	return ndPacket(src, dst, ICMPv6NA, NABody(flags, target, options...))
}

// RS is a packet with a router solicitation.
func RS(src netip.Addr, options ...[]byte) []byte {
	return ndPacket(src, AllRouters, ICMPv6RS, be32(0), slices.Concat(options...))
}

// RABody is the body of a router advertisement of a default router.
func RABody(options ...[]byte) []byte {
	return slices.Concat([]byte{64, 0}, be16(1800), be32(0), be32(0), slices.Concat(options...))
}

// RA is a packet with a router advertisement to all nodes.
func RA(src netip.Addr, options ...[]byte) []byte {
	return ndPacket(src, AllNodes, ICMPv6RA, RABody(options...))
}

// Redirect is a packet that tells dst to reach destination by target.
func Redirect(src, dst, target, destination netip.Addr, options ...[]byte) []byte {
	return ndPacket(src, dst, ICMPv6Redirect,
		be32(0), target.AsSlice(), destination.AsSlice(), slices.Concat(options...))
}

// NDOption is an option of neighbour discovery; data is padded with zeros to
// a multiple of eight bytes with the header.
func NDOption(typ uint8, data []byte) []byte {
	option := append([]byte{typ, 0}, data...)
	option = append(option, make([]byte, -len(option)&7)...)
	option[1] = byte(len(option) / 8)
	return option
}

// SourceLL is a source link-layer address option.
func SourceLL(mac MAC) []byte { return NDOption(1, mac[:]) }

// TargetLL is a target link-layer address option.
func TargetLL(mac MAC) []byte { return NDOption(2, mac[:]) }

// PrefixInfo is a prefix information option for autoconfiguration.
func PrefixInfo(prefix netip.Prefix) []byte {
	return NDOption(3, slices.Concat([]byte{byte(prefix.Bits()), 0xc0},
		be32(86400), be32(14400), be32(0), prefix.Masked().Addr().AsSlice()))
}

// MLDv2Report is a packet that joins groups (RFC 3810 section 5.2), with its
// hop-by-hop router alert.
func MLDv2Report(src netip.Addr, groups ...netip.Addr) []byte {
	body := slices.Concat(be16(0), be16(uint16(len(groups))))
	for _, group := range groups {
		const toExclude = 4 // listen to all sources
		body = slices.Concat(body, []byte{toExclude, 0, 0, 0}, group.AsSlice())
	}
	return mldPacket(src, mldv2Routers, ICMPv6MLDv2Report, body)
}

// MLDv1Report is a packet that joins a group (RFC 2710 section 3).
func MLDv1Report(src, group netip.Addr) []byte {
	return mldPacket(src, group, ICMPv6MLDv1Report, slices.Concat(be32(0), group.AsSlice()))
}

func mldPacket(src, dst netip.Addr, typ uint8, body []byte) []byte {
	routerAlert := []byte{5, 2, 0, 0}
	return IPv6{Src: src, Dst: dst, Next: ProtoHopByHop, HopLimit: 1}.Packet(
		HopByHop(ProtoICMPv6, routerAlert), ICMPv6(src, dst, typ, 0, body))
}
