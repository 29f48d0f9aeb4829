package lab

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	macA = MustMAC("02:00:00:00:00:0a")
	macB = MustMAC("02:00:00:00:00:0b")
	ip4A = netip.MustParseAddr("10.0.0.10")
	ip4B = netip.MustParseAddr("10.0.0.11")
	ip6A = netip.MustParseAddr("2001:db8::a")
	ip6B = netip.MustParseAddr("2001:db8::b")
	llA  = LinkLocal(macA)
	llB  = LinkLocal(macB)

	portA4 = netip.AddrPortFrom(ip4A, 1001)
	portB4 = netip.AddrPortFrom(ip4B, 1002)
	portA6 = netip.AddrPortFrom(ip6A, 1001)
	portB6 = netip.AddrPortFrom(ip6B, 1002)
)

// Each frame as two independent parsers see it: the layers that gopacket
// finds, and the fields that the switch matches on. DecodeFailure stands for a
// payload that gopacket doesn't know or, in a truncated sample, can't parse.
var frameTests = []struct {
	name   string
	frame  []byte
	layers string
	flow   string // fields that the switch shows, in its notation
}{
	{"ARP request", ARPRequest(macA, ip4A, ip4B), "Ethernet ARP",
		"arp dl_dst=ff:ff:ff:ff:ff:ff arp_op=1 arp_spa=10.0.0.10 arp_tpa=10.0.0.11 arp_sha=02:00:00:00:00:0a arp_tha=00:00:00:00:00:00"},
	{"ARP reply", ARPReply(macA, ip4A, macB, ip4B), "Ethernet ARP",
		"arp dl_dst=02:00:00:00:00:0b arp_op=2 arp_spa=10.0.0.10 arp_tpa=10.0.0.11 arp_tha=02:00:00:00:00:0b"},
	{"gratuitous ARP", GratuitousARP(macA, ip4A), "Ethernet ARP", "arp arp_op=1 arp_spa=10.0.0.10 arp_tpa=10.0.0.10"},
	{"ARP probe", ARPProbe(macA, ip4A), "Ethernet ARP", "arp arp_op=1 arp_spa=0.0.0.0 arp_tpa=10.0.0.10"},
	{"ARP of hardware type 6", ARP{HardwareType: 6, Op: OpReply, SHA: macA, SPA: ip4A}.Frame(macB, macA), "Ethernet ARP",
		"arp arp_op=0 arp_spa=0.0.0.0 arp_sha=00:00:00:00:00:00"},
	{"ARP of opcode 257", ARP{Op: 257, SHA: macA, SPA: ip4A}.Frame(macB, macA), "Ethernet ARP",
		"arp arp_op=0 arp_spa=10.0.0.10 arp_sha=02:00:00:00:00:0a"},
	{"RARP announcement", RARPAnnounce(macA), "Ethernet DecodeFailure",
		"rarp arp_op=3 arp_spa=0.0.0.0 arp_sha=02:00:00:00:00:0a arp_tha=02:00:00:00:00:0a"},

	{"UDP over IPv4", UDPFrame(macB, macA, portA4, portB4, []byte("odd")), "Ethernet IPv4 UDP Payload",
		"udp nw_src=10.0.0.10 nw_dst=10.0.0.11 tp_src=1001 tp_dst=1002 nw_ttl=64"},
	{"UDP over IPv6", UDPFrame(macB, macA, portA6, portB6, []byte("odd")), "Ethernet IPv6 UDP Payload",
		"udp6 ipv6_src=2001:db8::a ipv6_dst=2001:db8::b tp_src=1001 tp_dst=1002"},
	{"TCP over IPv4", TCPFrame(macB, macA, portA4, portB4, FlagSYN), "Ethernet IPv4 TCP", "tcp tp_src=1001 tcp_flags=syn"},
	{"TCP over IPv6", TCPFrame(macB, macA, portA6, portB6, FlagACK), "Ethernet IPv6 TCP", "tcp6 tp_dst=1002 tcp_flags=ack"},
	{"ping", PingFrame(macB, macA, ip4A, ip4B), "Ethernet IPv4 ICMPv4 Payload", "icmp icmp_type=8 icmp_code=0"},
	{"ping6", PingFrame(macB, macA, ip6A, ip6B), "Ethernet IPv6 ICMPv6 ICMPv6Echo Payload", "icmp6 icmp_type=128 icmp_code=0"},
	{"first IPv4 fragment", IPFrame(macB, macA, IPv4{Src: ip4A, Dst: ip4B, Protocol: ProtoUDP, More: true}.Packet(make([]byte, 16))),
		"Ethernet IPv4 Fragment", "nw_src=10.0.0.10 nw_frag=first"},
	{"later IPv4 fragment", IPFrame(macB, macA, IPv4{Src: ip4A, Dst: ip4B, Protocol: ProtoUDP, Offset: 2}.Packet(make([]byte, 16))),
		"Ethernet IPv4 Fragment", "nw_src=10.0.0.10 nw_frag=later"},
	{"IPv4 options", IPFrame(macB, macA, IPv4{Src: ip4A, Dst: ip4B, Protocol: ProtoICMPv4, Options: []byte{0x94, 4, 0, 0}}.Packet(ICMPv4(8, 0, make([]byte, 4)))),
		"Ethernet IPv4 ICMPv4", "icmp nw_src=10.0.0.10 icmp_type=8"},

	{"NS", IPFrame(macB, macA, NS(ip6A, SolicitedNode(ip6B), ip6B, SourceLL(macA))), "Ethernet IPv6 ICMPv6 ICMPv6NeighborSolicitation",
		"icmp6 icmp_type=135 nw_ttl=255 nd_target=2001:db8::b nd_sll=02:00:00:00:00:0a ipv6_dst=ff02::1:ff00:b"},
	{"NS with two options", IPFrame(macB, macA, NS(ip6A, ip6B, ip6B, SourceLL(macA), SourceLL(macB))), "Ethernet IPv6 ICMPv6 ICMPv6NeighborSolicitation",
		"icmp6 icmp_type=135 nd_target=:: nd_sll=00:00:00:00:00:00"},
	{"DAD", IPFrame(GroupMAC(SolicitedNode(ip6A)), macA, DAD(ip6A)), "Ethernet IPv6 ICMPv6 ICMPv6NeighborSolicitation",
		"dl_dst=33:33:ff:00:00:0a ipv6_src=:: icmp_type=135 nd_target=2001:db8::a nd_sll=00:00:00:00:00:00"},
	{"NA", IPFrame(macB, macA, NA(llA, AllNodes, FlagOverride, ip6A, TargetLL(macA))), "Ethernet IPv6 ICMPv6 ICMPv6NeighborAdvertisement",
		"icmp_type=136 ipv6_src=fe80::ff:fe00:a nd_target=2001:db8::a nd_tll=02:00:00:00:00:0a"},
	{"RS", IPFrame(macB, macA, RS(llA, SourceLL(macA))), "Ethernet IPv6 ICMPv6 ICMPv6RouterSolicitation", "icmp_type=133 ipv6_dst=ff02::2"},
	{"RA", IPFrame(macB, macA, RA(llA, PrefixInfo(netip.PrefixFrom(ip6A, 64)), SourceLL(macA))),
		"Ethernet IPv6 ICMPv6 ICMPv6RouterAdvertisement", "icmp_type=134 ipv6_dst=ff02::1 nw_ttl=255"},
	{"redirect", IPFrame(macB, macA, Redirect(llA, ip6B, llB, ip6A, TargetLL(macB))), "Ethernet IPv6 ICMPv6 ICMPv6Redirect", "icmp_type=137 nw_ttl=255"},
	{"MLDv2 report", IPFrame(macB, macA, MLDv2Report(llA, SolicitedNode(ip6A))),
		"Ethernet IPv6 IPv6HopByHop ICMPv6 MLDv2MulticastListenerReport", "icmp6 icmp_type=143 ipv6_dst=ff02::16 nw_ttl=1"},
	{"MLDv1 report", IPFrame(macB, macA, MLDv1Report(llA, SolicitedNode(ip6A))),
		"Ethernet IPv6 IPv6HopByHop ICMPv6 MLDv1MulticastListenerReport", "icmp6 icmp_type=131 ipv6_dst=ff02::1:ff00:a"},
	{"NA behind extension headers", IPFrame(macB, macA, IPv6{Src: llA, Dst: llB, Next: ProtoHopByHop, HopLimit: 255}.Packet(
		HopByHop(ProtoDestOpts), DestOpts(ProtoRouting, []byte{1, 5, 0, 0, 0, 0, 0}), Routing(ProtoICMPv6, ip6B),
		ICMPv6(llA, llB, ICMPv6NA, 0, NABody(0, ip6A)))),
		"Ethernet IPv6 IPv6HopByHop IPv6Destination IPv6Routing ICMPv6 ICMPv6NeighborAdvertisement", "icmp6 icmp_type=136 nd_target=2001:db8::a"},
	{"first IPv6 fragment", IPFrame(macB, macA, IPv6{Src: ip6A, Dst: ip6B, Next: ProtoFragment}.Packet(
		FragmentHeader(ProtoUDP, 0, true, 1), make([]byte, 16))), "Ethernet IPv6 IPv6Fragment Fragment", "ipv6_src=2001:db8::a nw_frag=first"},
	{"later IPv6 fragment", IPFrame(macB, macA, IPv6{Src: ip6A, Dst: ip6B, Next: ProtoFragment}.Packet(
		FragmentHeader(ProtoUDP, 2, false, 1), make([]byte, 16))), "Ethernet IPv6 IPv6Fragment Fragment", "ipv6_src=2001:db8::a nw_frag=later"},

	{"DHCPv4 client", DHCPv4Client(macA, DHCPDiscover), "Ethernet IPv4 UDP DHCPv4", "udp nw_src=0.0.0.0 nw_dst=255.255.255.255 tp_src=68 tp_dst=67"},
	{"DHCPv4 server", DHCPv4Server(macA, ip4A, macB, DHCPOffer, ip4B), "Ethernet IPv4 UDP DHCPv4", "udp nw_src=10.0.0.10 nw_dst=10.0.0.11 tp_src=67 tp_dst=68"},
	{"DHCPv6 client", DHCPv6Client(macA, llA), "Ethernet IPv6 UDP DHCPv6", "udp6 ipv6_dst=ff02::1:2 tp_src=546 tp_dst=547"},
	{"DHCPv6 server", DHCPv6Server(macA, llA, macB, llB), "Ethernet IPv6 UDP DHCPv6", "udp6 tp_src=547 tp_dst=546"},
	{"VRRPv2", VRRPv2(7, 100, ip4A, ip4B), "Ethernet IPv4 VRRP", "dl_src=00:00:5e:00:01:07 dl_dst=01:00:5e:00:00:12 nw_proto=112 nw_dst=224.0.0.18 nw_ttl=255"},
	{"VRRPv3 for IPv4", VRRPv3(7, 100, ip4A, ip4B), "Ethernet IPv4 VRRP", "dl_src=00:00:5e:00:01:07 nw_proto=112 nw_ttl=255"},
	{"VRRPv3 for IPv6", VRRPv3(7, 100, llA, llB, ip6B), "Ethernet IPv6 VRRP", "dl_src=00:00:5e:00:02:07 dl_dst=33:33:00:00:00:12 nw_proto=112 ipv6_dst=ff02::12 nw_ttl=255"},

	{"one tag", Tagged(ARPRequest(macA, ip4A, ip4B), VLAN{VID: 5, PCP: 3}), "Ethernet Dot1Q ARP", "arp dl_vlan=5 dl_vlan_pcp=3 arp_spa=10.0.0.10"},
	{"two tags", Tagged(ARPRequest(macA, ip4A, ip4B), VLAN{TPID: TypeSVLAN, VID: 5}, VLAN{VID: 6}), "Ethernet Dot1Q Dot1Q ARP", "dl_vlan=5 dl_type=0x8100"},
	{"SNAP", AsSNAP(ARPRequest(macA, ip4A, ip4B), 0), "Ethernet LLC SNAP ARP", "arp arp_spa=10.0.0.10"},
	{"SNAP of another OUI", SNAP(macB, macA, 0x00000c, 0x2000, []byte("cdp")), "Ethernet LLC SNAP DecodeFailure", "dl_type=0x05ff"},
	{"STP", STP(macA), "Ethernet LLC STP", "dl_dst=01:80:c2:00:00:00 dl_type=0x05ff"},
}

func TestFramesAsParsedByGopacket(t *testing.T) {
	for _, test := range frameTests {
		t.Run(test.name, func(t *testing.T) {
			packet := gopacket.NewPacket(test.frame, layers.LayerTypeEthernet, gopacket.Default)
			var names []string
			for _, layer := range packet.Layers() {
				names = append(names, layer.LayerType().String())
				if upper, ok := layer.(interface {
					SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
				}); ok {
					if err := upper.SetNetworkLayerForChecksum(packet.NetworkLayer()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := strings.Join(names, " "); got != test.layers {
				t.Errorf("layers %s, want %s", got, test.layers)
				if failure := packet.ErrorLayer(); failure != nil {
					t.Errorf("not decoded: %v", failure.Error())
				}
			}
			err, mismatches := packet.VerifyChecksums()
			if err != nil || len(mismatches) > 0 {
				t.Errorf("checksums: %v %v", mismatches, err)
			}
		})
	}
}

func TestFramesAsParsedByTheSwitch(t *testing.T) {
	sw := threePorts(t)
	for _, test := range frameTests {
		t.Run(test.name, func(t *testing.T) {
			trace := sw.MustTrace("br0", 1, test.frame)
			line, _, _ := strings.Cut(trace, "\n")
			fields := "," + strings.TrimPrefix(line, "Flow: ") + ","
			for _, want := range strings.Fields(test.flow) {
				if !strings.Contains(fields, ","+want+",") {
					t.Errorf("%s is missing in %s", want, line)
				}
			}
		})
	}
}

// A trailer, which every frame gets on its way, doesn't change what the
// switch sees.
func TestTrailerChangesNothing(t *testing.T) {
	sw := threePorts(t)
	for _, test := range frameTests {
		t.Run(test.name, func(t *testing.T) {
			marked, _ := Mark(test.frame)
			want, _, _ := strings.Cut(sw.MustTrace("br0", 1, test.frame), "\n")
			got, _, _ := strings.Cut(sw.MustTrace("br0", 1, marked), "\n")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct{ what, got, want string }{
		{"link-local", LinkLocal(MustMAC("00:1b:21:01:02:03")).String(), "fe80::21b:21ff:fe01:203"},
		{"solicited-node", SolicitedNode(netip.MustParseAddr("2001:db8::12:3456")).String(), "ff02::1:ff12:3456"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %s, want %s", test.what, test.got, test.want)
		}
	}
	if got, want := GroupMAC(netip.MustParseAddr("239.129.2.3")), MustMAC("01:00:5e:01:02:03"); got != want {
		t.Errorf("group MAC %x, want %x", got, want)
	}
}
