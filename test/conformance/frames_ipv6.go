package conformance

import (
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/test/lab"
)

// ipv6Frames are about IPv6 sources, extension headers and fragments.
func ipv6Frames() []Frame {
	from := func(src func(v *VIF) netip.Addr) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.udp6(src(v)) }
	}
	fixed := func(s string) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.udp6(netip.MustParseAddr(s)) }
	}
	own := func(v *VIF) []byte { return v.udp6(v.V6.Own) }
	foreign := fromIP().in(Pass, "any")
	pairs := foreign.in(Pass, "pairs")
	// chain is a datagram behind extension headers.
	chain := func(src func(v *VIF) netip.Addr, headers func(v *VIF) []header) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			return v.behind(src(v), v.V6.Peer, headers(v), lab.ProtoUDP, segment(src(v), someoneElse, v.V6.Peer, 9))
		}
	}
	list := func(hs ...header) func(*VIF) []header { return func(*VIF) []header { return hs } }
	ownAddr := func(v *VIF) netip.Addr { return v.V6.Own }
	foreignAddr := func(v *VIF) netip.Addr { return v.V6.Foreign }
	unset := func(*VIF) netip.Addr { return any6 }
	raw := func(protocol uint8, data ...[]byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ip(v.MAC, v.V6.Own, v.V6.Peer, protocol, data...) }
	}
	server := fromARP(DHCPServer).in(Pass, "dhcp-server")
	dhcp := func(headers func(v *VIF) []header) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			return v.behind(v.LinkLocal(), v.V6.Peer, headers(v), lab.ProtoUDP, segment(v.LinkLocal(), dhcp6Server, v.V6.Peer, dhcp6Client))
		}
	}
	return []Frame{
		row("own source, UDP", "RFC 8200", own, pass()),
		row("own source, TCP", "RFC 8200", func(v *VIF) []byte {
			return lab.TCPFrame(v.Peer, v.MAC, netip.AddrPortFrom(v.V6.Own, 1024), netip.AddrPortFrom(v.V6.Peer, 80), lab.FlagSYN)
		}, pass()),
		row("own source, ping", "RFC 4443", func(v *VIF) []byte { return lab.PingFrame(v.Peer, v.MAC, v.V6.Own, v.V6.Peer) }, pass()),
		row("own link-local source", "RFC 4291 appendix A", from((*VIF).LinkLocal), pass()),
		row("own source, ESP", "RFC 4303", raw(protoESP, payload), pass()),
		row("own source, no next header", "RFC 8200 section 4.7", raw(protoNoNext), pass()),
		row("foreign source, UDP", "CVE-2015-8914", from(foreignAddr), foreign),
		row("foreign source, ping", "CVE-2015-8914", func(v *VIF) []byte { return lab.PingFrame(v.Peer, v.MAC, v.V6.Foreign, v.V6.Peer) }, foreign),
		row("foreign link-local source", "CVE-2015-8914", from((*VIF).ForeignLinkLocal), foreign),
		row("link-local source that isn't EUI-64", "RFC 7217", fixed("fe80::1"), foreign),
		row("source of a failover address", "allowed address pair", from(func(v *VIF) netip.Addr { return v.V6.Pair }), pairs),
		row("first address of a prefix", "allowed address pair", from(func(v *VIF) netip.Addr { return v.V6.First }), pairs),
		row("last address of a prefix", "allowed address pair", from(func(v *VIF) netip.Addr { return v.V6.Last }), pairs),
		row("address before a prefix", "near miss", from(func(v *VIF) netip.Addr { return v.V6.Before }), foreign),
		row("own MAC, address of the pair's MAC", "allowed address pair", from(func(v *VIF) netip.Addr { return v.V6.Other }), foreign),
		row("pair's MAC and address", "allowed address pair",
			func(v *VIF) []byte { return v.udp(v.Other, v.V6.Other, v.V6.Peer) }, drop(MAC).in(Pass, "pairs", "mac-pair")),
		row("pair's MAC and link-local address", "RFC 4291 appendix A",
			func(v *VIF) []byte { return v.udp(v.Other, lab.LinkLocal(v.Other), v.V6.Peer) }, drop(MAC).in(Pass, "pairs", "mac-pair")),
		row("loopback source", "RFC 4291 section 2.5.3", fixed("::1"), foreign.in(Pass, "zero")),
		row("IPv4-mapped source", "RFC 4942 section 2.2", fixed("::ffff:198.18.0.10"), foreign.in(Pass, "zero")),
		row("multicast source", "RFC 4291 section 2.7", fixed("ff02::1"), foreign),
		row("source ::, UDP", "RFC 4291 section 2.5.2", from(unset), fromIP()),
		row("source ::, ping", "RFC 4291 section 2.5.2", func(v *VIF) []byte { return lab.PingFrame(v.Peer, v.MAC, any6, v.V6.Peer) }, fromIP()),

		row("behind hop-by-hop options", "RFC 8200", chain(ownAddr, list(hopByHop())), pass()),
		row("behind destination options", "RFC 8200", chain(ownAddr, list(destOpts())), pass()),
		row("behind a routing header", "RFC 8200", chain(ownAddr, func(v *VIF) []header { return []header{routing(v)} }), pass()),
		row("behind all of them", "RFC 8200", chain(ownAddr, func(v *VIF) []header {
			return []header{hopByHop(), destOpts(), routing(v), authentication(), destOpts()}
		}), pass()),
		row("foreign source behind options", "RFC 7113", chain(foreignAddr, list(hopByHop(), destOpts())), foreign),
		row("atomic fragment", "RFC 6946", chain(ownAddr, list(atomic())), pass()),
		row("atomic fragment, foreign source", "RFC 6946", chain(foreignAddr, list(atomic())), foreign),
		row("first fragment", "RFC 8200", chain(ownAddr, list(fragment(0, true))), pass()),
		row("later fragment", "RFC 8200", chain(ownAddr, list(fragment(10, false))), pass()),
		row("first fragment, foreign source", "fragment attack", chain(foreignAddr, list(fragment(0, true))), foreign),
		row("later fragment, foreign source", "fragment attack", chain(foreignAddr, list(fragment(10, true))), foreign),
		row("later fragment, source ::", "fragment attack", chain(unset, list(fragment(10, false))), fromIP()),

		row("DHCPv6 advertise behind hop-by-hop options", "RFC 7610", dhcp(list(hopByHop())), server),
		row("DHCPv6 advertise behind destination options", "RFC 7610", dhcp(list(destOpts(), destOpts())), server),
		row("DHCPv6 advertise behind a routing header", "RFC 7610", dhcp(func(v *VIF) []header { return []header{routing(v)} }), server),
		row("DHCPv6 advertise behind an authentication header", "RFC 7610", dhcp(list(authentication())), server),
		row("DHCPv6 advertise in an atomic fragment", "RFC 7610", dhcp(list(atomic())), server),
		row("DHCPv6 advertise in a first fragment", "RFC 7610", dhcp(list(fragment(0, true))), server),
		row("DHCPv6 advertise in a first fragment behind options", "RFC 7610", dhcp(list(hopByHop(), fragment(0, true), destOpts())), server),
		row("first fragment of UDP without its header", "RFC 7112", func(v *VIF) []byte {
			return v.behind(v.LinkLocal(), v.V6.Peer, []header{fragment(0, true), destOpts()}, lab.ProtoUDP)
		}, fromARP(Malformed)),

		row("cut in the header", "truncated", func(v *VIF) []byte { return cut(own(v), 39) }, unreadable()),
		row("payload length beyond the frame", "the switch sees source ::", func(v *VIF) []byte { return with(own(v), 4, 1400) }, unreadable()),
		row("payload length zero with a jumbo option", "RFC 2675", func(v *VIF) []byte {
			jumbo := lab.HopByHop(lab.ProtoUDP, []byte{0xc2, 4, 0, 1, 0, 0})
			return with(raw(lab.ProtoHopByHop, jumbo, payload)(v), 4, 0)
		}, unreadable()),
		row("options longer than the packet", "RFC 7112", raw(lab.ProtoDestOpts, []byte{lab.ProtoUDP, 9, 0, 0, 0, 0, 0, 0}), unreadable()),
		row("options cut off", "RFC 7112", raw(lab.ProtoHopByHop, []byte{lab.ProtoUDP, 0, 1}), unreadable()),
		row("no options where options should be", "RFC 7112", raw(lab.ProtoDestOpts), unreadable()),
		row("padded to 60 bytes", "IEEE 802.3", func(v *VIF) []byte { return lab.Pad(raw(protoNoNext)(v)) }, pass()),
		row("100 trailing bytes", "receivers ignore them", func(v *VIF) []byte { return trailing(own(v), 100) }, pass()),
		row("300 trailing bytes, foreign source", "receivers ignore them", func(v *VIF) []byte { return trailing(v.udp6(v.V6.Foreign), 300) }, foreign),
		row("ICMPv6 cut to its header", "truncated", raw(lab.ProtoICMPv6, []byte{128, 0, 0, 0}), unreadable()),
		row("ICMPv6 without a header", "truncated", raw(lab.ProtoICMPv6), unreadable()),
	}
}

// mldFrames are about multicast listener reports, which hosts send before they have
// an address.
func mldFrames() []Frame {
	report := func(v *VIF, src, dst netip.Addr, typ uint8) []byte {
		body := slices.Concat(make([]byte, 4), lab.SolicitedNode(v.V6.Own).AsSlice())
		return v.frame(nd{eth: v.MAC, src: src, dst: dst, typ: typ, hops: 1, body: body})
	}
	group := netip.MustParseAddr("ff05::1234")
	return []Frame{
		row("MLDv2 report", "RFC 3810", func(v *VIF) []byte {
			return v.ethernet(mldRouters, lab.MLDv2Report(v.LinkLocal(), lab.SolicitedNode(v.V6.Own)))
		}, pass()),
		row("MLDv2 report from ::", "RFC 3590", func(v *VIF) []byte {
			return v.ethernet(mldRouters, lab.MLDv2Report(any6, lab.SolicitedNode(v.V6.Own)))
		}, pass()),
		row("MLDv1 report", "RFC 2710", func(v *VIF) []byte {
			g := lab.SolicitedNode(v.V6.Own)
			return v.ethernet(g, lab.MLDv1Report(v.LinkLocal(), g))
		}, pass()),
		row("MLDv1 report from ::", "RFC 3590", func(v *VIF) []byte {
			g := lab.SolicitedNode(v.V6.Own)
			return v.ethernet(g, lab.MLDv1Report(any6, g))
		}, pass()),
		row("MLDv2 report from :: without router alert", "RFC 3810",
			func(v *VIF) []byte { return report(v, any6, mldRouters, lab.ICMPv6MLDv2Report) }, pass()),
		row("report from :: beyond the link", "RFC 3590",
			func(v *VIF) []byte { return report(v, any6, group, lab.ICMPv6MLDv1Report) }, fromIP()),
		row("report from :: to a station", "RFC 3590",
			func(v *VIF) []byte { return report(v, any6, v.V6.Peer, lab.ICMPv6MLDv2Report) }, fromIP()),
		row("report from a foreign address", "RFC 3810",
			func(v *VIF) []byte { return report(v, v.ForeignLinkLocal(), mldRouters, lab.ICMPv6MLDv2Report) }, fromIP().in(Pass, "any")),
		row("done", "RFC 2710",
			func(v *VIF) []byte { return report(v, v.LinkLocal(), lab.AllRouters, icmpv6Done) }, pass()),
		row("done from ::", "RFC 3590",
			func(v *VIF) []byte { return report(v, any6, lab.AllRouters, icmpv6Done) }, fromIP()),
		row("query from ::", "querier election",
			func(v *VIF) []byte { return report(v, any6, lab.AllNodes, icmpv6Query) }, fromIP()),
	}
}

// ethernet puts a packet to a destination into a frame with the own MAC.
func (v *VIF) ethernet(dst netip.Addr, packet []byte) []byte {
	return lab.IPFrame(v.to(dst), v.MAC, packet)
}
