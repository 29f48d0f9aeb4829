package frame

import "net/netip"

// Least lengths of what IP packets hold.
const (
	tcpMinLen    = 20 // RFC 9293 section 3.1
	udpHeaderLen = 8  // RFC 768
	icmpv4MinLen = 8  // RFC 792
	icmpv6MinLen = 4  // RFC 4443 section 2.1
	vrrpMinLen   = 8  // RFC 9568 section 5.1

	// vrrpTTL shows that a router on the link sent it (RFC 9568 section 5.1.1.3).
	vrrpTTL           = 255
	vrrpAdvertisement = 1
)

// upper reads what an IP packet holds.
func (p *parser) upper(b []byte) {
	if p.IP.Fragment == Later {
		return
	}
	switch p.IP.Protocol {
	case protoTCP:
		p.tcp(b)
	case protoUDP:
		p.udp(b)
	case protoICMPv4:
		p.icmpv4(b)
	case protoICMPv6:
		p.icmpv6(b)
	case protoVRRP:
		p.vrrp(b)
	}
}

// short reports, and notes, that a header isn't all there. A first fragment is to
// have all headers, because filters can't judge it otherwise.
func (p *parser) short(b []byte, layer string, want int) bool {
	if len(b) >= want {
		return false
	}
	switch {
	case p.IP.Fragment != First:
		p.cut(layer, "header")
	case p.IP.Version == 4:
		p.problem("IPv4: first fragment without the whole %s header (RFC 1858)", layer)
	default:
		p.problem("IPv6: first fragment without the whole %s header (RFC 7112)", layer)
	}
	return true
}

func (p *parser) tcp(b []byte) {
	if p.short(b, "TCP", tcpMinLen) {
		return
	}
	p.TCP = &Ports{Src: be16(b), Dst: be16(b[2:])}
	switch size := int(b[12]>>4) * 4; {
	case size < tcpMinLen:
		p.problem("TCP: header length %d bytes (want at least %d)", size, tcpMinLen)
	case size > len(b) && p.IP.Fragment != First:
		p.problem("TCP: header length %d bytes, but %d bytes follow", size, len(b))
	}
}

func (p *parser) udp(b []byte) {
	if p.short(b, "UDP", udpHeaderLen) {
		return
	}
	p.UDP = &Ports{Src: be16(b), Dst: be16(b[2:])}
	switch length := int(be16(b[4:])); {
	case length < udpHeaderLen:
		p.problem("UDP: length %d (want at least %d)", length, udpHeaderLen)
	case length > len(b) && p.IP.Fragment != First:
		p.problem("UDP: length %d, but %d bytes follow", length, len(b))
	}
	p.dhcp(b[udpHeaderLen:])
}

func (p *parser) icmpv4(b []byte) {
	if p.IP.Version != 4 {
		p.problem("IPv6: protocol %d, ICMP of IPv4 (want %d, ICMPv6)", protoICMPv4, protoICMPv6)
		return
	}
	if !p.short(b, "ICMP", icmpv4MinLen) {
		p.ICMPv4 = &ICMP{Type: b[0], Code: b[1]}
	}
}

func (p *parser) icmpv6(b []byte) {
	if p.IP.Version != 6 {
		p.problem("IPv4: protocol %d, ICMPv6 (want %d, ICMP)", protoICMPv6, protoICMPv4)
		return
	}
	if !p.short(b, "ICMPv6", icmpv6MinLen) {
		p.ICMPv6 = &ICMP{Type: b[0], Code: b[1]}
		p.nd(b)
	}
}

func (p *parser) vrrp(b []byte) {
	if p.short(b, "VRRP", vrrpMinLen) {
		return
	}
	p.VRRP = &VRRP{Version: b[0] >> 4, Router: b[1], Priority: b[2]}
	if v := p.VRRP.Version; v != 2 && v != 3 {
		p.problem("VRRP: version %d (want 2 or 3)", v)
	}
	if typ := b[0] & 0x0f; typ != vrrpAdvertisement {
		p.problem("VRRP: type %d (want %d, advertisement)", typ, vrrpAdvertisement)
	}
	if p.VRRP.Router == 0 {
		p.problem("VRRP: virtual router 0 (want 1 to 255)")
	}
	if p.IP.TTL != vrrpTTL {
		p.problem("VRRP: %s %d (want %d, RFC 9568)", p.ttlName(), p.IP.TTL, vrrpTTL)
	}
	p.vrrpAddresses(int(b[3]), b[vrrpMinLen:])
}

func (p *parser) vrrpAddresses(count int, b []byte) {
	size := p.IP.Src.BitLen() / 8
	for range count {
		if len(b) < size {
			p.cut("VRRP", "addresses")
			return
		}
		addr, _ := netip.AddrFromSlice(b[:size])
		p.VRRP.Addrs = append(p.VRRP.Addrs, addr)
		b = b[size:]
	}
}

func (p *parser) ttlName() string {
	if p.IP.Version == 4 {
		return "TTL"
	}
	return "hop limit"
}
