package conformance

import (
	"net/netip"

	"github.com/vifguard/vifguard/model"
)

// ICMPv6 types.
const (
	typeMLDv1Report = 131
	typeRS          = 133
	typeRA          = 134
	typeNS          = 135
	typeNA          = 136
	typeRedirect    = 137
	typeMLDv2Report = 143
)

// isICMPv6 reports whether this is ICMPv6 with its header, or what should be its
// header.
func (p *ipPacket) isICMPv6() bool { return !p.hidden && !p.later && p.upper == 58 }

// icmpType returns the type of an ICMPv6 message, or 0 when it is cut off: messages
// have at least 8 bytes.
func (p *ipPacket) icmpType() uint8 {
	if len(p.data) < 8 {
		return 0
	}
	return p.data[0]
}

// ndHidden reports whether a neighbour solicitation or advertisement may be inside
// without being seen: the headers, or the ICMPv6 message, are cut off. Receivers that
// put fragments together first may find it (RFC 7112, RFC 7113).
func (j *judgment) ndHidden() bool {
	ip := j.ip
	return ip == nil || ip.hidden || ip.isICMPv6() && (ip.icmpType() == 0)
}

// neighbour returns the solicitation or advertisement in the packet. It is nil where
// there is none; ok is false when it is malformed or fragmented, or may be there
// unseen.
func (j *judgment) neighbour() (m *neighbour, ok bool) {
	if j.ndHidden() {
		return nil, false
	}
	ip := j.ip
	if !ip.isICMPv6() || ip.icmpType() != typeNS && ip.icmpType() != typeNA {
		return nil, true
	}
	if ip.fragment || ip.hops != 255 || ip.data[1] != 0 || len(ip.data) < 24 {
		return nil, false
	}
	m = &neighbour{advertisement: ip.icmpType() == typeNA, target: addr16(ip.data[8:24])}
	if m.target.IsUnspecified() {
		return nil, false
	}
	o, ok := parseOptions(ip.data[24:], j.seen)
	if !ok {
		return nil, false
	}
	m.option = o[optionSource]
	if m.advertisement {
		m.option = o[optionTarget]
	}
	return m, true
}

// neighbour is a neighbour solicitation or advertisement.
type neighbour struct {
	advertisement bool
	target        netip.Addr
	option        *model.MAC // the link-layer address that receivers learn; nil if absent
}

const optionTarget = 2

// parseOptions returns the link-layer addresses among options by their type: the
// source's and the target's. ok is false for options that are malformed or there
// twice. With the switch's eyes, everything from a malformed option on is invisible,
// and so are options of another length and zero addresses.
func parseOptions(b []byte, seen bool) (found map[uint8]*model.MAC, ok bool) {
	found = make(map[uint8]*model.MAC)
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			return found, seen
		}
		option := b[:int(b[1])*8]
		b = b[len(option):]
		if t := option[0]; t == optionSource || t == optionTarget {
			mac := model.MAC(option[2:8])
			switch {
			case len(option) != 8 && seen:
				continue
			case len(option) != 8 || found[t] != nil:
				return nil, false
			case mac != model.MAC{} || !seen:
				found[t] = &mac
			}
		}
	}
	return found, true
}

// foreignOption reports whether an IPv6 packet names a sender MAC that isn't the
// VIF's. With the mac check alone, a neighbour message that can't be read counts as
// one; with more, it is dropped as such later.
func (j *judgment) foreignOption() bool {
	m, ok := j.neighbour()
	if !ok {
		return j.p.Checks == model.CheckMAC
	}
	if m != nil {
		return m.option != nil && !j.owns(*m.option)
	}
	if j.seen || !j.ip.isICMPv6() {
		return false
	}
	// The sender's address in router solicitations and advertisements.
	skip := map[uint8]int{typeRS: 8, typeRA: 16}[j.ip.icmpType()]
	if skip == 0 || len(j.ip.data) < skip || j.ip.fragment {
		return false
	}
	o, _ := parseOptions(j.ip.data[skip:], true)
	return o[optionSource] != nil && !j.owns(*o[optionSource])
}

// ndClaim reports whether a packet claims nothing in neighbour discovery but what the
// VIF owns.
func (j *judgment) ndClaim() bool {
	m, ok := j.neighbour()
	switch {
	case !ok:
		return false
	case m == nil:
		return !j.fragmentedND()
	case m.advertisement:
		return j.advertises(m)
	case j.ip.src.IsUnspecified(): // RFC 4862 section 5.4
		return m.option == nil && j.bound(j.src, m.target, true)
	}
	return j.bound(j.src, j.ip.src, true) && (m.option == nil || *m.option == j.src)
}

// advertises reports whether the VIF may bind the target of an advertisement to its
// MAC, and may do so from the packet's source.
func (j *judgment) advertises(m *neighbour) bool {
	sender := j.src
	if m.option != nil && *m.option != j.src {
		if sender = *m.option; !j.vrrpTwin(sender) {
			return false
		}
	}
	return j.bound(sender, m.target, true) && (j.bound(j.src, j.ip.src, true) || j.bound(sender, j.ip.src, true))
}

// fragmentedND reports whether a packet is another message of neighbour discovery in
// a fragment, which RFC 6980 forbids. The router guard is to blame for its own.
func (j *judgment) fragmentedND() bool {
	if !j.ip.fragment || !j.ip.isICMPv6() {
		return false
	}
	switch j.ip.icmpType() {
	case typeRS:
		return true
	case typeRA, typeRedirect:
		return j.p.Allow.Router
	}
	return false
}
