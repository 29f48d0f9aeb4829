package conformance

import (
	"slices"
	"testing"

	"github.com/vifguard/vifguard/test/conformance/oracle"
	"github.com/vifguard/vifguard/test/lab"
)

// What a datapath in the kernel does otherwise than the tables say, and what of it is
// only a matter of counting. The tests of verdicts allow this much and no more.

// typeMin is the least value that is an ethertype, and not a length.
const typeMin = 0x0600

// refused reports whether the kernel or ovs-vswitchd discards a frame for its form before
// any table sees it: it doesn't arrive whatever the policy, and nobody counts it.
func refused(frame []byte) bool {
	const tagAndTwo = 12 + 4 + 2 + 2 // skb_vlan_untag wants two bytes behind a tag
	if oracle.IsTag(be(frame[12:])) && len(frame) < tagAndTwo {
		return true
	}
	t, _ := oracle.TypeOf(frame[typeOffset(frame):])
	// A tag in SNAP is no tag for the kernel, and ovs-vswitchd can't read back such a key;
	// a header of RFC 8300 that isn't right is refused by key_extract.
	const nsh = 0x894f
	return oracle.IsTag(t) && be(frame[typeOffset(frame):]) < typeMin || t == nsh
}

// misread reports whether the kernel reads other fields in a frame than ovs-vswitchd.
// What the second frame of a kind is counted for is then chance: ovs-vswitchd translates
// what the kernel has read.
func misread(frame []byte) bool {
	at := typeOffset(frame)
	if snap := frame[at+2:]; be(frame[at:]) < typeMin {
		if len(snap) >= 8 && string(snap[:2]) == "\xaa\xaa" && snap[2] != 3 {
			return true
		}
	}
	switch t, packet := oracle.TypeOf(frame[at:]); t {
	case lab.TypeIPv4:
		return misread4(packet)
	case lab.TypeIPv6:
		return misread6(packet)
	}
	return false
}

// misread4 is about IPv4 packets that are cut off, or end before their ports.
func misread4(packet []byte) bool {
	if len(packet) < 20 {
		return false // neither reads anything
	}
	header, total := int(packet[0]&0xf)*4, int(be(packet[2:]))
	return total > len(packet) || total < header+8 && total < len(packet)
}

// misread6 is about IPv6 packets that are cut off, that end before what the frame goes on
// with, whose chain of headers ends early, or that are called fragments.
func misread6(packet []byte) bool {
	const fixed = 40
	if len(packet) < fixed {
		return false
	}
	length := int(be(packet[4:]))
	switch {
	case length > len(packet)-fixed, chainEnds(packet):
		return true
	case length == len(packet)-fixed:
	case length == 0, chainEnds(packet[:fixed+length]), !isPadding(packet[fixed+length:]):
		return true
	}
	return fragmented(packet)
}

// isPadding reports whether what follows a packet says nothing.
func isPadding(b []byte) bool {
	return !slices.ContainsFunc(b, func(x byte) bool { return x != 0 })
}

// fragmented reports whether a fragment header is in the chain.
func fragmented(packet []byte) bool {
	if len(packet) < 40 || int(be(packet[4:])) > len(packet)-40 {
		return false
	}
	for next, rest := packet[6], packet[40:]; len(rest) >= 8; {
		switch next {
		case lab.ProtoFragment:
			return true
		case lab.ProtoHopByHop, lab.ProtoRouting, lab.ProtoDestOpts:
		default:
			return false
		}
		length := 8 * (int(rest[1]) + 1)
		if length > len(rest) {
			return false
		}
		next, rest = rest[0], rest[length:]
	}
	return false
}

// allowedInKernel reports whether an outcome that isn't the table's is one of those that
// a datapath in the kernel may have: a frame that is refused by its form, or one that
// fared as the table says but was counted for something else from the second time on.
func allowedInKernel(frame []byte, want string, observe bool, o outcome) bool {
	if refused(frame) {
		return o.arrived == 0 && len(o.drops) == 0
	}
	passes := want == Pass || observe
	arrived := o.arrived == 0 && !passes || o.arrived == o.possible && passes
	return misread(frame) && arrived && (want == Pass || o.drops[want] >= 1)
}

// What the kernel treats in its own way are the frames that were measured to be, and none
// of those that every guest sends.
func TestKernelsOwnWays(t *testing.T) {
	v := NewVIF(1)
	honest := v.udp4(v.V4.Own)
	for _, tt := range []struct {
		name             string
		frame            []byte
		refused, misread bool
	}{
		{"UDP", honest, false, false},
		{"UDP, padded", trailing(honest, 18), false, false},
		{"UDP over IPv6", v.udp6(v.V6.Own), false, false},
		{"neighbour solicitation", v.ns(v.LinkLocal(), lab.SourceLL(v.MAC)), false, false},
		{"neighbour solicitation, padded", trailing(v.ns(v.LinkLocal(), lab.SourceLL(v.MAC)), 6), false, false},
		{"options", v.icmp6Behind(mldRouters, 143, make([]byte, 4), hopByHop()), false, false},
		{"ARP", lab.GratuitousARP(v.MAC, v.V4.Own), false, false},
		{"priority tag", lab.Tagged(honest, lab.VLAN{}), false, false},
		{"SNAP", lab.AsSNAP(honest, 0), false, false},
		{"cut tag", lab.Tagged(honest, lab.VLAN{})[:18], true, false},
		{"tag in SNAP", lab.AsSNAP(lab.Tagged(honest, lab.VLAN{}), 0), true, false},
		{"longer than the frame", with(honest, 2, 1400), false, true},
		{"ends before its ports", with(honest, 2, 20), false, true},
		{"length zero", with(v.udp6(v.V6.Own), 4, 0), false, true},
		{"atomic fragment", v.behind(v.V6.Own, v.V6.Peer, []header{atomic()}, lab.ProtoUDP, segment(v.V6.Own, 1, v.V6.Peer, 2)), false, true},
	} {
		if got := refused(tt.frame); got != tt.refused {
			t.Errorf("%s: refused %t", tt.name, got)
		}
		if got := misread(tt.frame); got != tt.misread {
			t.Errorf("%s: misread %t", tt.name, got)
		}
	}
}
