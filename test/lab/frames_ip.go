package lab

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// IP protocol numbers.
const (
	ProtoHopByHop = 0
	ProtoICMPv4   = 1
	ProtoTCP      = 6
	ProtoUDP      = 17
	ProtoRouting  = 43
	ProtoFragment = 44
	ProtoICMPv6   = 58
	ProtoDestOpts = 60
	ProtoVRRP     = 112
)

// moreFragments is the flag in the fragment fields of IPv4; that of IPv6 is 1.
const moreFragments = 0x2000

// IPv4 is an IPv4 header. Length and checksum are computed.
type IPv4 struct {
	Src, Dst netip.Addr
	Protocol uint8
	TTL      uint8 // 64 if 0
	ID       uint16
	Offset   uint16 // of a fragment, in units of eight bytes
	More     bool   // fragments follow
	Options  []byte // a multiple of four bytes
}

// Packet is the header with a payload.
func (h IPv4) Packet(payload ...[]byte) []byte {
	data := slices.Concat(payload...)
	if h.TTL == 0 {
		h.TTL = 64
	}
	fragment := h.Offset
	if h.More {
		fragment |= moreFragments
	}
	length := 20 + len(h.Options)
	header := slices.Concat(
		[]byte{0x40 | byte(length/4), 0}, be16(uint16(length+len(data))),
		be16(h.ID), be16(fragment),
		[]byte{h.TTL, h.Protocol, 0, 0},
		ipv4Bytes(h.Src), ipv4Bytes(h.Dst), h.Options)
	binary.BigEndian.PutUint16(header[10:], checksum(header))
	return append(header, data...)
}

// IPv6 is an IPv6 header. The length is computed.
type IPv6 struct {
	Src, Dst netip.Addr
	Next     uint8 // the protocol, or the first extension header
	HopLimit uint8 // 64 if 0
}

// Packet is the header with a payload.
func (h IPv6) Packet(payload ...[]byte) []byte {
	data := slices.Concat(payload...)
	if h.HopLimit == 0 {
		h.HopLimit = 64
	}
	src, dst := h.Src.As16(), h.Dst.As16()
	return slices.Concat([]byte{0x60, 0, 0, 0}, be16(uint16(len(data))),
		[]byte{h.Next, h.HopLimit}, src[:], dst[:], data)
}

// IP puts a payload into an IPv4 or IPv6 packet, as the addresses demand.
func IP(src, dst netip.Addr, protocol uint8, payload ...[]byte) []byte {
	if src.Is4() {
		return IPv4{Src: src, Dst: dst, Protocol: protocol}.Packet(payload...)
	}
	return IPv6{Src: src, Dst: dst, Next: protocol}.Packet(payload...)
}

// IPFrame puts an IPv4 or IPv6 packet into a frame.
func IPFrame(dst, src MAC, packet []byte) []byte {
	if packet[0]>>4 == 4 {
		return Ether(dst, src, TypeIPv4, packet)
	}
	return Ether(dst, src, TypeIPv6, packet)
}

// UDP is a UDP datagram, the payload of an IP packet between src and dst.
func UDP(src, dst netip.AddrPort, payload ...[]byte) []byte {
	data := slices.Concat(payload...)
	segment := slices.Concat(be16(src.Port()), be16(dst.Port()), be16(uint16(8+len(data))), be16(0), data)
	sum := checksum(pseudoHeader(src.Addr(), dst.Addr(), ProtoUDP, len(segment)), segment)
	if sum == 0 {
		sum = 0xffff // 0 stands for no checksum
	}
	binary.BigEndian.PutUint16(segment[6:], sum)
	return segment
}

// TCP flags.
const (
	FlagSYN = 0x02
	FlagACK = 0x10
)

// TCP is a TCP segment, the payload of an IP packet between src and dst.
func TCP(src, dst netip.AddrPort, flags uint8, payload ...[]byte) []byte {
	segment := slices.Concat(be16(src.Port()), be16(dst.Port()),
		be32(1), be32(0), []byte{5 << 4, flags}, be16(0xffff), be16(0), be16(0),
		slices.Concat(payload...))
	sum := checksum(pseudoHeader(src.Addr(), dst.Addr(), ProtoTCP, len(segment)), segment)
	binary.BigEndian.PutUint16(segment[16:], sum)
	return segment
}

// ICMPv4 is an ICMP message; body is everything after the checksum.
func ICMPv4(typ, code uint8, body ...[]byte) []byte {
	message := append([]byte{typ, code, 0, 0}, slices.Concat(body...)...)
	binary.BigEndian.PutUint16(message[2:], checksum(message))
	return message
}

// UDPFrame is a frame with a UDP datagram in an IPv4 or IPv6 packet.
func UDPFrame(dstMAC, srcMAC MAC, src, dst netip.AddrPort, payload ...[]byte) []byte {
	return IPFrame(dstMAC, srcMAC, IP(src.Addr(), dst.Addr(), ProtoUDP, UDP(src, dst, payload...)))
}

// TCPFrame is a frame with a TCP segment in an IPv4 or IPv6 packet.
func TCPFrame(dstMAC, srcMAC MAC, src, dst netip.AddrPort, flags uint8) []byte {
	return IPFrame(dstMAC, srcMAC, IP(src.Addr(), dst.Addr(), ProtoTCP, TCP(src, dst, flags)))
}

// PingFrame is a frame with an echo request of IPv4 or IPv6.
func PingFrame(dstMAC, srcMAC MAC, src, dst netip.Addr) []byte {
	body := slices.Concat(be16(1), be16(1), []byte("echo"))
	if src.Is4() {
		return IPFrame(dstMAC, srcMAC, IP(src, dst, ProtoICMPv4, ICMPv4(8, 0, body)))
	}
	return IPFrame(dstMAC, srcMAC, IP(src, dst, ProtoICMPv6, ICMPv6(src, dst, ICMPv6EchoRequest, 0, body)))
}

// The extension headers of IPv6 (RFC 8200 section 4). Each is followed by the
// header that next names.

// HopByHop is a hop-by-hop options header; options are padded to fit.
func HopByHop(next uint8, options ...[]byte) []byte { return optionsHeader(next, options) }

// DestOpts is a destination options header; options are padded to fit.
func DestOpts(next uint8, options ...[]byte) []byte { return optionsHeader(next, options) }

// FragmentHeader is a fragment header; offset is in units of eight bytes.
func FragmentHeader(next uint8, offset uint16, more bool, id uint32) []byte {
	field := offset << 3
	if more {
		field |= 1
	}
	return slices.Concat([]byte{next, 0}, be16(field), be32(id))
}

// Routing is a routing header of type 2 (RFC 6275 section 6.4) with no segments
// left: the packet has reached its destination, and hosts skip the header.
func Routing(next uint8, home netip.Addr) []byte {
	return slices.Concat([]byte{next, 2, 2, 0, 0, 0, 0, 0}, home.AsSlice())
}

func optionsHeader(next uint8, options [][]byte) []byte {
	header := append([]byte{next, 0}, slices.Concat(options...)...)
	switch gap := -len(header) & 7; gap {
	case 0:
	case 1:
		header = append(header, 0) // Pad1
	default:
		header = append(header, 1, byte(gap-2)) // PadN
		header = append(header, make([]byte, gap-2)...)
	}
	header[1] = byte(len(header)/8 - 1)
	return header
}
