package frame

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

var (
	macA = lab.MustMAC("02:00:00:00:00:0a")
	macB = lab.MustMAC("02:00:00:00:00:0b")
	ip4A = netip.MustParseAddr("192.0.2.1")
	ip4B = netip.MustParseAddr("192.0.2.9")
	ip6A = netip.MustParseAddr("2001:db8::a")
	ip6B = netip.MustParseAddr("2001:db8::b")
	llA  = lab.LinkLocal(macA)
	llB  = lab.LinkLocal(macB)

	portA4 = netip.AddrPortFrom(ip4A, 1000)
	portB4 = netip.AddrPortFrom(ip4B, 53)
	portA6 = netip.AddrPortFrom(ip6A, 1000)
	portB6 = netip.AddrPortFrom(ip6B, 53)

	byAddr = cmpopts.EquateComparable(netip.Addr{})
)

// fromA puts an IP packet into a frame from A to B.
func fromA(packet []byte) []byte { return lab.IPFrame(macB, macA, packet) }

// What well-formed frames claim.
var claimTests = []struct {
	name, want string
	frame      []byte
}{
	{"ARP request", "ARP request from 02:00:00:00:00:0a (192.0.2.1): who has 192.0.2.9", lab.ARPRequest(macA, ip4A, ip4B)},
	{"ARP padded", "ARP request from 02:00:00:00:00:0a (192.0.2.1): who has 192.0.2.9", lab.Pad(lab.ARPRequest(macA, ip4A, ip4B))},
	{"ARP reply", "ARP reply to 02:00:00:00:00:0b (192.0.2.9): 192.0.2.1 is at 02:00:00:00:00:0a", lab.ARPReply(macA, ip4A, macB, ip4B)},
	{"ARP probe", "ARP probe from 02:00:00:00:00:0a: who has 192.0.2.1", lab.ARPProbe(macA, ip4A)},
	{"ARP announcement", "ARP announcement: 192.0.2.1 is at 02:00:00:00:00:0a", lab.GratuitousARP(macA, ip4A)},
	{"ARP of another sender", "ARP announcement: 192.0.2.1 is at 02:00:00:00:00:0b, in a frame from 02:00:00:00:00:0a",
		lab.ARP{Op: lab.OpRequest, SHA: macB, SPA: ip4A, TPA: ip4A}.Frame(lab.Broadcast, macA)},
	{"RARP announcement", "RARP announcement of 02:00:00:00:00:0a", lab.RARPAnnounce(macA)},
	{"RARP request", "RARP request from 02:00:00:00:00:0a: which address has 02:00:00:00:00:0b",
		lab.Ether(macB, macA, lab.TypeRARP, lab.ARP{Op: lab.OpReverseRequest, SHA: macA, THA: macB}.Bytes())},
	{"RARP reply", "RARP reply from 02:00:00:00:00:0a: 02:00:00:00:00:0b has 192.0.2.9",
		lab.Ether(macB, macA, lab.TypeRARP, lab.ARP{Op: lab.OpReverseReply, SHA: macA, SPA: ip4A, THA: macB, TPA: ip4B}.Bytes())},

	{"UDP over IPv4", "IPv4 UDP 192.0.2.1:1000 > 192.0.2.9:53", lab.UDPFrame(macB, macA, portA4, portB4, []byte("odd"))},
	{"UDP padded", "IPv4 UDP 192.0.2.1:1000 > 192.0.2.9:53", lab.Pad(lab.UDPFrame(macB, macA, portA4, portB4))},
	{"UDP over IPv6", "IPv6 UDP [2001:db8::a]:1000 > [2001:db8::b]:53", lab.UDPFrame(macB, macA, portA6, portB6)},
	{"TCP over IPv4", "IPv4 TCP 192.0.2.1:1000 > 192.0.2.9:53", lab.TCPFrame(macB, macA, portA4, portB4, lab.FlagSYN)},
	{"TCP over IPv6", "IPv6 TCP [2001:db8::a]:1000 > [2001:db8::b]:53", lab.TCPFrame(macB, macA, portA6, portB6, lab.FlagACK)},
	{"ping", "IPv4 ICMP echo request 192.0.2.1 > 192.0.2.9", lab.PingFrame(macB, macA, ip4A, ip4B)},
	{"ping6", "IPv6 ICMPv6 echo request 2001:db8::a > 2001:db8::b", lab.PingFrame(macB, macA, ip6A, ip6B)},
	{"IPv4 options", "IPv4 ICMP type 30 code 2 192.0.2.1 > 192.0.2.9", fromA(lab.IPv4{Src: ip4A, Dst: ip4B, Protocol: lab.ProtoICMPv4,
		Options: []byte{0x94, 4, 0, 0}}.Packet(lab.ICMPv4(30, 2, make([]byte, 4))))},
	{"another protocol", "IPv4 protocol 99 192.0.2.1 > 192.0.2.9", fromA(lab.IP(ip4A, ip4B, 99))},
	{"later IPv4 fragment", "IPv4 (later fragment) UDP 192.0.2.1 > 192.0.2.9",
		fromA(lab.IPv4{Src: ip4A, Dst: ip4B, Protocol: lab.ProtoUDP, Offset: 2}.Packet(make([]byte, 16)))},
	{"first IPv4 fragment", "IPv4 (first fragment) UDP 192.0.2.1:1000 > 192.0.2.9:53",
		fromA(lab.IPv4{Src: ip4A, Dst: ip4B, Protocol: lab.ProtoUDP, More: true}.Packet(lab.UDP(portA4, portB4, make([]byte, 99))[:24]))},
	{"later IPv6 fragment", "IPv6 (later fragment) destination options 2001:db8::a > 2001:db8::b",
		fromA(lab.IPv6{Src: ip6A, Dst: ip6B, Next: lab.ProtoFragment}.Packet(lab.FragmentHeader(lab.ProtoDestOpts, 2, false, 1), make([]byte, 16)))},
	{"first IPv6 fragment", "IPv6 (first fragment) UDP [2001:db8::a]:1000 > [2001:db8::b]:53",
		fromA(lab.IPv6{Src: ip6A, Dst: ip6B, Next: lab.ProtoFragment}.Packet(lab.FragmentHeader(lab.ProtoUDP, 0, true, 1), lab.UDP(portA6, portB6)))},

	{"NS", "NS: who has 2001:db8::b (source 2001:db8::a at 02:00:00:00:00:0a)", fromA(lab.NS(ip6A, lab.SolicitedNode(ip6B), ip6B, lab.SourceLL(macA)))},
	{"NS of another sender", "NS: who has 2001:db8::b (source 2001:db8::a at 02:00:00:00:00:0b), in a frame from 02:00:00:00:00:0a",
		fromA(lab.NS(ip6A, lab.SolicitedNode(ip6B), ip6B, lab.SourceLL(macB)))},
	{"DAD", "NS: who has 2001:db8::a, duplicate address detection (source ::)", fromA(lab.DAD(ip6A, lab.NDOption(14, make([]byte, 6))))},
	{"NA", "NA: 2001:db8::a is at 02:00:00:00:00:0a (source fe80::ff:fe00:a)", fromA(lab.NA(llA, lab.AllNodes, lab.FlagOverride, ip6A, lab.TargetLL(macA)))},
	{"NA of another target", "NA: 2001:db8::a is at 02:00:00:00:00:0b (source fe80::ff:fe00:a), in a frame from 02:00:00:00:00:0a",
		fromA(lab.NA(llA, llB, lab.FlagSolicited, ip6A, lab.TargetLL(macB)))},
	{"NA without option", "NA: 2001:db8::a is here, no link-layer option (source fe80::ff:fe00:a)", fromA(lab.NA(llA, llB, 0, ip6A))},
	{"NA behind extension headers", "IPv6 (hop-by-hop options, destination options, routing header) NA: 2001:db8::a is here, no link-layer option (source fe80::ff:fe00:a)",
		fromA(lab.IPv6{Src: llA, Dst: llB, Next: lab.ProtoHopByHop, HopLimit: 255}.Packet(
			lab.HopByHop(lab.ProtoDestOpts), lab.DestOpts(lab.ProtoRouting, []byte{1, 5, 0, 0, 0, 0, 0}), lab.Routing(lab.ProtoICMPv6, ip6B),
			lab.ICMPv6(llA, llB, lab.ICMPv6NA, 0, lab.NABody(0, ip6A))))},
	{"RS", "RS (source fe80::ff:fe00:a at 02:00:00:00:00:0a)", fromA(lab.RS(llA, lab.SourceLL(macA)))},
	{"RA", "RA (source fe80::ff:fe00:a at 02:00:00:00:00:0a)", fromA(lab.RA(llA, lab.PrefixInfo(netip.PrefixFrom(ip6A, 64)), lab.SourceLL(macA)))},
	{"redirect", "redirect: 2001:db8::a is reached by fe80::ff:fe00:b at 02:00:00:00:00:0b (source fe80::ff:fe00:a)",
		fromA(lab.Redirect(llA, ip6B, llB, ip6A, lab.TargetLL(macB)))},
	{"MLDv2 report", "IPv6 (hop-by-hop options) ICMPv6 MLDv2 report fe80::ff:fe00:a > ff02::16", fromA(lab.MLDv2Report(llA, lab.SolicitedNode(ip6A)))},

	{"DHCPv4 client", "IPv4 UDP 0.0.0.0:68 > 255.255.255.255:67, DHCP DISCOVER", lab.DHCPv4Client(macA, lab.DHCPDiscover)},
	{"DHCPv4 server", "IPv4 UDP 192.0.2.1:67 > 192.0.2.9:68, DHCP OFFER", lab.DHCPv4Server(macA, ip4A, macB, lab.DHCPOffer, ip4B)},
	{"DHCPv6 client", "IPv6 UDP [fe80::ff:fe00:a]:546 > [ff02::1:2]:547, DHCPv6 SOLICIT", lab.DHCPv6Client(macA, llA)},
	{"DHCPv6 server", "IPv6 UDP [fe80::ff:fe00:a]:547 > [fe80::ff:fe00:b]:546, DHCPv6 ADVERTISE", lab.DHCPv6Server(macA, llA, macB, llB)},
	{"VRRPv2", "IPv4 VRRP 192.0.2.1 > 224.0.0.18, version 2 router 7 priority 100 for 192.0.2.9", lab.VRRPv2(7, 100, ip4A, ip4B)},
	{"VRRPv3 for IPv6", "IPv6 VRRP fe80::ff:fe00:a > ff02::12, version 3 router 7 priority 100 for fe80::ff:fe00:b and 1 more",
		lab.VRRPv3(7, 100, llA, llB, ip6B)},

	{"one tag", "VLAN 0 (0x8100) > ARP probe from 02:00:00:00:00:0a: who has 192.0.2.1", lab.Tagged(lab.ARPProbe(macA, ip4A), lab.VLAN{})},
	{"two tags", "VLAN 5 priority 3 (0x88a8) > VLAN 6 (0x8100) > ARP probe from 02:00:00:00:00:0a: who has 192.0.2.1",
		lab.Tagged(lab.ARPProbe(macA, ip4A), lab.VLAN{TPID: lab.TypeSVLAN, VID: 5, PCP: 3}, lab.VLAN{VID: 6})},
	{"three tags", "3 VLAN tags > ARP probe from 02:00:00:00:00:0a: who has 192.0.2.1",
		lab.Tagged(lab.ARPProbe(macA, ip4A), lab.VLAN{TPID: lab.TypeSVLAN, VID: 5, PCP: 3}, lab.VLAN{VID: 6}, lab.VLAN{VID: 7})},
	{"tag type 0x9100", "ethertype 0x9100 (a VLAN tag for some switches) from 02:00:00:00:00:0a to ff:ff:ff:ff:ff:ff",
		lab.Tagged(lab.ARPProbe(macA, ip4A), lab.VLAN{TPID: 0x9100})},
	{"SNAP", "LLC/SNAP > ARP probe from 02:00:00:00:00:0a: who has 192.0.2.1", lab.AsSNAP(lab.ARPProbe(macA, ip4A), 0)},
	{"SNAP of another OUI", "LLC/SNAP organization 00000c protocol 0x2000 from 02:00:00:00:00:0a to 02:00:00:00:00:0b",
		lab.SNAP(macB, macA, 0x00000c, 0x2000, []byte("cdp"))},
	{"STP", "LLC spanning tree from 02:00:00:00:00:0a to 01:80:c2:00:00:00", lab.STP(macA)},
	{"LLC", "LLC from service 0xe0 to 0xf0 from 02:00:00:00:00:0a to 02:00:00:00:00:0b", lab.LLC(macB, macA, 0xf0, 0xe0)},
	{"unknown ethertype", "ethertype 0x1234 from 02:00:00:00:00:0a to 02:00:00:00:00:0b", lab.Ether(macB, macA, 0x1234)},
}

func TestClaims(t *testing.T) {
	for _, test := range claimTests {
		t.Run(test.name, func(t *testing.T) {
			f := Parse(test.frame)
			checkFrame(t, &f)
			if diff := cmp.Diff(test.want, f.String()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if len(f.Problems) > 0 {
				t.Errorf("problems: %q", f.Problems)
			}
		})
	}
}

// What malformed frames claim.
func TestMalformedClaims(t *testing.T) {
	for _, test := range []struct {
		want  string
		frame []byte
	}{
		{"unreadable", []byte{1, 2, 3}},
		{"unreadable from 02:00:00:00:00:0a to 02:00:00:00:00:0b", lab.Ether(macB, macA, 3)},
		{"VLAN 1 (0x8100) > unreadable from 02:00:00:00:00:0a to 02:00:00:00:00:0b", lab.Tagged(lab.Ether(macB, macA, 0x8100), lab.VLAN{VID: 1})},
		{"ethertype 0x0806 (ARP) from 02:00:00:00:00:0a to 02:00:00:00:00:0b", lab.Ether(macB, macA, lab.TypeARP)},
		{"ARP opcode 1, addresses unreadable, from 02:00:00:00:00:0a to ff:ff:ff:ff:ff:ff", arpOf(lab.ARP{HardwareLength: 8})},
		{"ARP opcode 3 from 02:00:00:00:00:0a (192.0.2.1) to 00:00:00:00:00:00 (0.0.0.0)", arpOf(lab.ARP{Op: 3, SPA: ip4A})},
		{"ARP request from 00:00:00:00:00:00 (192.0.2.1): who has 192.0.2.9, in a frame from 02:00:00:00:00:0a",
			lab.ARP{Op: 1, SPA: ip4A, TPA: ip4B}.Frame(macB, macA)},
		{"IPv4 UDP 192.0.2.1 > 192.0.2.9", ipv4With(0, 0x44)},
		{"IPv6 (hop-by-hop options) cut short 2001:db8::a > 2001:db8::b", ipv6Of(0, []byte{58, 1}, make([]byte, 10))},
		{"IPv6 (4 headers) TCP 2001:db8::a > 2001:db8::b", ipv6Of(60, lab.DestOpts(60), lab.DestOpts(60), lab.DestOpts(60), lab.DestOpts(6))},
		{"IPv6 (first fragment) ICMPv6 2001:db8::a > 2001:db8::b", ipv6Of(44, lab.FragmentHeader(58, 0, true, 1))},
		{"NS: unreadable (source 2001:db8::a)", ipv6Of(58, ns[:23])},
		{"NA: 2001:db8::a is at 00:00:00:00:00:00 (source 2001:db8::a), in a frame from 02:00:00:00:00:0a",
			fromA(lab.NA(ip6A, ip6B, 0, ip6A, lab.TargetLL(lab.MAC{})))},
		{"IPv4 UDP 192.0.2.1:67 > 192.0.2.9:53, DHCP type 200",
			lab.UDPFrame(macB, macA, netip.AddrPortFrom(ip4A, 67), portB4, lab.DHCPv4(200, macA, ip4A))},
	} {
		f := Parse(test.frame)
		if diff := cmp.Diff(test.want, f.String()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if len(f.Problems) == 0 && f.DHCP == nil {
			t.Errorf("%s: no problem", test.want)
		}
	}
}

func TestFields(t *testing.T) {
	target := LinkLayer{Target: true, MAC: macA}
	for _, test := range []struct {
		name  string
		frame []byte
		want  Frame
	}{
		{"tagged ARP in SNAP", lab.Tagged(lab.AsSNAP(lab.ARPReply(macA, ip4A, macB, ip4B), 0), lab.VLAN{VID: 5, PCP: 3}), Frame{
			Dst: macB, Src: macA, Tags: []Tag{{TPID: 0x8100, VID: 5, PCP: 3}}, EtherType: 0x0806,
			LLC: &LLC{DSAP: 0xaa, SSAP: 0xaa, Control: 3, SNAP: true, Protocol: 0x0806},
			ARP: &ARP{HardwareType: 1, ProtocolType: 0x0800, HardwareLength: 6, ProtocolLength: 4,
				Op: 2, SHA: macA, SPA: ip4A, THA: macB, TPA: ip4B}}},
		{"STP", lab.STP(macA), Frame{Dst: lab.BridgeGroup, Src: macA, LLC: &LLC{DSAP: 0x42, SSAP: 0x42, Control: 3}}},
		{"NA", fromA(lab.NA(llA, llB, 0, ip6A, lab.TargetLL(macA))), Frame{Dst: macB, Src: macA, EtherType: 0x86dd,
			IP:     &IP{Version: 6, Src: llA, Dst: llB, Protocol: 58, TTL: 255},
			ICMPv6: &ICMP{Type: 136}, ND: &ND{Target: ip6A, LinkLayer: []LinkLayer{target}}}},
		{"redirect", fromA(lab.Redirect(llA, llB, llB, ip6A)), Frame{Dst: macB, Src: macA, EtherType: 0x86dd,
			IP:     &IP{Version: 6, Src: llA, Dst: llB, Protocol: 58, TTL: 255},
			ICMPv6: &ICMP{Type: 137}, ND: &ND{Target: llB, Destination: ip6A}}},
		{"atomic fragment", fromA(lab.IPv6{Src: ip6A, Dst: ip6B, Next: lab.ProtoHopByHop, HopLimit: 9}.Packet(lab.HopByHop(lab.ProtoFragment),
			lab.FragmentHeader(lab.ProtoUDP, 0, false, 1), lab.UDP(portA6, portB6))), Frame{Dst: macB, Src: macA, EtherType: 0x86dd,
			IP: &IP{Version: 6, Src: ip6A, Dst: ip6B, Protocol: 17, TTL: 9, Fragment: Atomic,
				Headers: []string{"hop-by-hop options", "fragment header"}},
			UDP: &Ports{Src: 1000, Dst: 53}}},
		{"authentication header", fromA(lab.IPv6{Src: ip6A, Dst: ip6B, Next: 51}.Packet([]byte{lab.ProtoTCP, 2}, make([]byte, 14),
			lab.TCP(portA6, portB6, 0))), Frame{Dst: macB, Src: macA, EtherType: 0x86dd,
			IP:  &IP{Version: 6, Src: ip6A, Dst: ip6B, Protocol: 6, TTL: 64, Headers: []string{"authentication header"}},
			TCP: &Ports{Src: 1000, Dst: 53}}},
		{"DHCP", lab.DHCPv4Server(macA, ip4A, macB, lab.DHCPAck, ip4B), Frame{Dst: macB, Src: macA, EtherType: 0x0800,
			IP:  &IP{Version: 4, Src: ip4A, Dst: ip4B, Protocol: 17, TTL: 64},
			UDP: &Ports{Src: 67, Dst: 68}, DHCP: &DHCP{Version: 4, Type: 5}}},
		{"VRRP", lab.VRRPv3(7, 100, ip4A, ip4B), Frame{Dst: lab.GroupMAC(lab.VRRPGroup4), Src: lab.VirtualMAC(7, false), EtherType: 0x0800,
			IP:   &IP{Version: 4, Src: ip4A, Dst: lab.VRRPGroup4, Protocol: 112, TTL: 255},
			VRRP: &VRRP{Version: 3, Router: 7, Priority: 100, Addrs: []netip.Addr{ip4B}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Parse(test.frame), byAddr); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// Every beginning of every frame is read, and a frame that lost something of what
// its headers announce has a problem.
func TestCutFrames(t *testing.T) {
	for _, test := range claimTests {
		for n := range test.frame {
			f := Parse(test.frame[:n])
			checkFrame(t, &f)
			if n < headerLen && len(f.Problems) == 0 {
				t.Errorf("%s cut to %d bytes: no problem", test.name, n)
			}
		}
		if f := Parse(test.frame); f.IP != nil && test.name != "UDP padded" {
			if cut := Parse(test.frame[:len(test.frame)-1]); len(cut.Problems) == 0 {
				t.Errorf("%s without its last byte: no problem", test.name)
			}
		}
	}
}

// The longest line is whole.
func TestLongestLine(t *testing.T) {
	long, other := netip.MustParseAddr("2001:db8:1111:1111:1111:1111:1111:1111"), netip.MustParseAddr("fe80:1111:1111:1111:1111:1111:1111:1111")
	headers := slices.Concat(lab.DestOpts(lab.ProtoDestOpts), lab.DestOpts(lab.ProtoDestOpts), lab.DestOpts(lab.ProtoDestOpts), lab.DestOpts(lab.ProtoFragment))
	tags := slices.Repeat([]lab.VLAN{{VID: 4095, PCP: 7}}, 15000)
	packet := func(next uint8, more bool, payload []byte) []byte {
		frame := lab.Ether(macB, macA, lab.TypeIPv6, lab.IPv6{Src: other, Dst: long, Next: lab.ProtoDestOpts}.Packet(headers, lab.FragmentHeader(next, 0, more, 1), payload))
		return lab.Tagged(lab.AsSNAP(frame, 0), tags...)
	}
	for name, frame := range map[string][]byte{
		"redirect": packet(lab.ProtoICMPv6, true, lab.ICMPv6(other, long, lab.ICMPv6Redirect, 0, make([]byte, 4), long.AsSlice(), long.AsSlice(), lab.SourceLL(macB), lab.TargetLL(macB))),
		"NA":       packet(lab.ProtoICMPv6, true, lab.ICMPv6(other, long, lab.ICMPv6NA, 0, lab.NABody(0, long, lab.SourceLL(macB), lab.TargetLL(macB)))),
		"DHCPv6":   packet(lab.ProtoUDP, true, lab.UDP(netip.AddrPortFrom(other, 10547), netip.AddrPortFrom(long, 547), []byte{11, 0, 0, 0})),
		"VRRP":     packet(lab.ProtoVRRP, true, slices.Concat([]byte{0x31, 255, 255, 2, 0, 0, 0, 0}, long.AsSlice(), long.AsSlice())),
	} {
		f := Parse(frame)
		if got := f.line(true); len(got) > maxLine || f.String() != got {
			t.Errorf("%s: %d characters: %s", name, len(got), got)
		}
		if f.Src != model.MAC(macA) {
			t.Errorf("source %s", f.Src)
		}
	}
}
