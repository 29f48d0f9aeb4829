package oracle

import (
	"net/netip"

	"github.com/vifguard/vifguard/model"
)

// ipPacket is an IPv4 or IPv6 packet.
type ipPacket struct {
	src, dst netip.Addr
	hops     uint8
	// upper is the upper-layer protocol. It is unknown, and hidden is set, when the
	// chain of extension headers can't be followed to its end.
	upper  uint8
	hidden bool
	// fragment says that this is one of several; later, that it isn't the first,
	// so that the upper layer's header is elsewhere; atomic, that it is the only one
	// (RFC 6946).
	fragment, later, atomic bool
	data                    []byte // of the upper layer
	behind                  int    // bytes that follow the packet in its frame
}

// parseIPv4 returns nil when receivers would discard the packet.
func parseIPv4(b []byte) *ipPacket {
	if len(b) < 20 {
		return nil
	}
	header, total := int(b[0]&0x0f)*4, int(be(b[2:]))
	if header < 20 || total < header || total > len(b) {
		return nil
	}
	const more, offset = 0x2000, 0x1fff
	return &ipPacket{
		src: addr4(b[12:16]), dst: addr4(b[16:20]), hops: b[8], upper: b[9],
		fragment: be(b[6:])&(more|offset) != 0,
		later:    be(b[6:])&offset != 0,
		data:     b[header:total],
		behind:   len(b) - total,
	}
}

// parseIPv6 returns nil when receivers would discard the packet. It follows the
// extension headers that every host skips (RFC 8200 section 4, RFC 4302).
func parseIPv6(b []byte) *ipPacket {
	if len(b) < 40 || int(be(b[4:])) > len(b)-40 {
		return nil
	}
	p := &ipPacket{src: addr16(b[8:24]), dst: addr16(b[24:40]), hops: b[7], upper: b[6]}
	p.data = b[40 : 40+int(be(b[4:]))]
	p.behind = len(b) - 40 - len(p.data)
	for !p.later {
		length := 8
		switch p.upper {
		case 0, 43, 60: // hop-by-hop options, routing, destination options
			if len(p.data) >= 8 {
				length = (int(p.data[1]) + 1) * 8
			}
		case 51: // authentication
			if len(p.data) >= 8 {
				length = (int(p.data[1]) + 2) * 4
			}
		case 44: // fragment; reserved bits count, some receivers look at them
			if len(p.data) >= 8 {
				p.fragment = p.fragment || be(p.data[2:]) != 0
				p.later = be(p.data[2:])&0xfff8 != 0
				p.atomic = p.atomic || be(p.data[2:]) == 0
			}
		default:
			return p
		}
		if len(p.data) < length {
			p.hidden = true
			return p
		}
		p.upper, p.data = p.data[0], p.data[length:]
	}
	return p
}

// udp returns the ports of a datagram; cut says that they aren't there.
func (p *ipPacket) udp() (src, dst uint16, cut bool) {
	if len(p.data) < 8 {
		return 0, 0, true
	}
	return be(p.data), be(p.data[2:]), false
}

// isUDP reports whether this is UDP with its header, or what should be its header.
func (p *ipPacket) isUDP() bool { return !p.hidden && !p.later && p.upper == 17 }

// ipReason judges an IPv4 or IPv6 packet whose MACs are right.
func (j *judgment) ipReason() string {
	if !j.readable() {
		return Malformed
	}
	if j.etherType == typeIPv6 {
		if reason := j.ndReason(); reason != "" {
			return reason
		}
	}
	ip := j.ip
	switch {
	case !j.p.Allow.Router && j.router():
		return Router
	case ip.isND() && j.fragmented():
		return Malformed
	case ip.isUDP() && ip.portless():
		return Malformed
	case !j.p.Allow.DHCPServer && ip.isUDP() && j.dhcpServer():
		return DHCPServer
	case j.p.Checks == model.CheckMACARPIP && !j.sourceAllowed():
		return IP
	}
	return ""
}

// readable reports whether the headers can be followed to a protocol, and ICMPv6 has a
// type. IPv4 has no protocol 0.
func (j *judgment) readable() bool {
	ip := j.ip
	switch {
	case ip == nil || ip.hidden:
		return false
	case j.etherType == typeIPv4:
		return ip.upper != 0
	}
	// A first fragment without a next header looks to the kernel like one whose headers
	// can't be read. There would be nothing to fragment.
	return (!ip.isICMPv6() || ip.icmpType() != 0) && (ip.upper != 59 || !ip.fragment || ip.later)
}

// router reports whether this is a message by which a router says where to send.
func (j *judgment) router() bool {
	if j.etherType == typeIPv4 {
		t, ok := j.ip.icmp4Type()
		return ok && (t == 5 || t == 9) // redirect (RFC 792), advertisement (RFC 1256)
	}
	t := j.ip.icmpType()
	return j.ip.isICMPv6() && (t == typeRA || t == typeRedirect)
}

// icmp4Type returns the type of an ICMP message, whose header has 8 bytes.
func (p *ipPacket) icmp4Type() (t uint8, ok bool) {
	if p.upper != 1 || p.later || len(p.data) < 8 {
		return 0, false
	}
	return p.data[0], true
}

// portless reports whether a datagram ends before its ports, or has the reserved port 0
// twice (RFC 6335 section 6): a switch can't tell them apart.
func (p *ipPacket) portless() bool {
	src, dst, cut := p.udp()
	return cut || src == 0 && dst == 0
}

// dhcpServer reports whether a datagram is for a DHCP client or between servers and
// relays.
func (j *judgment) dhcpServer() bool {
	client, server := uint16(68), uint16(67)
	if j.etherType == typeIPv6 {
		client, server = 546, 547
	}
	src, dst, _ := j.ip.udp()
	return dst == client || src == server && dst == server
}

// sourceAllowed is the check of IP sources.
func (j *judgment) sourceAllowed() bool {
	ip := j.ip
	switch {
	case j.bound(j.src, ip.src, false):
		return true
	case ip.src.IsUnspecified():
		return j.sourceless()
	case j.etherType == typeIPv6:
		// The IPv6 twin of RFC 9568 section 8.1.2 may have either MAC's address.
		if m, _ := j.neighbour(); m != nil && m.option != nil && j.vrrpTwin(*m.option) && j.bound(*m.option, ip.src, true) {
			return true // its claim was checked
		}
	}
	return j.advertisement()
}

// sourceless reports whether a packet is one that hosts send before they have an
// address.
func (j *judgment) sourceless() bool {
	ip := j.ip
	if j.etherType == typeIPv4 {
		if ip.upper == 2 && ip.dst == netip.AddrFrom4([4]byte{224, 0, 0, 22}) {
			// RFC 3376 section 4.2.13. The switch doesn't see what type of message it is.
			return j.seen || !ip.later && len(ip.data) >= 8 && ip.data[0] == 0x22
		}
		if !ip.isUDP() {
			return false
		}
		src, dst, cut := ip.udp()
		return !cut && src == 68 && dst == 67 && ip.dst == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	if !ip.isICMPv6() {
		return false
	}
	switch ip.icmpType() {
	case typeNS: // DAD, whose target was checked as a claim
		return true
	case typeRS:
		return ip.dst == netip.MustParseAddr("ff02::2")
	case typeMLDv1Report, typeMLDv2Report:
		return within(ip.dst, "ff02::/16")
	}
	return false
}

// advertisement reports whether a packet is a VRRP advertisement from a virtual
// router's MAC with the router's own address (RFC 9568 section 7.2).
func (j *judgment) advertisement() bool {
	ip := j.ip
	group := netip.MustParseAddr("ff02::12")
	if j.etherType == typeIPv4 {
		group = netip.MustParseAddr("224.0.0.18")
	}
	known := !ip.hidden && (!ip.later || j.etherType == typeIPv4)
	return isVirtual(j.src) && known && ip.upper == 112 && ip.dst == group &&
		j.bound(j.p.MAC, ip.src, false)
}
