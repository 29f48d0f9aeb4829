package conformance

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/test/lab"
)

var (
	any4       = netip.IPv4Unspecified()
	any6       = netip.IPv6Unspecified()
	broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	allHosts4  = netip.MustParseAddr("224.0.0.1")
	mldRouters = netip.MustParseAddr("ff02::16")
	dhcpAgents = netip.MustParseAddr("ff02::1:2")
	payload    = []byte("conformance")
)

// Protocol numbers that package lab has no use for.
const (
	protoIGMP     = 2
	protoIPIP     = 4
	protoGRE      = 47
	protoESP      = 50
	protoAH       = 51
	protoNoNext   = 59
	protoOSPF     = 89
	icmpv6Query   = 130 // MLD
	icmpv6Done    = 132 // MLDv1
	dhcp4Server   = 67
	dhcp4Client   = 68
	dhcp6Client   = 546
	dhcp6Server   = 547
	someoneElse   = 4444
	optionNonce   = 14 // RFC 3971 section 5.3.2, used by RFC 7527
	optionSource  = 1
	ethernetBytes = 14
)

// to is the Ethernet destination for an IP destination: the peer, or a group.
func (v *VIF) to(dst netip.Addr) lab.MAC {
	switch {
	case dst == broadcast4:
		return lab.Broadcast
	case dst.IsMulticast():
		return lab.GroupMAC(dst)
	}
	return v.Peer
}

// ip puts a payload into a packet and a frame.
func (v *VIF) ip(eth lab.MAC, src, dst netip.Addr, protocol uint8, data ...[]byte) []byte {
	return lab.IPFrame(v.to(dst), eth, lab.IP(src, dst, protocol, data...))
}

// udp is a datagram to the other station's service.
func (v *VIF) udp(eth lab.MAC, src, dst netip.Addr) []byte {
	return v.ports(eth, src, someoneElse, dst, 9)
}

// ports is a datagram between ports.
func (v *VIF) ports(eth lab.MAC, src netip.Addr, sport uint16, dst netip.Addr, dport uint16) []byte {
	return lab.UDPFrame(v.to(dst), eth, netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport), payload)
}

// udp4 and udp6 are datagrams from a source, with the VIF's own MAC.
func (v *VIF) udp4(src netip.Addr) []byte { return v.udp(v.MAC, src, v.V4.Peer) }
func (v *VIF) udp6(src netip.Addr) []byte { return v.udp(v.MAC, src, v.V6.Peer) }

// segment is a UDP datagram without its IP header.
func segment(src netip.Addr, sport uint16, dst netip.Addr, dport uint16) []byte {
	return lab.UDP(netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport), payload)
}

// arp is an ARP packet in a broadcast frame whose source is its sender.
func (v *VIF) arp(op uint16, sender lab.MAC, spa, tpa netip.Addr) []byte {
	return v.arpFrom(sender, op, sender, spa, tpa)
}

// arpFrom is an ARP packet in a broadcast frame from another Ethernet source.
func (v *VIF) arpFrom(eth lab.MAC, op uint16, sender lab.MAC, spa, tpa netip.Addr) []byte {
	return lab.ARP{Op: op, SHA: sender, SPA: spa, TPA: tpa}.Frame(lab.Broadcast, eth)
}

// ownARP is a request of the VIF in which something was changed.
func (v *VIF) ownARP(change func(a *lab.ARP)) []byte {
	a := lab.ARP{Op: lab.OpRequest, SHA: v.MAC, SPA: v.V4.Own, TPA: v.V4.Peer}
	change(&a)
	return a.Frame(lab.Broadcast, v.MAC)
}

// rarp is the announcement of a migrated VIF in which something was changed.
func (v *VIF) rarp(change func(a *lab.ARP)) []byte {
	a := lab.ARP{Op: lab.OpReverseRequest, SHA: v.MAC, THA: v.MAC}
	change(&a)
	return lab.Pad(lab.Ether(lab.Broadcast, v.MAC, lab.TypeRARP, a.Bytes()))
}

// nd describes an ICMPv6 message; zero fields mean hop limit 255 and code 0.
type nd struct {
	eth      lab.MAC
	src, dst netip.Addr
	typ      uint8
	code     uint8
	hops     uint8
	body     []byte
}

// header is an IPv6 extension header: its protocol number, and its bytes for the
// header that follows.
type header struct {
	protocol uint8
	bytes    func(next uint8) []byte
}

// frame builds the message.
func (v *VIF) frame(m nd) []byte {
	if m.hops == 0 {
		m.hops = 255
	}
	message := lab.ICMPv6(m.src, m.dst, m.typ, m.code, m.body)
	packet := lab.IPv6{Src: m.src, Dst: m.dst, Next: lab.ProtoICMPv6, HopLimit: m.hops}.Packet(message)
	return lab.IPFrame(v.to(m.dst), m.eth, packet)
}

// ns is a neighbour solicitation of the VIF for its peer.
func (v *VIF) ns(src netip.Addr, options ...[]byte) []byte {
	return v.nsFrom(v.MAC, src, v.V6.Peer, options...)
}

// nsFrom is a neighbour solicitation.
func (v *VIF) nsFrom(eth lab.MAC, src, target netip.Addr, options ...[]byte) []byte {
	dst := lab.SolicitedNode(target)
	return v.frame(nd{eth: eth, src: src, dst: dst, typ: lab.ICMPv6NS, body: lab.NSBody(target, options...)})
}

// dad asks whether someone has target.
func (v *VIF) dad(eth lab.MAC, target netip.Addr, options ...[]byte) []byte {
	return v.nsFrom(eth, any6, target, options...)
}

// na is an unsolicited neighbour advertisement.
func (v *VIF) na(eth lab.MAC, src, target netip.Addr, options ...[]byte) []byte {
	body := lab.NABody(lab.FlagOverride, target, options...)
	return v.frame(nd{eth: eth, src: src, dst: lab.AllNodes, typ: lab.ICMPv6NA, body: body})
}

// Bodies of messages as an attacker on the VIF would send them.

func (v *VIF) nsBody() []byte   { return lab.NSBody(v.V6.Peer, lab.SourceLL(v.MAC)) }
func (v *VIF) poisonNS() []byte { return lab.NSBody(v.V6.Peer, lab.SourceLL(v.Foreign)) }
func (v *VIF) poisonNA() []byte {
	return lab.NABody(lab.FlagOverride, v.V6.Foreign, lab.TargetLL(v.MAC))
}
func (v *VIF) ownNA() []byte      { return lab.NABody(lab.FlagOverride, v.V6.Own, lab.TargetLL(v.MAC)) }
func (v *VIF) redirectTo() []byte { return redirectBody(v.LinkLocal(), v.V6.Foreign) }

func raBody(v *VIF) []byte { return lab.RABody(lab.SourceLL(v.MAC), lab.PrefixInfo(v.V6.Prefix)) }

func redirectBody(target, destination netip.Addr) []byte {
	return slices.Concat(make([]byte, 4), target.AsSlice(), destination.AsSlice())
}

// Extension headers.

func hopByHop() header {
	return header{lab.ProtoHopByHop, func(n uint8) []byte { return lab.HopByHop(n) }}
}
func destOpts() header {
	return header{lab.ProtoDestOpts, func(n uint8) []byte { return lab.DestOpts(n) }}
}

func routing(v *VIF) header {
	return header{lab.ProtoRouting, func(n uint8) []byte { return lab.Routing(n, v.V6.Own) }}
}

func atomic() header { return fragment(0, false) }

// fragment is a fragment header; offset is in units of eight bytes.
func fragment(offset uint16, more bool) header {
	return header{lab.ProtoFragment, func(n uint8) []byte { return lab.FragmentHeader(n, offset, more, 7) }}
}

// authentication is an AH header (RFC 4302), which receivers skip as well.
func authentication() header {
	return header{protoAH, func(n uint8) []byte { return slices.Concat([]byte{n, 4}, make([]byte, 22)) }}
}

// behind is an IPv6 packet with a chain of extension headers before the last
// protocol.
func (v *VIF) behind(src, dst netip.Addr, chain []header, last uint8, data ...[]byte) []byte {
	next := last
	body := slices.Concat(data...)
	for _, h := range slices.Backward(chain) {
		body = slices.Concat(h.bytes(next), body)
		next = h.protocol
	}
	packet := lab.IPv6{Src: src, Dst: dst, Next: next, HopLimit: 255}.Packet(body)
	return lab.IPFrame(v.to(dst), v.MAC, packet)
}

// icmp6Behind is an ICMPv6 message from the VIF's link-local address behind a chain
// of extension headers.
func (v *VIF) icmp6Behind(dst netip.Addr, typ uint8, body []byte, chain ...header) []byte {
	src := v.LinkLocal()
	return v.behind(src, dst, chain, lab.ProtoICMPv6, lab.ICMPv6(src, dst, typ, 0, body))
}

// cut keeps the first n bytes behind the Ethernet header.
func cut(frame []byte, n int) []byte { return frame[:ethernetBytes+n] }

// with changes a 16-bit field at an offset behind the Ethernet header.
func with(frame []byte, offset int, value uint16) []byte {
	frame = slices.Clone(frame)
	binary.BigEndian.PutUint16(frame[ethernetBytes+offset:], value)
	return frame
}

// trailing appends n bytes that don't belong to the packet.
func trailing(frame []byte, n int) []byte { return slices.Concat(frame, make([]byte, n)) }

// fragment4 is an IPv4 fragment from the VIF's own MAC.
func (v *VIF) fragment4(src, dst netip.Addr, offset uint16, more bool, data []byte) []byte {
	packet := lab.IPv4{Src: src, Dst: dst, Protocol: lab.ProtoUDP, ID: 7, Offset: offset, More: more}.Packet(data)
	return lab.IPFrame(v.to(dst), v.MAC, packet)
}
