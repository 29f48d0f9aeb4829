package frame

import "net/netip"

// IP headers (RFC 791, RFC 8200).
const (
	ipv4MinLen    = 20
	ipv6HeaderLen = 40
	moreIPv4      = 0x2000
	offsetIPv4    = 0x1fff
	moreIPv6      = 0x0001
	offsetIPv6    = 0xfff8
)

// Protocol numbers, those of extension headers included.
const (
	protoHopByHop = 0
	protoICMPv4   = 1
	protoTCP      = 6
	protoUDP      = 17
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoICMPv6   = 58
	protoDestOpts = 60
	protoVRRP     = 112
)

// extensions are the extension headers of IPv6 that the switch skips too.
var extensions = map[uint8]string{
	protoHopByHop: "hop-by-hop options",
	protoRouting:  "routing header",
	protoFragment: "fragment header",
	protoAH:       "authentication header",
	protoDestOpts: "destination options",
}

const (
	// extensionMinLen is the least length of an extension header.
	extensionMinLen = 8
	// sourceRoute is the type of routing header that RFC 5095 forbids.
	sourceRoute = 0
)

func (p *parser) ipv4(b []byte) {
	if len(b) < ipv4MinLen {
		p.cut("IPv4", "header")
		return
	}
	fragment := be16(b[6:])
	p.IP = &IP{
		Version: 4, TTL: b[8], Protocol: b[9],
		Src: netip.AddrFrom4([4]byte(b[12:16])), Dst: netip.AddrFrom4([4]byte(b[16:20])),
		Fragment: fragmentOf(fragment&offsetIPv4 != 0, fragment&moreIPv4 != 0, Whole),
	}
	if version := b[0] >> 4; version != 4 {
		p.problem("IPv4: version %d (want 4)", version)
	}
	p.source("IPv4")
	size := int(b[0]&0x0f) * 4
	switch {
	case size < ipv4MinLen:
		p.problem("IPv4: header length %d bytes (want at least %d)", size, ipv4MinLen)
		return
	case size > len(b):
		p.problem("IPv4: header length %d bytes, but %d bytes follow", size, len(b))
		return
	}
	total := int(be16(b[2:]))
	switch {
	case total < size:
		p.problem("IPv4: total length %d (want at least that of the header, %d)", total, size)
		return
	case total > len(b):
		p.problem("IPv4: total length %d, but %d bytes follow", total, len(b))
	}
	if got, want := be16(b[10:]), checksum(b[:size]); got != want {
		p.problem("IPv4: header checksum 0x%04x (want 0x%04x)", got, want)
	}
	p.upper(p.trim(b, total)[size:])
}

func (p *parser) ipv6(b []byte) {
	if len(b) < ipv6HeaderLen {
		p.cut("IPv6", "header")
		return
	}
	p.IP = &IP{
		Version: 6, TTL: b[7], Protocol: b[6],
		Src: netip.AddrFrom16([16]byte(b[8:24])), Dst: netip.AddrFrom16([16]byte(b[24:40])),
	}
	if version := b[0] >> 4; version != 6 {
		p.problem("IPv6: version %d (want 6)", version)
	}
	p.source("IPv6")
	length, rest := int(be16(b[4:])), b[ipv6HeaderLen:]
	if length > len(rest) {
		p.problem("IPv6: payload length %d, but %d bytes follow", length, len(rest))
	}
	if rest, ok := p.extensions(p.trim(rest, length)); ok {
		p.upper(rest)
	}
}

// source looks at the source address.
func (p *parser) source(layer string) {
	if isGroup(p.IP.Src) {
		p.problem("%s: source %s (want a unicast address)", layer, p.IP.Src)
	}
}

// trim takes away what follows a packet: padding or a trailer.
func (p *parser) trim(b []byte, length int) []byte {
	if length >= len(b) {
		return b
	}
	p.end = "packet"
	return b[:length]
}

// extensions reads extension headers until the protocol of the payload, which it
// returns unless one can't be read.
func (p *parser) extensions(b []byte) ([]byte, bool) {
	for behindIP := true; ; behindIP = false {
		next := p.IP.Protocol
		name, ok := extensions[next]
		if !ok {
			return b, true
		}
		p.IP.Headers = append(p.IP.Headers, name)
		if next == protoHopByHop && !behindIP {
			p.problem("IPv6: hop-by-hop options behind another extension header (want them first, RFC 8200)")
		}
		size := extensionLen(next, b)
		if size > len(b) {
			p.cut("IPv6", name)
			return nil, false
		}
		if p.extension(next, b); p.IP.Fragment == Later {
			return b[size:], true
		}
		b = b[size:]
	}
}

// extensionLen is the length of an extension header; at least extensionMinLen, so
// that reading them comes to an end.
func extensionLen(typ uint8, b []byte) int {
	switch {
	case len(b) < extensionMinLen || typ == protoFragment:
		return extensionMinLen
	case typ == protoAH:
		return (int(b[1]) + 2) * 4 // RFC 4302 section 2.2
	}
	return (int(b[1]) + 1) * 8
}

// extension reads one whole extension header.
func (p *parser) extension(typ uint8, b []byte) {
	p.IP.Protocol = b[0]
	switch typ {
	case protoRouting:
		if b[2] == sourceRoute {
			p.problem("IPv6: routing header of type %d (forbidden, RFC 5095)", b[2])
		}
	case protoFragment:
		if p.IP.Fragment != Whole {
			p.problem("IPv6: two fragment headers")
		}
		otherwise := Atomic
		if p.IP.Fragment == First {
			otherwise = First
		}
		field := be16(b[2:])
		p.IP.Fragment = fragmentOf(field&offsetIPv6 != 0, field&moreIPv6 != 0, otherwise)
	}
}

// fragmentOf is what the fields of a fragment mean; otherwise is what it is when
// they are zero.
func fragmentOf(offset, more bool, otherwise Fragment) Fragment {
	switch {
	case offset:
		return Later
	case more:
		return First
	}
	return otherwise
}

// checksum is that of an IPv4 header, whose own field counts as zero (RFC 1071).
func checksum(header []byte) uint16 {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		if i != 10 {
			sum += uint32(be16(header[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
