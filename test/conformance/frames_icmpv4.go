package conformance

import (
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/test/lab"
)

// ICMP types (RFC 792, RFC 1256).
const (
	icmpReply         = 0
	icmpUnreachable   = 3
	icmpRedirect      = 5
	icmpRequest       = 8
	icmpAdvertisement = 9
	icmpSolicitation  = 10
)

// icmp4 is an ICMP message of a type and a code, without a checksum that is right: nobody
// on the way looks at it.
func icmp4(typ, code uint8, body []byte) []byte {
	return slices.Concat([]byte{typ, code, 0, 0}, body)
}

// icmp4Frames are about the messages by which IPv4 routers say where to send, and those
// that look like them.
func icmp4Frames() []Frame {
	own := func(v *VIF) netip.Addr { return v.V4.Own }
	foreign := func(v *VIF) netip.Addr { return v.V4.Foreign }
	from := func(src func(v *VIF) netip.Addr, typ, code uint8) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			rest := v.udp(v.Peer, v.V4.Peer, v.V4.Own)[ethernetBytes:][:28]
			return v.ip(v.MAC, src(v), v.V4.Peer, lab.ProtoICMPv4, icmp4(typ, code, slices.Concat(v.V4.Own.AsSlice(), rest)))
		}
	}
	fragment := func(src func(v *VIF) netip.Addr, offset uint16, more bool, data []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			packet := lab.IPv4{Src: src(v), Dst: v.V4.Peer, Protocol: lab.ProtoICMPv4, ID: 7, Offset: offset, More: more}.Packet(data)
			return lab.IPFrame(v.Peer, v.MAC, packet)
		}
	}
	withOptions := func(typ uint8) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			packet := lab.IPv4{Src: v.V4.Own, Dst: v.V4.Peer, Protocol: lab.ProtoICMPv4, Options: []byte{0x94, 4, 0, 0}}.Packet(icmp4(typ, 1, make([]byte, 32)))
			return lab.IPFrame(v.Peer, v.MAC, packet)
		}
	}
	router := fromARP(Router).in(Pass, "router")
	elsewhere := fromARP(Router).in(IP, "router")
	const attack = "ICMP redirect attack (CVE-1999-0265)"
	return []Frame{
		row("redirect", attack, from(own, icmpRedirect, 1), router),
		row("redirect for a network", attack, from(own, icmpRedirect, 0), router),
		row("redirect of an unknown code", attack, from(own, icmpRedirect, 255), router),
		row("redirect from the gateway's address", attack, from(func(v *VIF) netip.Addr { return v.V4.Peer }, icmpRedirect, 1), elsewhere.in(Router, "any")),
		row("redirect from a foreign address", attack, from(foreign, icmpRedirect, 1), elsewhere.in(Router, "any")),
		row("redirect from 0.0.0.0", attack, from(func(*VIF) netip.Addr { return any4 }, icmpRedirect, 1), elsewhere),
		row("redirect to everybody", attack, func(v *VIF) []byte {
			return v.ip(v.MAC, v.V4.Own, broadcast4, lab.ProtoICMPv4, icmp4(icmpRedirect, 1, make([]byte, 32)))
		}, router),
		row("redirect from a foreign MAC", attack, func(v *VIF) []byte {
			return v.ip(v.Foreign, v.V4.Own, v.V4.Peer, lab.ProtoICMPv4, icmp4(icmpRedirect, 1, make([]byte, 32)))
		}, drop(MAC)),
		row("redirect with IP options", "RFC 791", withOptions(icmpRedirect), router),
		row("redirect of 8 bytes", "truncated; receivers discard it", func(v *VIF) []byte {
			return v.ip(v.MAC, v.V4.Own, v.V4.Peer, lab.ProtoICMPv4, icmp4(icmpRedirect, 1, make([]byte, 4)))
		}, router),
		row("redirect of 7 bytes", "truncated; receivers discard it", func(v *VIF) []byte {
			return v.ip(v.MAC, v.V4.Own, v.V4.Peer, lab.ProtoICMPv4, icmp4(icmpRedirect, 1, make([]byte, 3)))
		}, pass()),
		row("redirect in a first fragment", "fragment attack on guards", fragment(own, 0, true, icmp4(icmpRedirect, 1, make([]byte, 28))), router),
		row("redirect in a first fragment of 8 bytes", "RFC 1858", fragment(own, 0, true, icmp4(icmpRedirect, 1, make([]byte, 4))), router),
		row("redirect in a first fragment of 4 bytes", "RFC 1858; receivers discard fragments that aren't multiples of 8", fragment(own, 0, true, icmp4(icmpRedirect, 1, nil)), pass()),
		row("redirect in a last fragment", "RFC 791; useless without the first", fragment(own, 1, false, icmp4(icmpRedirect, 1, make([]byte, 28))), pass()),
		row("redirect in a first fragment, foreign source", "fragment attack on guards", fragment(foreign, 0, true, icmp4(icmpRedirect, 1, make([]byte, 28))), elsewhere.in(Router, "any")),
		row("redirect in a priority tag", "CVE-2021-27853", func(v *VIF) []byte {
			return lab.Tagged(from(own, icmpRedirect, 1)(v), lab.VLAN{})
		}, drop(VLAN).in(Pass, "mac-trunk").in(Router, "priority-tag", "vlan-trunk")),
		row("SNAP, redirect", "CVE-2021-27853", func(v *VIF) []byte { return lab.AsSNAP(from(own, icmpRedirect, 1)(v), 0) }, router),
		row("ICMPv6 redirect in IPv4", "not a redirect there", func(v *VIF) []byte {
			return v.ip(v.MAC, v.V4.Own, v.V4.Peer, lab.ProtoICMPv6, icmp4(lab.ICMPv6Redirect, 0, make([]byte, 36)))
		}, pass()),
		row("ICMP redirect in IPv6", "not a redirect there", func(v *VIF) []byte {
			return v.ip(v.MAC, v.V6.Own, v.V6.Peer, lab.ProtoICMPv4, icmp4(icmpRedirect, 1, make([]byte, 32)))
		}, pass()),
		row("router advertisement", "RFC 1256", from(own, icmpAdvertisement, 0), router),
		row("router advertisement to all hosts", "RFC 1256 section 4.1", func(v *VIF) []byte {
			return v.ip(v.MAC, v.V4.Own, allHosts4, lab.ProtoICMPv4, icmp4(icmpAdvertisement, 0, make([]byte, 12)))
		}, router),
		row("mobile agent advertisement", "RFC 5944 section 2.1", from(own, icmpAdvertisement, 16), router),
		row("router advertisement in a first fragment", "fragment attack on guards", fragment(own, 0, true, icmp4(icmpAdvertisement, 0, make([]byte, 12))), router),
		row("router solicitation", "RFC 1256", from(own, icmpSolicitation, 0), pass()),
		row("unreachable", "RFC 792", from(own, icmpUnreachable, 4), pass()),
		row("echo reply", "RFC 792", from(own, icmpReply, 0), pass()),
		row("echo request", "RFC 792", from(own, icmpRequest, 0), pass()),
		row("type next to redirect's", "near miss", from(own, 4, 1), pass()),
		row("long echo reply, first fragment", "RFC 791", fragment(own, 0, true, icmp4(icmpReply, 0, make([]byte, 988))), pass()),
		row("long echo reply, last fragment", "RFC 791", fragment(own, 124, false, make([]byte, 20)), pass()),
	}
}
