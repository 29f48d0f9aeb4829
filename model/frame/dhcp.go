package frame

// DHCPv4 (RFC 2131, RFC 2132) and DHCPv6 (RFC 8415).
const (
	dhcpServerPort   = 67
	dhcpClientPort   = 68
	dhcpv6ClientPort = 546
	dhcpv6ServerPort = 547

	bootpLen       = 236        // up to the options
	dhcpCookie     = 0x63825363 // in front of the options; BOOTP needn't have it
	optionPad      = 0
	optionType     = 53
	optionEnd      = 255
	optionTypeLen  = 1
	bootpRequest   = 1
	bootpReply     = 2
	dhcpv6MinLen   = 4 // type and transaction
	optionHeadSize = 2 // code and length
)

// dhcp reads the payload of a UDP datagram if its ports are those of DHCP.
func (p *parser) dhcp(b []byte) {
	of := func(a, b uint16) bool {
		return p.UDP.Src == a || p.UDP.Src == b || p.UDP.Dst == a || p.UDP.Dst == b
	}
	switch {
	case p.IP.Version == 4 && of(dhcpServerPort, dhcpClientPort):
		p.DHCP = &DHCP{Version: 4}
		p.dhcpv4(b)
	case p.IP.Version == 6 && of(dhcpv6ServerPort, dhcpv6ClientPort):
		p.DHCP = &DHCP{Version: 6}
		if len(b) < dhcpv6MinLen {
			p.cut("DHCPv6", "header")
			return
		}
		p.DHCP.Type = b[0]
	}
}

func (p *parser) dhcpv4(b []byte) {
	if len(b) < bootpLen {
		p.cut("DHCP", "header")
		return
	}
	if op := b[0]; op != bootpRequest && op != bootpReply {
		p.problem("DHCP: operation %d (want %d, request, or %d, reply)", op, bootpRequest, bootpReply)
	}
	const cookieLen = 4
	options := b[bootpLen:]
	if len(options) < cookieLen || be32(options) != dhcpCookie {
		return // BOOTP
	}
	p.dhcpOptions(options[cookieLen:])
}

// dhcpOptions looks for the message type.
func (p *parser) dhcpOptions(b []byte) {
	for len(b) > 0 && b[0] != optionEnd {
		if b[0] == optionPad {
			b = b[1:]
			continue
		}
		if len(b) < optionHeadSize || len(b) < optionHeadSize+int(b[1]) {
			p.problem("DHCP: %s ends inside option %d", p.end, b[0])
			return
		}
		code, data := b[0], b[optionHeadSize:optionHeadSize+int(b[1])]
		b = b[optionHeadSize+len(data):]
		if code != optionType {
			continue
		}
		if len(data) != optionTypeLen {
			p.problem("DHCP: message type of %d bytes (want %d)", len(data), optionTypeLen)
			return
		}
		p.DHCP.Type = data[0]
		return
	}
	p.problem("DHCP: no message type (option %d)", optionType)
}
