package oracle

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

// isND reports whether this is a message of neighbour discovery, whose type can be read.
func (p *ipPacket) isND() bool {
	return p.isICMPv6() && p.icmpType() >= typeRS && p.icmpType() <= typeRedirect
}

// fragmented reports whether a packet has a fragment header, which RFC 6980 forbids in
// neighbour discovery. The switch doesn't see that of an atomic fragment.
func (j *judgment) fragmented() bool { return j.ip.fragment || j.ip.atomic && !j.seen }

// neighbour is a neighbour solicitation or advertisement.
type neighbour struct {
	advertisement bool
	target        netip.Addr
	option        *model.MAC // the link-layer address that receivers learn; nil if absent
	zero          bool       // there is one with a zero address, which is nobody's
	broken        bool       // its options can't be read to their end
	long          bool       // there is more to it than the options that a switch sees
}

// neighbour returns the solicitation or advertisement in the packet, nil where there is
// none. Where there is one that can't be judged, or may be one unseen, reason says why:
// [Malformed] when it can't be read, [ND] when no receiver accepts it. What is hidden
// from the switch some receivers find that put fragments together first (RFC 7112,
// RFC 7113).
func (j *judgment) neighbour() (m *neighbour, reason string) {
	if !j.readable() {
		return nil, Malformed
	}
	ip := j.ip
	switch {
	case !ip.isICMPv6() || ip.icmpType() != typeNS && ip.icmpType() != typeNA:
		return nil, ""
	case ip.fragment:
		return nil, Malformed
	case ip.hops != 255 || ip.data[1] != 0:
		return nil, ND
	case len(ip.data) < 24:
		return nil, Malformed
	}
	m = &neighbour{advertisement: ip.icmpType() == typeNA, target: addr16(ip.data[8:24])}
	o, twice, broken := parseOptions(ip.data[24:])
	if m.target.IsUnspecified() || twice {
		return nil, Malformed
	}
	m.option, m.broken = o[optionSource], broken && !j.seen
	if m.advertisement {
		m.option = o[optionTarget]
	}
	if m.option != nil && *m.option == (model.MAC{}) {
		m.option, m.zero = nil, true
	}
	length := j.length
	if j.seen {
		length -= ip.behind
	}
	m.long = length >= shortest+optionLen*(m.seen(ip.src)+1) || ip.atomic && !j.seen
	return m, ""
}

// A solicitation or advertisement without an option in a frame, and an option with a
// link-layer address of Ethernet (RFC 4861 section 4.6.1, RFC 2464 section 6).
const (
	shortest  = 14 + 40 + 24
	optionLen = 8
)

// seen returns how many options a message may have: the link-layer address, and in
// duplicate address detection, which has none, a nonce (RFC 7527).
func (m *neighbour) seen(src netip.Addr) int {
	if m.option != nil || !m.advertisement && src.IsUnspecified() {
		return 1
	}
	return 0
}

// Options with a link-layer address (RFC 4861 section 4.6.1).
const (
	optionSource = 1
	optionTarget = 2
)

// parseOptions returns the link-layer addresses among options by their type: the
// source's and the target's. Only options of 8 bytes are link-layer addresses on
// Ethernet, and after a zero one there may be another. twice says that one is there two times; broken, that
// an option isn't complete, behind which nothing can be read.
func parseOptions(b []byte) (found map[uint8]*model.MAC, twice, broken bool) {
	found = make(map[uint8]*model.MAC)
	for len(b) > 0 {
		if len(b) < 8 || b[1] == 0 || int(b[1])*8 > len(b) {
			return found, false, true
		}
		option := b[:int(b[1])*8]
		b = b[len(option):]
		mac := model.MAC(option[2:8])
		if t := option[0]; (t == optionSource || t == optionTarget) && len(option) == 8 {
			if found[t] != nil && *found[t] != (model.MAC{}) {
				return nil, true, false
			}
			found[t] = &mac
		}
	}
	return found, false, false
}

// foreignOption reports whether an IPv6 packet names a sender MAC that isn't the
// VIF's. With the mac check alone, a neighbour message that can't be read counts as
// one; with more, it is dropped as such later.
func (j *judgment) foreignOption() bool {
	m, reason := j.neighbour()
	macOnly := j.p.Checks == model.CheckMAC
	if reason != "" {
		return macOnly
	}
	if m != nil {
		hidden := m.broken || m.long || m.zero && !j.seen
		return m.option != nil && !j.owns(*m.option) || macOnly && hidden
	}
	if j.seen || !j.ip.isICMPv6() {
		return false
	}
	// The sender's address in router solicitations and advertisements.
	skip := map[uint8]int{typeRS: 8, typeRA: 16}[j.ip.icmpType()]
	if skip == 0 || len(j.ip.data) < skip || j.fragmented() {
		return false
	}
	o, _, _ := parseOptions(j.ip.data[skip:])
	return o[optionSource] != nil && !j.owns(*o[optionSource])
}

// ndReason judges what a packet claims in neighbour discovery.
func (j *judgment) ndReason() string {
	m, reason := j.neighbour()
	switch {
	case reason != "" || m == nil:
		return reason
	case m.option != nil && *m.option != j.src && !j.vrrpTwin(*m.option):
		return ND
	case m.broken || m.long:
		return Malformed
	case m.advertisement:
		if !j.advertises(m) {
			return ND
		}
	case j.ip.src.IsUnspecified(): // RFC 4862 section 5.4
		if m.option != nil || m.zero && !j.seen || !j.bound(j.src, m.target, true) {
			return ND
		}
	case !j.bound(m.sender(j.src), j.ip.src, true):
		return ND
	}
	return ""
}

// sender is the MAC that receivers take for a message's: its option, if it has one.
func (m *neighbour) sender(src model.MAC) model.MAC {
	if m.option != nil {
		return *m.option
	}
	return src
}

// advertises reports whether the VIF may bind the target of an advertisement to its
// MAC, and may do so from the packet's source.
func (j *judgment) advertises(m *neighbour) bool {
	sender := m.sender(j.src)
	return j.bound(sender, m.target, true) && (j.bound(j.src, j.ip.src, true) || j.bound(sender, j.ip.src, true))
}
