package conformance

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/conformance/oracle"
	"github.com/vifguard/vifguard/test/lab"
)

// harmless reports whether a frame that a policy refuses can do nothing: every receiver
// discards it for its form, or reads in it what the policy lets through.
//
// A datapath in the kernel doesn't compare the length that an IP header gives with that
// of the frame, so a frame of this kind passes when an honest one with the same
// addresses and ports has left a megaflow. No table can see that, since the tables aren't
// asked.
func harmless(p *model.Policy, frame []byte) bool {
	t, body := oracle.TypeOf(frame[typeOffset(frame):])
	switch t {
	case lab.TypeIPv4:
		return harmless4(p, frame, body)
	case lab.TypeIPv6:
		return harmless6(p, frame, body)
	}
	return false
}

// typeOffset is where the ethertype behind the VLAN tags of a frame is, or the length.
func typeOffset(frame []byte) int {
	at := 12
	for oracle.IsTag(be(frame[at:])) && len(frame) >= at+6 {
		at += 4
	}
	return at
}

// harmless4 judges an IPv4 packet at the end of a frame. RFC 1122 section 3.2.1 has
// hosts discard what isn't as long as it says; so does Linux (ip_rcv_core).
func harmless4(p *model.Policy, frame, packet []byte) bool {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return true
	}
	header, total := int(packet[0]&0xf)*4, int(be(packet[2:]))
	if header < 20 || total < header || total > len(packet) {
		return true
	}
	return passesAs(p, frame, packet, 2, total, len(packet))
}

// harmless6 judges an IPv6 packet at the end of a frame. One of length zero is read to
// its end by Linux (ip6_rcv_core).
func harmless6(p *model.Policy, frame, packet []byte) bool {
	const fixed = 40
	if len(packet) < fixed || packet[0]>>4 != 6 {
		return true
	}
	length := int(be(packet[4:]))
	if length > len(packet)-fixed || chainEnds(packet) {
		return true
	}
	if length == 0 {
		length = len(packet) - fixed
	}
	return passesAs(p, frame, packet, 4, length, len(packet)-fixed)
}

// passesAs reports whether a policy lets a frame pass when its packet is cut to the
// length that its header gives, and when the header gives the frame's own length.
func passesAs(p *model.Policy, frame, packet []byte, field, given, all int) bool {
	at := len(frame) - len(packet)
	whole := slices.Clone(frame)
	binary.BigEndian.PutUint16(whole[at+field:], uint16(all))
	cut := slices.Clone(whole[:len(frame)-(all-given)])
	binary.BigEndian.PutUint16(cut[at+field:], uint16(given))
	for _, reading := range [][]byte{whole, cut} {
		if pass, _ := oracle.Judge(p, reading); !pass && !portless(reading[at:]) {
			return false
		}
	}
	return true
}

// portless reports whether a packet is UDP over IPv4 that ends before its ports: every
// receiver discards it, though the switch, which can't tell what follows, calls it
// malformed.
func portless(packet []byte) bool {
	return packet[0]>>4 == 4 && packet[9] == lab.ProtoUDP && be(packet[6:])&0x3fff == 0 && len(packet) < int(packet[0]&0xf)*4+8
}

// chainEnds reports whether the chain of extension headers doesn't fit the packet, which
// isn't a fragment: nothing is left for a receiver.
func chainEnds(packet []byte) bool {
	next, rest := packet[6], packet[40:]
	for {
		length := 0
		switch next {
		case lab.ProtoHopByHop, lab.ProtoRouting, lab.ProtoDestOpts:
			if len(rest) < 8 {
				return true
			}
			length = 8 * (int(rest[1]) + 1)
		case protoAH:
			if len(rest) < 8 {
				return true
			}
			length = 4 * (int(rest[1]) + 2)
		default:
			return false
		}
		if length > len(rest) {
			return true
		}
		next, rest = rest[0], rest[length:]
	}
}

// What is called harmless is cut off, or says nothing that its policy forbids.
func TestHarmless(t *testing.T) {
	policies := map[string]Policy{}
	for _, p := range Policies() {
		policies[p.Name] = p
	}
	v := NewVIF(1)
	offer := v.ports(v.MAC, v.V4.Own, dhcp4Server, v.V4.Peer, dhcp4Client)
	honest, forged := v.udp4(v.V4.Own), v.udp4(v.V4.Foreign)
	advertise := v.na(v.MAC, v.V6.Own, v.V6.Own, lab.TargetLL(v.MAC))
	poison := v.na(v.MAC, v.V6.Own, v.V6.Own, lab.TargetLL(v.Foreign))
	for _, tt := range []struct {
		name, policy string
		frame        []byte
		want         bool
	}{
		{"honest, longer than the frame", "strict", with(honest, 2, 1400), true},
		{"forged, longer than the frame", "strict", with(forged, 2, 1400), true},
		{"honest, less than its header", "strict", with(honest, 2, 19), true},
		{"honest, its header alone", "strict", with(honest, 2, 20), true},
		{"forged, its header alone", "strict", with(forged, 2, 20), false},
		{"forged", "strict", forged, false},
		{"offer of length 20", "strict", with(offer, 2, 20), false},
		{"offer of length 20", "mac", with(offer, 2, 20), true},
		{"advertisement of length 0", "strict", with(advertise, 4, 0), true},
		{"poison of length 0", "strict", with(poison, 4, 0), false},
		{"poison that ends before its option", "strict", with(poison, 4, 24), false},
		{"options longer than the packet", "strict", with(cut(v.behind(v.V6.Own, v.V6.Peer, []header{hopByHop()}, lab.ProtoUDP), 43), 4, 3), true},
		{"a fragment that ends before options", "strict", v.behind(v.V6.Own, v.V6.Peer, []header{fragment(0, true)}, lab.ProtoDestOpts), false},
		{"ARP for a foreign address", "strict", lab.GratuitousARP(v.MAC, v.V4.Foreign), false},
	} {
		p := policies[tt.policy]
		resolved := p.Resolve(v)
		if got := harmless(&resolved, tt.frame); got != tt.want {
			t.Errorf("%s, policy %s: harmless %t, want %t\n%s", tt.name, tt.policy, got, tt.want, hex.EncodeToString(tt.frame))
		}
	}
}
