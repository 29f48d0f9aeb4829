package conformance

import (
	"net/netip"

	"github.com/vifguard/vifguard/test/lab"
)

// vrrpFrames are about virtual router MACs: the three legitimate shapes of RFC 9568,
// and what else could be sent from such a MAC. Without the pair it is a foreign one.
func vrrpFrames() []Frame {
	ok := drop(MAC).in(Pass, "vrrp")
	refused := func(reason string) Verdicts { return drop(MAC).in(reason, "vrrp") }
	ordinary := drop(MAC).in(IP, "pairs").in(Pass, "mac-pair")
	vmac4 := func(protocol uint8, src, dst func(v *VIF) netip.Addr) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ip(v.VMAC4, src(v), dst(v), protocol, payload) }
	}
	own4 := func(v *VIF) netip.Addr { return v.V4.Own }
	peer4 := func(v *VIF) netip.Addr { return v.V4.Peer }
	group4 := func(*VIF) netip.Addr { return lab.VRRPGroup4 }
	advert6 := func(eth lab.MAC, src, dst netip.Addr, v *VIF) []byte {
		return v.ip(eth, src, dst, lab.ProtoVRRP, payload)
	}
	const shape1, shape2, shape3 = "RFC 9568 section 7.3", "RFC 9568 section 8.1.2", "RFC 9568 section 7.2"
	return []Frame{
		row("ARP announcement from the virtual MAC", shape1,
			func(v *VIF) []byte { return v.arp(request, v.VMAC4, v.V4.Virtual, v.V4.Virtual) }, ok),
		row("ARP reply from the virtual MAC", shape1,
			func(v *VIF) []byte { return lab.ARPReply(v.VMAC4, v.V4.Virtual, v.Peer, v.V4.Peer) }, ok),
		row("ARP probe from the virtual MAC", "RFC 5227",
			func(v *VIF) []byte { return v.arp(request, v.VMAC4, any4, v.V4.Virtual) }, ok),
		row("ARP announcement from the own MAC", shape2,
			func(v *VIF) []byte { return v.arpFrom(v.MAC, request, v.VMAC4, v.V4.Virtual, v.V4.Virtual) }, ok),
		row("ARP reply from the own MAC", shape2,
			func(v *VIF) []byte { return v.arpFrom(v.MAC, reply, v.VMAC4, v.V4.Virtual, v.V4.Peer) }, ok),
		row("VRRPv2 advertisement", "RFC 3768",
			func(v *VIF) []byte { return lab.VRRPv2(v.N, 100, v.V4.Own, v.V4.Virtual) }, ok),
		row("VRRPv3 advertisement, IPv4", shape3,
			func(v *VIF) []byte { return lab.VRRPv3(v.N, 100, v.V4.Own, v.V4.Virtual) }, ok),
		row("VRRPv3 advertisement, IPv6", shape3,
			func(v *VIF) []byte { return lab.VRRPv3(v.N, 100, v.LinkLocal(), v.V6.Virtual) }, ok),
		row("VRRP advertisement from the own MAC", "keepalived without use_vmac",
			func(v *VIF) []byte { return v.ip(v.MAC, v.V4.Own, lab.VRRPGroup4, lab.ProtoVRRP, payload) }, pass()),
		row("NA from the virtual MAC and address", shape1, func(v *VIF) []byte {
			return v.na(v.VMAC6, v.V6.Virtual, v.V6.Virtual, lab.TargetLL(v.VMAC6))
		}, ok),
		row("NA from the virtual MAC and its link-local address", shape1, func(v *VIF) []byte {
			return v.na(v.VMAC6, lab.LinkLocal(v.VMAC6), v.V6.Virtual, lab.TargetLL(v.VMAC6))
		}, ok),
		row("NA from the own MAC for the virtual one", shape2, func(v *VIF) []byte {
			return v.na(v.MAC, v.LinkLocal(), v.V6.Virtual, lab.TargetLL(v.VMAC6))
		}, ok),
		row("NA from the own MAC and the virtual address for the virtual one", "keepalived without use_vmac", func(v *VIF) []byte {
			return v.na(v.MAC, v.V6.Virtual, v.V6.Virtual, lab.TargetLL(v.VMAC6))
		}, ok),
		row("DAD for the virtual address", "RFC 4862",
			func(v *VIF) []byte { return v.dad(v.VMAC6, v.V6.Virtual) }, ok),
		row("DAD for the virtual MAC's link-local address", "RFC 4862",
			func(v *VIF) []byte { return v.dad(v.VMAC6, lab.LinkLocal(v.VMAC6)) }, ok),
		row("data from the virtual MAC and address", "the virtual router forwards",
			func(v *VIF) []byte { return v.udp(v.VMAC4, v.V4.Virtual, v.V4.Peer) }, ok),
		row("RARP announcement of the virtual MAC", "QEMU announcement",
			func(v *VIF) []byte { return lab.RARPAnnounce(v.VMAC4) }, ok),

		row("another router's MAC, advertisement", "virtual router stealing",
			func(v *VIF) []byte { return lab.VRRPv3(v.N+100, 255, v.V4.Own, v.V4.Virtual) }, drop(MAC)),
		row("another router's MAC inside ARP", "virtual router stealing", func(v *VIF) []byte {
			return v.arpFrom(v.MAC, request, lab.VirtualMAC(v.N+100, false), v.V4.Virtual, v.V4.Virtual)
		}, drop(MAC)),
		row("MAC next to the virtual range", "near miss", func(v *VIF) []byte {
			return v.arp(request, lab.MAC{0, 0, 0x5e, 0, 3, v.N}, v.V4.Virtual, v.V4.Virtual)
		}, drop(MAC)),
		row("data from the virtual MAC and the own address", "only advertisements may",
			vmac4(lab.ProtoUDP, own4, peer4), refused(IP)),
		row("UDP to the VRRP group from the virtual MAC", "only advertisements may",
			vmac4(lab.ProtoUDP, own4, group4), refused(IP)),
		row("OSPF to the VRRP group from the virtual MAC", "only advertisements may",
			vmac4(protoOSPF, own4, group4), refused(IP)),
		row("VRRP to a station from the virtual MAC", "only advertisements may",
			vmac4(lab.ProtoVRRP, own4, peer4), refused(IP)),
		row("VRRP to another group from the virtual MAC", "only advertisements may",
			vmac4(lab.ProtoVRRP, own4, func(*VIF) netip.Addr { return allHosts4 }), refused(IP)),
		row("advertisement with a foreign source", "virtual router stealing",
			vmac4(lab.ProtoVRRP, func(v *VIF) netip.Addr { return v.V4.Foreign }, group4), refused(IP)),
		row("IPv6 advertisement with a foreign source", "virtual router stealing",
			func(v *VIF) []byte { return advert6(v.VMAC6, v.ForeignLinkLocal(), lab.VRRPGroup6, v) }, refused(IP)),
		row("IPv6 advertisement to all nodes", "only advertisements may",
			func(v *VIF) []byte { return advert6(v.VMAC6, v.LinkLocal(), lab.AllNodes, v) }, refused(IP)),
		row("data from the IPv6 virtual MAC and the own address", "only advertisements may",
			func(v *VIF) []byte { return v.udp(v.VMAC6, v.LinkLocal(), v.V6.Peer) }, refused(IP)),
		row("advertisement from a pair's MAC that isn't virtual, own source", "only virtual MACs may",
			func(v *VIF) []byte { return v.ip(v.Other, v.V4.Own, lab.VRRPGroup4, lab.ProtoVRRP, payload) }, ordinary),
		row("IPv6 advertisement from a pair's MAC that isn't virtual, own source", "only virtual MACs may",
			func(v *VIF) []byte { return advert6(v.Other, v.LinkLocal(), lab.VRRPGroup6, v) }, ordinary),
		row("ARP: virtual Ethernet source, own sender", "not a VRRP shape",
			func(v *VIF) []byte { return v.arpFrom(v.VMAC4, request, v.MAC, v.V4.Own, v.V4.Peer) }, refused(ARP)),
		row("ARP: the virtual MAC claims the own address", "not a VRRP shape",
			func(v *VIF) []byte { return v.arp(request, v.VMAC4, v.V4.Own, v.V4.Own) }, refused(ARP)),
		row("ARP: own Ethernet source, virtual sender, own address", "not a VRRP shape",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, request, v.VMAC4, v.V4.Own, v.V4.Own) }, refused(ARP)),
		row("ARP: own Ethernet source, virtual sender, foreign address", "ARP poisoning",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, reply, v.VMAC4, v.V4.Foreign, v.V4.Peer) }, refused(ARP)),
		row("ARP: the own MAC claims the virtual address", "not a VRRP shape",
			func(v *VIF) []byte { return v.arp(request, v.MAC, v.V4.Virtual, v.V4.Virtual) }, fromARP(ARP)),
		row("ARP: IPv6 virtual sender, IPv4 virtual address", "near miss",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, reply, v.VMAC6, v.V4.Virtual, v.V4.Peer) }, refused(ARP)),
		row("NA: the virtual MAC's option for the own address", "not a VRRP shape", func(v *VIF) []byte {
			return v.na(v.MAC, v.LinkLocal(), v.V6.Own, lab.TargetLL(v.VMAC6))
		}, refused(ND)),
		row("NA: the virtual MAC's option for a foreign address", "ND poisoning", func(v *VIF) []byte {
			return v.na(v.MAC, v.LinkLocal(), v.V6.Foreign, lab.TargetLL(v.VMAC6))
		}, refused(ND)),
		row("NA: the IPv4 virtual MAC's option for the IPv6 virtual address", "the address is another MAC's", func(v *VIF) []byte {
			return v.na(v.MAC, v.LinkLocal(), v.V6.Virtual, lab.TargetLL(v.VMAC4))
		}, refused(ND)),
		row("NA: a virtual MAC's option for the other one's link-local address", "the address is another MAC's", func(v *VIF) []byte {
			return v.na(v.MAC, v.LinkLocal(), lab.LinkLocal(v.VMAC4), lab.TargetLL(v.VMAC6))
		}, refused(ND)),
		row("NA: a virtual MAC's option, the other one's link-local address as the source", "found by the fuzzer", func(v *VIF) []byte {
			return v.na(v.MAC, lab.LinkLocal(v.VMAC4), v.V6.Virtual, lab.TargetLL(v.VMAC6))
		}, refused(ND)),
		row("NA: a virtual MAC as the Ethernet source, another one's option", "the address is another MAC's", func(v *VIF) []byte {
			return v.na(v.VMAC6, v.V6.Virtual, v.V6.Virtual, lab.TargetLL(v.VMAC4))
		}, refused(ND)),
		row("NA: virtual Ethernet source, own source address", "not a VRRP shape", func(v *VIF) []byte {
			return v.na(v.VMAC6, v.LinkLocal(), v.V6.Virtual, lab.TargetLL(v.VMAC6))
		}, refused(ND)),
		row("NA: own Ethernet source, foreign source address", "ND poisoning", func(v *VIF) []byte {
			return v.na(v.MAC, v.ForeignLinkLocal(), v.V6.Virtual, lab.TargetLL(v.VMAC6))
		}, refused(ND)),
		row("NA: the own MAC and the virtual source for the own address", "not a VRRP shape", func(v *VIF) []byte {
			return v.na(v.MAC, v.V6.Virtual, v.V6.Own, lab.TargetLL(v.MAC))
		}, fromARP(ND)),
		row("data from the own MAC and the virtual IPv6 address", "not a VRRP shape",
			func(v *VIF) []byte { return v.udp6(v.V6.Virtual) }, fromIP().in(Pass, "any")),
		row("NA: the own MAC claims the virtual address", "not a VRRP shape", func(v *VIF) []byte {
			return v.na(v.MAC, v.LinkLocal(), v.V6.Virtual, lab.TargetLL(v.MAC))
		}, fromARP(ND)),
		row("NS from the own MAC and the virtual address for the virtual one", shape2,
			func(v *VIF) []byte { return v.ns(v.V6.Virtual, lab.SourceLL(v.VMAC6)) }, ok),
		row("NS from the own MAC and the virtual one's link-local address", shape2,
			func(v *VIF) []byte { return v.ns(lab.LinkLocal(v.VMAC6), lab.SourceLL(v.VMAC6)) }, ok),
		row("NS from the virtual MAC and address", shape1,
			func(v *VIF) []byte { return v.nsFrom(v.VMAC6, v.V6.Virtual, v.V6.Peer, lab.SourceLL(v.VMAC6)) }, ok),
		row("NS from the virtual MAC and address without an option", shape1,
			func(v *VIF) []byte { return v.nsFrom(v.VMAC6, v.V6.Virtual, v.V6.Peer) }, ok),
		row("NS: own Ethernet source, virtual option, own address", "not a VRRP shape",
			func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.VMAC6)) }, refused(ND)),
		row("NS: own Ethernet source, virtual option, own link-local address", "not a VRRP shape",
			func(v *VIF) []byte { return v.ns(v.LinkLocal(), lab.SourceLL(v.VMAC6)) }, refused(ND)),
		row("NS: own Ethernet source, virtual option, foreign address", "ND poisoning",
			func(v *VIF) []byte { return v.ns(v.V6.Foreign, lab.SourceLL(v.VMAC6)) }, refused(ND)),
		row("NS: own Ethernet source, virtual option of IPv4, virtual address of IPv6", "the address is another MAC's",
			func(v *VIF) []byte { return v.ns(v.V6.Virtual, lab.SourceLL(v.VMAC4)) }, refused(ND)),
		row("NS: own Ethernet source, another virtual one's link-local address", "the address is another MAC's",
			func(v *VIF) []byte { return v.ns(lab.LinkLocal(v.VMAC4), lab.SourceLL(v.VMAC6)) }, refused(ND)),
		row("NS: virtual Ethernet source, own option", "not a VRRP shape",
			func(v *VIF) []byte { return v.nsFrom(v.VMAC6, v.V6.Virtual, v.V6.Peer, lab.SourceLL(v.MAC)) }, refused(ND)),
		row("NS: virtual Ethernet source, another virtual option", "not a VRRP shape",
			func(v *VIF) []byte { return v.nsFrom(v.VMAC6, v.V6.Virtual, v.V6.Peer, lab.SourceLL(v.VMAC4)) }, refused(ND)),
		row("NS: the own MAC claims the virtual address", "not a VRRP shape",
			func(v *VIF) []byte { return v.ns(v.V6.Virtual, lab.SourceLL(v.MAC)) }, fromARP(ND)),
		row("NS: own Ethernet source, another router's option", "virtual router stealing",
			func(v *VIF) []byte { return v.ns(v.V6.Virtual, lab.SourceLL(lab.VirtualMAC(v.N+100, true))) }, drop(MAC)),
		row("NS: own Ethernet source, virtual option and address, a nonce", "RFC 3971; the switch doesn't see it", func(v *VIF) []byte {
			return v.ns(v.V6.Virtual, lab.SourceLL(v.VMAC6), lab.NDOption(optionNonce, payload[:6]))
		}, refused(Malformed)),
		row("DAD from the own MAC with the virtual option", "RFC 4861 section 7.1.1",
			func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Virtual, lab.SourceLL(v.VMAC6)) }, refused(ND)),
		row("DAD from the own MAC for the virtual address", "not a VRRP shape",
			func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Virtual) }, fromARP(ND)),
		row("VRRP advertisement in a first fragment from the virtual MAC", "RFC 791", func(v *VIF) []byte {
			packet := lab.IPv4{Src: v.V4.Own, Dst: lab.VRRPGroup4, Protocol: lab.ProtoVRRP, ID: 7, More: true}.Packet(make([]byte, 16))
			return lab.IPFrame(lab.GroupMAC(lab.VRRPGroup4), v.VMAC4, packet)
		}, ok),
		row("RA from the virtual MAC", "virtual router stealing", func(v *VIF) []byte {
			return v.frame(nd{eth: v.VMAC6, src: lab.LinkLocal(v.VMAC6), dst: lab.AllNodes, typ: lab.ICMPv6RA, body: lab.RABody(lab.SourceLL(v.VMAC6))})
		}, refused(Router)),
	}
}
