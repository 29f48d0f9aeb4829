package conformance

import (
	"net/netip"

	"github.com/vifguard/vifguard/test/lab"
)

// ipv4Frames are about IPv4 sources.
func ipv4Frames() []Frame {
	from := func(src func(v *VIF) netip.Addr) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.udp4(src(v)) }
	}
	fixed := func(s string) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.udp4(netip.MustParseAddr(s)) }
	}
	own := func(v *VIF) []byte { return v.udp4(v.V4.Own) }
	foreign := fromIP().in(Pass, "any")
	pairs := foreign.in(Pass, "pairs")
	frag := func(src func(v *VIF) netip.Addr, offset uint16, more bool) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			data := segment(src(v), someoneElse, v.V4.Peer, 9)[:16]
			return v.fragment4(src(v), v.V4.Peer, offset, more, data)
		}
	}
	ownAddr := func(v *VIF) netip.Addr { return v.V4.Own }
	foreignAddr := func(v *VIF) netip.Addr { return v.V4.Foreign }
	unset := func(*VIF) netip.Addr { return any4 }
	raw := func(protocol uint8) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ip(v.MAC, v.V4.Own, v.V4.Peer, protocol, payload) }
	}
	return []Frame{
		row("own source, UDP", "RFC 791", own, pass()),
		row("own source, TCP", "RFC 791", func(v *VIF) []byte {
			return lab.TCPFrame(v.Peer, v.MAC, netip.AddrPortFrom(v.V4.Own, 1024), netip.AddrPortFrom(v.V4.Peer, 80), lab.FlagSYN)
		}, pass()),
		row("own source, ping", "RFC 792", func(v *VIF) []byte { return lab.PingFrame(v.Peer, v.MAC, v.V4.Own, v.V4.Peer) }, pass()),
		row("own source, IGMP with router alert", "RFC 3376", func(v *VIF) []byte {
			packet := lab.IPv4{Src: v.V4.Own, Dst: allHosts4, Protocol: protoIGMP, TTL: 1, Options: []byte{0x94, 4, 0, 0}}.Packet([]byte{0x16, 0, 0, 0, 224, 0, 0, 1})
			return lab.IPFrame(lab.GroupMAC(allHosts4), v.MAC, packet)
		}, pass()),
		row("own source, GRE", "RFC 2784", raw(protoGRE), pass()),
		row("own source, a foreign packet in a tunnel", "RFC 2003; tunnels aren't looked into", func(v *VIF) []byte {
			return v.ip(v.MAC, v.V4.Own, v.V4.Peer, protoIPIP, v.udp4(v.V4.Foreign)[ethernetBytes:])
		}, pass()),
		row("foreign source, UDP", "BCP 38", from(foreignAddr), foreign),
		row("foreign source, TCP", "BCP 38", func(v *VIF) []byte {
			return lab.TCPFrame(v.Peer, v.MAC, netip.AddrPortFrom(v.V4.Foreign, 1024), netip.AddrPortFrom(v.V4.Peer, 80), lab.FlagSYN)
		}, foreign),
		row("foreign source, ping", "Smurf (CA-1998-01)", func(v *VIF) []byte { return lab.PingFrame(lab.Broadcast, v.MAC, v.V4.Peer, broadcast4) }, foreign),
		row("source of a failover address", "allowed address pair", from(func(v *VIF) netip.Addr { return v.V4.Pair }), pairs),
		row("first address of a prefix", "allowed address pair", from(func(v *VIF) netip.Addr { return v.V4.First }), pairs),
		row("last address of a prefix", "allowed address pair", from(func(v *VIF) netip.Addr { return v.V4.Last }), pairs),
		row("address before a prefix", "near miss", from(func(v *VIF) netip.Addr { return v.V4.Before }), foreign),
		row("address next to the own", "near miss", from(func(v *VIF) netip.Addr { return v.V4.Own.Next() }), foreign),
		row("own MAC, address of the pair's MAC", "allowed address pair", from(func(v *VIF) netip.Addr { return v.V4.Other }), foreign),
		row("own MAC, virtual address", "RFC 9568", from(func(v *VIF) netip.Addr { return v.V4.Virtual }), foreign),
		row("loopback source", "RFC 1122 section 3.2.1.3", fixed("127.0.0.1"), foreign),
		row("link-local source", "RFC 3927", fixed("169.254.1.1"), foreign),
		row("broadcast source", "RFC 1122 section 3.2.1.3", fixed("255.255.255.255"), foreign),
		row("multicast source", "RFC 1122 section 3.2.1.3", fixed("224.0.0.1"), foreign),
		row("source 0.0.0.0, UDP", "RFC 1122 section 3.2.1.3", from(unset), fromIP()),
		row("source 0.0.0.0, ping", "RFC 1122 section 3.2.1.3", func(v *VIF) []byte { return lab.PingFrame(v.Peer, v.MAC, any4, v.V4.Peer) }, fromIP()),

		row("own source, first fragment", "RFC 791", frag(ownAddr, 0, true), pass()),
		row("own source, middle fragment", "RFC 791", frag(ownAddr, 2, true), pass()),
		row("own source, last fragment", "RFC 791", frag(ownAddr, 4, false), pass()),
		row("foreign source, first fragment", "fragment attack", frag(foreignAddr, 0, true), foreign),
		row("foreign source, last fragment", "fragment attack", frag(foreignAddr, 4, false), foreign),
		row("source 0.0.0.0, last fragment", "fragment attack", frag(unset, 4, false), fromIP()),
		row("source 0.0.0.0, last fragment to everybody", "fragment attack", func(v *VIF) []byte {
			return v.fragment4(any4, broadcast4, 4, false, payload)
		}, fromIP()),

		row("header length 4 words", "the switch sees protocol 0 and source 0.0.0.0", func(v *VIF) []byte { return with(own(v), 0, 0x4400) }, fromARP(Malformed)),
		row("header length 0", "the switch sees protocol 0 and source 0.0.0.0", func(v *VIF) []byte { return with(own(v), 0, 0x4000) }, fromARP(Malformed)),
		row("header longer than the frame", "the switch sees protocol 0 and source 0.0.0.0", func(v *VIF) []byte { return with(own(v), 0, 0x4f00) }, fromARP(Malformed)),
		row("header length 4 words, foreign source", "the switch sees protocol 0 and source 0.0.0.0", func(v *VIF) []byte { return with(v.udp4(v.V4.Foreign), 0, 0x4400) }, fromARP(Malformed)),
		row("total length beyond the frame", "the switch sees protocol 0 and source 0.0.0.0", func(v *VIF) []byte { return with(own(v), 2, 1400) }, fromARP(Malformed)),
		row("total length less than the header", "the switch sees protocol 0 and source 0.0.0.0", func(v *VIF) []byte { return with(own(v), 2, 19) }, fromARP(Malformed)),
		row("total length zero", "segmentation offload", func(v *VIF) []byte { return with(own(v), 2, 0) }, fromARP(Malformed)),
		row("cut in the header", "truncated", func(v *VIF) []byte { return cut(own(v), 19) }, fromARP(Malformed)),
		row("cut after the header", "truncated", func(v *VIF) []byte { return cut(own(v), 20) }, fromARP(Malformed)),
		row("padded to 60 bytes", "IEEE 802.3", func(v *VIF) []byte { return lab.Pad(own(v)) }, pass()),
		row("300 trailing bytes", "receivers ignore them", func(v *VIF) []byte { return trailing(own(v), 300) }, pass()),
		row("300 trailing bytes, foreign source", "receivers ignore them", func(v *VIF) []byte {
			return trailing(v.udp4(v.V4.Foreign), 300)
		}, foreign),
		row("loose source route, own source", "RFC 7126", func(v *VIF) []byte {
			options := []byte{131, 7, 4, 198, 18, v.N, 77, 0}
			packet := lab.IPv4{Src: v.V4.Own, Dst: v.V4.Peer, Protocol: lab.ProtoUDP, Options: options}.Packet(payload)
			return lab.IPFrame(v.Peer, v.MAC, packet)
		}, pass()),
	}
}

// igmpFrames are about reports of multicast groups, which hosts send before they have an
// address.
func igmpFrames() []Frame {
	routers := netip.MustParseAddr("224.0.0.22")
	message := func(src func(v *VIF) netip.Addr, dst netip.Addr, data ...byte) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			packet := lab.IPv4{Src: src(v), Dst: dst, Protocol: protoIGMP, TTL: 1, Options: []byte{0x94, 4, 0, 0}}.Packet(data)
			return lab.IPFrame(v.to(dst), v.MAC, packet)
		}
	}
	unset := func(*VIF) netip.Addr { return any4 }
	own := func(v *VIF) netip.Addr { return v.V4.Own }
	foreign := func(v *VIF) netip.Addr { return v.V4.Foreign }
	v3 := []byte{0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 2, 3} // one group, changed to exclude nothing
	const source, unseen = "RFC 3376 section 4.2.13", "the switch can't match the type of an IGMP message. " +
		"The query claims no address, and one from the own address passes in any case"
	return []Frame{
		row("IGMPv3 report", "RFC 3376", message(own, routers, v3...), pass()),
		row("IGMPv3 report from 0.0.0.0", source, message(unset, routers, v3...), pass()),
		row("IGMPv3 report from a foreign address", source, message(foreign, routers, v3...), fromIP().in(Pass, "any")),
		row("IGMPv3 report from 0.0.0.0 to all hosts", source, message(unset, allHosts4, v3...), fromIP()),
		row("IGMPv3 report from 0.0.0.0 to a station", source, func(v *VIF) []byte { return message(unset, v.V4.Peer, v3...)(v) }, fromIP()),
		row("IGMPv3 report from 0.0.0.0 with a pair's MAC", source, func(v *VIF) []byte {
			packet := lab.IPv4{Src: any4, Dst: routers, Protocol: protoIGMP, TTL: 1}.Packet(v3)
			return lab.IPFrame(lab.GroupMAC(routers), v.Other, packet)
		}, drop(MAC).in(Pass, "pairs", "mac-pair")),
		row("IGMPv3 report from 0.0.0.0 with a foreign MAC", source, func(v *VIF) []byte {
			packet := lab.IPv4{Src: any4, Dst: routers, Protocol: protoIGMP, TTL: 1}.Packet(v3)
			return lab.IPFrame(lab.GroupMAC(routers), v.Foreign, packet)
		}, drop(MAC)),
		row("UDP from 0.0.0.0 to the group of reports", source, func(v *VIF) []byte {
			return v.ports(v.MAC, any4, someoneElse, routers, 9)
		}, fromIP()),
		row("IGMPv2 report from 0.0.0.0", "RFC 2236: to the group itself", message(unset, netip.MustParseAddr("239.1.2.3"), 0x16, 0, 0, 0, 239, 1, 2, 3), fromIP()),
		row("IGMP query from 0.0.0.0", "querier election", message(unset, allHosts4, 0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0), fromIP()),
		row("IGMP query from 0.0.0.0 to the group of reports", "querier election", message(unset, routers, 0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0), fromIP()).
			limited(unseen, pass()),
	}
}
