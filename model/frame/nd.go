package frame

import (
	"net/netip"

	"github.com/vifguard/vifguard/model"
)

// Types of ICMPv6 messages of neighbour discovery (RFC 4861 section 4).
const (
	ndRS       = 133 // router solicitation
	ndRA       = 134 // router advertisement
	ndNS       = 135 // neighbour solicitation
	ndNA       = 136 // neighbour advertisement
	ndRedirect = 137
)

const (
	ndHopLimit  = 255 // shows that a neighbour sent it
	naSolicited = 0x40

	optionUnit     = 8 // lengths of options count these
	optionSourceLL = 1
	optionTargetLL = 2
)

// ndMessages says what the messages are called and how long they are without
// options. Target and destination, if any, follow the first eight bytes.
var ndMessages = map[uint8]struct {
	name         string
	size         int
	hasTarget    bool
	fromRouter   bool // its source is a link-local address
	fromNobodyOK bool // the unspecified address can be the source
}{
	ndRS:       {name: "RS", size: 8, fromNobodyOK: true},
	ndRA:       {name: "RA", size: 16, fromRouter: true},
	ndNS:       {name: "NS", size: 24, hasTarget: true, fromNobodyOK: true},
	ndNA:       {name: "NA", size: 24, hasTarget: true},
	ndRedirect: {name: "redirect", size: 40, hasTarget: true, fromRouter: true},
}

// nd reads an ICMPv6 message if it is of neighbour discovery, and looks for what
// makes receivers ignore it (RFC 4861 sections 6.1, 7.1 and 8.1).
func (p *parser) nd(b []byte) {
	m, ok := ndMessages[p.ICMPv6.Type]
	if !ok {
		return
	}
	p.ND = &ND{}
	if p.IP.Fragment != Whole {
		p.problem("IPv6: fragmented neighbour discovery (RFC 6980)")
	}
	if p.IP.TTL != ndHopLimit {
		p.problem("%s: hop limit %d (want %d, RFC 4861)", m.name, p.IP.TTL, ndHopLimit)
	}
	if p.ICMPv6.Code != 0 {
		p.problem("%s: code %d (want 0)", m.name, p.ICMPv6.Code)
	}
	switch src := p.IP.Src; {
	case m.fromRouter && !src.IsLinkLocalUnicast():
		p.problem("%s: source %s (want a link-local address, RFC 4861)", m.name, src)
	case src.IsUnspecified() && !m.fromNobodyOK:
		p.problem("%s: source %s (want a unicast address)", m.name, src)
	}
	if len(b) < m.size {
		p.cut(m.name, "message")
		return
	}
	if m.hasTarget {
		p.ND.Target = netip.AddrFrom16([16]byte(b[8:24]))
		p.target(m.name, b[4])
	}
	if p.ICMPv6.Type == ndRedirect {
		p.redirect(b[24:40])
	}
	p.ndOptions(m.name, b[m.size:])
	p.linkLayers(m.name)
}

// target looks at the target and, of advertisements, the flags.
func (p *parser) target(name string, flags uint8) {
	if p.ND.Target.IsMulticast() {
		p.problem("%s: target %s (want a unicast address)", name, p.ND.Target)
	}
	switch dst := p.IP.Dst; {
	case p.ICMPv6.Type == ndNA && flags&naSolicited != 0 && dst.IsMulticast():
		p.problem("NA: solicited, but sent to the group %s", dst)
	case p.ICMPv6.Type == ndNS && p.IP.Src.IsUnspecified() && !isSolicitedNode(dst):
		p.problem("NS: sent from :: to %s (want a solicited-node group, RFC 4861)", dst)
	}
}

func (p *parser) redirect(destination []byte) {
	n := p.ND
	n.Destination = netip.AddrFrom16([16]byte(destination))
	if n.Destination.IsMulticast() {
		p.problem("redirect: destination %s (want a unicast address)", n.Destination)
	}
	if n.Target != n.Destination && !n.Target.IsLinkLocalUnicast() {
		p.problem("redirect: target %s (want a link-local address or the destination, RFC 4861)", n.Target)
	}
}

// ndOptions reads the options, and keeps those with a link-layer address.
func (p *parser) ndOptions(name string, b []byte) {
	for len(b) > 0 {
		const head = 2 // type and length
		if len(b) < head {
			p.cut(name, "options")
			return
		}
		typ, size := b[0], int(b[1])*optionUnit
		if size == 0 {
			p.problem("%s: option %d of length 0 (want at least 1, RFC 4861)", name, typ)
			return
		}
		if size > len(b) {
			p.problem("%s: %s ends inside option %d", name, p.end, typ)
			return
		}
		if typ == optionSourceLL || typ == optionTargetLL {
			p.linkLayer(name, typ == optionTargetLL, b[head:size])
		}
		b = b[size:]
	}
}

func (p *parser) linkLayer(name string, target bool, data []byte) {
	if len(data) != macLen {
		p.problem("%s: %s link-layer option with %d bytes (want %d, Ethernet)", name, side(target), len(data), macLen)
		return
	}
	option := LinkLayer{Target: target, MAC: model.MAC(data)}
	if !isStation(option.MAC) {
		p.problem("%s: %s link-layer option %s (want a unicast address)", name, side(target), option.MAC)
	}
	p.ND.LinkLayer = append(p.ND.LinkLayer, option)
}

// linkLayers looks at all the link-layer options together.
func (p *parser) linkLayers(name string) {
	count := map[bool]int{}
	for _, option := range p.ND.LinkLayer {
		count[option.Target]++
	}
	for _, target := range []bool{false, true} {
		switch n := count[target]; {
		case n == 2:
			p.problem("%s: two %s link-layer options", name, side(target))
		case n > 2:
			p.problem("%s: %d %s link-layer options", name, n, side(target))
		}
	}
	if count[false] > 0 && p.IP.Src.IsUnspecified() {
		p.problem("%s: source link-layer option of a message from :: (want none, RFC 4861)", name)
	}
}

func side(target bool) string {
	if target {
		return "target"
	}
	return "source"
}

// isSolicitedNode reports whether addr is in ff02::1:ff00:0/104 (RFC 4291 section
// 2.7.1).
func isSolicitedNode(addr netip.Addr) bool {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff}), 104).Contains(addr)
}
