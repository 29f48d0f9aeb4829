package conformance

import (
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/test/lab"
)

// unreadableFrames are packets that end, by the length in their IP header, before the
// header that a guard looks at. What follows in the frame the kernel's datapath reads
// nevertheless: a switch that let one pass would let pass, unseen, all packets that really
// have that header.
func unreadableFrames() []Frame {
	const (
		behind = "the kernel's datapath reads on behind the packet's end"
		zero   = "RFC 6335 section 6: port 0 is reserved; the switch shows it for ports that it can't read"
	)
	// ends cuts a packet off by the length in its header, and leaves the frame as it is.
	ends4 := func(inner func(v *VIF) []byte, total uint16) func(v *VIF) []byte {
		return func(v *VIF) []byte { return with(inner(v), 2, total) }
	}
	ends6 := func(inner func(v *VIF) []byte, length uint16) func(v *VIF) []byte {
		return func(v *VIF) []byte { return with(inner(v), 4, length) }
	}
	raw := func(src func(v *VIF) netip.Addr, protocol uint8) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ip(v.MAC, src(v), v.V4.Peer, protocol, payload) }
	}
	own4 := func(v *VIF) netip.Addr { return v.V4.Own }
	foreign4 := func(v *VIF) netip.Addr { return v.V4.Foreign }
	fragment4 := func(protocol uint8, offset uint16, more bool) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			packet := lab.IPv4{Src: v.V4.Own, Dst: v.V4.Peer, Protocol: protocol, ID: 7, Offset: offset, More: more}.Packet(make([]byte, 16))
			return lab.IPFrame(v.Peer, v.MAC, packet)
		}
	}
	ports4 := func(sport, dport uint16) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ports(v.MAC, v.V4.Own, sport, v.V4.Peer, dport) }
	}
	ports6 := func(sport, dport uint16) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ports(v.MAC, v.V6.Own, sport, v.V6.Peer, dport) }
	}
	offer4, offer6 := ports4(dhcp4Server, dhcp4Client), ports6(dhcp6Server, dhcp6Client)
	message := func(typ uint8, body func(v *VIF) []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			return v.frame(nd{eth: v.MAC, src: v.LinkLocal(), dst: lab.AllNodes, typ: typ, body: body(v)})
		}
	}
	malformed := fromARP(Malformed)
	return []Frame{
		row("IPv4 of protocol 0", "RFC 8200: hop-by-hop options are for IPv6", raw(own4, 0), malformed),
		row("IPv4 of protocol 0, foreign source", "the switch shows protocol 0 for what it can't read", raw(foreign4, 0), malformed),
		row("IPv4 of protocol 0, first fragment", "the switch shows protocol 0 for what it can't read", fragment4(0, 0, true), malformed),
		row("IPv4 of protocol 0, last fragment", "the switch shows protocol 0 for what it can't read", fragment4(0, 2, false), malformed),
		row("IPv4 of protocol 1 in a last fragment", "RFC 791", fragment4(1, 2, false), pass()),
		row("IPv4 of protocol 255", "RFC 790", raw(own4, 255), pass()),
		row("IPv4 UDP, total length 1400 in a short frame", behind, ends4(ports4(someoneElse, 9), 1400), malformed),
		row("IPv4 UDP, total length 19", behind, ends4(ports4(someoneElse, 9), 19), malformed),
		row("DHCP offer, total length 19", behind, ends4(offer4, 19), malformed),
		row("DHCP offer behind the packet's end", behind, ends4(offer4, 20), malformed),
		row("DHCP offer, half a port in the packet", behind, ends4(offer4, 21), malformed),
		row("DHCP offer, the ports alone in the packet", behind, ends4(offer4, 24), malformed),
		row("DHCP offer, all but a byte of its header in the packet", behind, ends4(offer4, 27), malformed),
		row("DHCP offer, its header alone in the packet", "clients look at the ports", ends4(offer4, 28), fromARP(DHCPServer).in(Pass, "dhcp-server")),
		row("UDP without its header", "RFC 768", ends4(func(v *VIF) []byte { return cut(offer4(v), 20) }, 20), malformed),
		row("UDP without a payload", "RFC 768", ends4(func(v *VIF) []byte { return cut(ports4(someoneElse, 9)(v), 28) }, 28), pass()),
		row("UDP from port 0 to port 0", zero, ports4(0, 0), malformed),
		row("UDP from port 0 to port 0, foreign source", zero, func(v *VIF) []byte { return v.ports(v.MAC, v.V4.Foreign, 0, v.V4.Peer, 0) }, malformed),
		row("UDP from port 0", "RFC 768: a source port is optional", ports4(0, 9), pass()),
		row("UDP to port 0", "RFC 6335 section 6; harmless", ports4(someoneElse, 0), pass()),
		row("UDP, last fragment", "it has no header, and the switch shows port 0", fragment4(lab.ProtoUDP, 2, false), pass()),
		row("UDP to port 0 in a first fragment", zero, fragment4(lab.ProtoUDP, 0, true), malformed),
		row("discover behind the packet's end", behind, ends4(func(v *VIF) []byte { return lab.DHCPv4Client(v.MAC, lab.DHCPDiscover) }, 20), malformed),
		row("TCP behind the packet's end", "no guard looks at it", ends4(func(v *VIF) []byte {
			return lab.TCPFrame(v.Peer, v.MAC, netip.AddrPortFrom(v.V4.Own, 1024), netip.AddrPortFrom(v.V4.Peer, 80), lab.FlagSYN)
		}, 20), pass()),

		row("DHCPv6 advertise behind the packet's end", behind, ends6(offer6, 0), malformed),
		row("DHCPv6 advertise, the ports alone in the packet", behind, ends6(offer6, 4), malformed),
		row("DHCPv6 advertise, its header alone in the packet", "clients look at the ports", ends6(offer6, 8), fromARP(DHCPServer).in(Pass, "dhcp-server")),
		row("IPv6 UDP from port 0 to port 0", zero, ports6(0, 0), malformed),
		row("IPv6 UDP from port 0", "RFC 768", ports6(0, 9), pass()),
		row("IPv6 UDP from port 0 to port 0 behind options", zero, func(v *VIF) []byte {
			return v.behind(v.V6.Own, v.V6.Peer, []header{destOpts()}, lab.ProtoUDP, segment(v.V6.Own, 0, v.V6.Peer, 0))
		}, malformed),
		row("IPv6 UDP without its header behind options", "RFC 7112", func(v *VIF) []byte {
			return v.behind(v.V6.Own, v.V6.Peer, []header{destOpts()}, lab.ProtoUDP)
		}, malformed),
		row("IPv6 UDP, last fragment", "RFC 8200", func(v *VIF) []byte {
			return v.behind(v.V6.Own, v.V6.Peer, []header{fragment(2, false)}, lab.ProtoUDP, payload)
		}, pass()),
		row("IPv6 without a next header in a first fragment", "the kernel's datapath shows it for headers that it can't read", func(v *VIF) []byte {
			return v.behind(v.V6.Own, v.V6.Peer, []header{fragment(0, true)}, protoNoNext, payload)
		}, unreadable()),
		row("IPv6 without a next header in an atomic fragment", "RFC 6946", func(v *VIF) []byte {
			return v.behind(v.V6.Own, v.V6.Peer, []header{atomic()}, protoNoNext)
		}, pass()),
		row("IPv6 without a next header in a last fragment", "RFC 8200", func(v *VIF) []byte {
			return v.behind(v.V6.Own, v.V6.Peer, []header{fragment(2, false)}, protoNoNext, payload)
		}, pass()),
		row("IPv6 of protocol 58 in a last fragment", "RFC 8200", func(v *VIF) []byte {
			return v.behind(v.V6.Own, v.V6.Peer, []header{fragment(2, false)}, lab.ProtoICMPv6, payload)
		}, pass()),
		row("ICMPv6 of type 0", "RFC 4443: reserved; the switch shows it for a type that it can't read",
			message(0, func(*VIF) []byte { return make([]byte, 4) }), unreadable()),
		row("RA behind the packet's end", behind, ends6(message(lab.ICMPv6RA, raBody), 0), unreadable()),
		row("RA, its type alone in the packet", behind, ends6(message(lab.ICMPv6RA, raBody), 4), unreadable()),
		row("redirect behind the packet's end", behind, ends6(message(lab.ICMPv6Redirect, (*VIF).redirectTo), 0), unreadable()),
		row("NS with a foreign option behind the packet's end", behind, ends6(message(lab.ICMPv6NS, (*VIF).poisonNS), 0), unreadable()),
		row("NA for a foreign address behind the packet's end", behind, ends6(message(lab.ICMPv6NA, (*VIF).poisonNA), 0), unreadable()),
		row("NA, its target behind the packet's end", behind, ends6(message(lab.ICMPv6NA, (*VIF).poisonNA), 8), unreadable()),
		row("ping behind the packet's end", behind, ends6(message(lab.ICMPv6EchoRequest, func(*VIF) []byte { return make([]byte, 12) }), 0), unreadable()),
	}
}

// lengthFrames are solicitations and advertisements that are longer than the options that
// the switch sees of them, or just not.
func lengthFrames() []Frame {
	const (
		behind  = "the kernel's datapath reads options behind the packet's end"
		short   = "the switch ignores what is too short for an option. Receivers discard the whole message (RFC 4861 section 7.1)"
		atomic6 = "RFC 6980; the switch can't tell it from one without a fragment header, and needn't: no option of it is read"
	)
	nonce := lab.NDOption(optionNonce, payload[:6])
	// hidden puts options behind the end that the IPv6 header gives.
	hidden := func(inner func(v *VIF) []byte, options func(v *VIF) []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return slices.Concat(inner(v), options(v)) }
	}
	foreignSource := func(v *VIF) []byte { return lab.SourceLL(v.Foreign) }
	foreignTarget := func(v *VIF) []byte { return lab.TargetLL(v.Foreign) }
	ownSource := func(v *VIF) []byte { return lab.SourceLL(v.MAC) }
	zeros := func(n int) func(v *VIF) []byte { return func(*VIF) []byte { return make([]byte, n) } }
	bareNS := func(v *VIF) []byte { return v.ns(v.V6.Own) }
	bareNA := func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own) }
	fullNS := func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.MAC)) }
	fullNA := func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own, lab.TargetLL(v.MAC)) }
	dad := func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own) }
	dadNonce := func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, nonce) }
	tagged := func(inner func(v *VIF) []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.Tagged(inner(v), lab.VLAN{}) }
	}
	priority := func(untagged Verdicts) Verdicts {
		return drop(VLAN).in(untagged.mac, "mac-trunk").in(untagged.ip, "priority-tag", "vlan-trunk")
	}
	snap := func(inner func(v *VIF) []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.AsSNAP(inner(v), 0) }
	}
	rs := func(chain ...header) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.icmp6Behind(lab.AllRouters, lab.ICMPv6RS, make([]byte, 4), chain...) }
	}
	return []Frame{
		row("NS with 7 bytes behind it", "too few for an option", hidden(bareNS, zeros(7)), pass()),
		row("NA with 7 bytes behind it", "too few for an option", hidden(bareNA, zeros(7)), pass()),
		row("NS with its option and 7 bytes behind it", "too few for an option", hidden(fullNS, zeros(7)), pass()),
		row("NA with its option and 7 bytes behind it", "too few for an option", hidden(fullNA, zeros(7)), pass()),
		row("NS with a foreign option behind the packet's end", behind, hidden(bareNS, foreignSource), unreadable()).limitedInUserspace(pass()),
		row("NA with a foreign option behind the packet's end", behind, hidden(bareNA, foreignTarget), unreadable()).limitedInUserspace(pass()),
		row("NS with its option, a foreign one behind the packet's end", behind, hidden(fullNS, foreignSource), unreadable()).limitedInUserspace(pass()),
		row("NA with its option, a foreign one behind the packet's end", behind, hidden(fullNA, foreignTarget), unreadable()).limitedInUserspace(pass()),
		row("NS with its option behind the packet's end", behind, hidden(bareNS, ownSource), unreadable()).limitedInUserspace(pass()),
		row("NA for a foreign address, a foreign option behind the packet's end", behind,
			hidden(func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Foreign) }, foreignTarget), unreadable()).limitedInUserspace(fromARP(ND)),
		row("DAD with a nonce, a foreign option behind the packet's end", behind, hidden(dadNonce, foreignSource), unreadable()).limited("it is judged in ovs-vswitchd, which reads nothing behind the packet's end. Receivers don't either", pass()),
		row("NS with 60 bytes behind it", behind, hidden(fullNS, zeros(60)), unreadable()).limitedInUserspace(pass()),

		row("NS with a nonce instead of its option", "RFC 3971; the switch doesn't see it", func(v *VIF) []byte { return v.ns(v.V6.Own, nonce) }, unreadable()),
		row("NA with a nonce", "RFC 3971; the switch doesn't see it", func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own, nonce, lab.TargetLL(v.MAC)) }, unreadable()),
		row("NA with a nonce instead of its option", "RFC 3971; the switch doesn't see it", func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own, nonce) }, unreadable()),
		row("NS with an unknown option", "RFC 4861 section 4.6", func(v *VIF) []byte { return v.ns(v.V6.Own, lab.NDOption(253, payload[:6])) }, unreadable()),
		row("NS with an unknown option, foreign source", "RFC 4861 section 4.6", func(v *VIF) []byte { return v.ns(v.V6.Foreign, lab.NDOption(253, payload[:6])) }, unreadable()),
		row("DAD with a nonce for the link-local address", "RFC 7527", func(v *VIF) []byte { return v.dad(v.MAC, v.LinkLocal(), nonce) }, pass()),
		row("DAD with a nonce for a foreign address", "RFC 7527", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Foreign, nonce) }, fromARP(ND)),
		row("DAD with a zero option", "RFC 4861 section 7.1.1", func(v *VIF) []byte {
			return v.dad(v.MAC, v.V6.Own, lab.NDOption(optionSource, make([]byte, 6)))
		}, invalid()).limited("the switch can't tell a zero address from an absent option, nor the option by its length from a nonce. "+
			"Receivers discard the message (RFC 4861 section 7.1.1)", pass()),
		row("DAD with two nonces", "RFC 7527", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, nonce, nonce) }, unreadable()),
		row("DAD with a nonce and its option", "RFC 4861 section 7.1.1", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, nonce, lab.SourceLL(v.MAC)) }, unreadable()),
		row("DAD with a nonce and a foreign option", "RFC 4861 section 7.1.1", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, nonce, lab.SourceLL(v.Foreign)) }, drop(MAC)),
		row("DAD with a nonce of 16 bytes", "RFC 3971 section 5.3.2", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, lab.NDOption(optionNonce, make([]byte, 14))) }, unreadable()),

		row("NS in a priority tag", "a tag may count", tagged(fullNS), priority(pass())),
		row("NA in a priority tag", "a tag may count", tagged(fullNA), priority(pass())),
		row("NS without an option in a priority tag", "a tag may count", tagged(bareNS), priority(pass())),
		row("DAD with a nonce in a priority tag", "a tag may count", tagged(dadNonce), priority(pass())),
		row("NS with an unknown option in a priority tag", "a tag may count", tagged(func(v *VIF) []byte {
			return v.ns(v.V6.Own, lab.NDOption(253, payload[:6]))
		}), priority(unreadable())),
		row("SNAP, NS", "no host sends it, and the switch can't tell an LLC header from an option", snap(fullNS), unreadable()),
		row("SNAP, NA without an option", "no host sends it, and the switch can't tell an LLC header from an option", snap(bareNA), unreadable()),
		row("SNAP, DAD", "no host sends it; the LLC header counts for a nonce", snap(dad), pass()),

		row("NS with 7 bytes of an option", "truncated", func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.Foreign)[:7]) }, unreadable()).
			limited(short, pass()),
		row("NS with its option and 7 bytes of another", "truncated", func(v *VIF) []byte {
			return v.ns(v.V6.Own, lab.SourceLL(v.MAC), lab.SourceLL(v.Foreign)[:7])
		}, unreadable()).limited(short, pass()),
		row("NA with its option and 7 bytes of another", "truncated", func(v *VIF) []byte {
			return v.na(v.MAC, v.V6.Own, v.V6.Own, lab.TargetLL(v.MAC), lab.TargetLL(v.Foreign)[:7])
		}, unreadable()).limited(short, pass()),
		row("DAD in a first fragment", "RFC 6980", func(v *VIF) []byte {
			return v.behind(any6, lab.SolicitedNode(v.V6.Own), []header{fragment(0, true)}, lab.ProtoICMPv6,
				lab.ICMPv6(any6, lab.SolicitedNode(v.V6.Own), lab.ICMPv6NS, 0, lab.NSBody(v.V6.Own)))
		}, unreadable()),
		row("DAD behind an atomic fragment header", "RFC 6980; the header counts for a nonce", func(v *VIF) []byte {
			return v.behind(any6, lab.SolicitedNode(v.V6.Own), []header{atomic()}, lab.ProtoICMPv6,
				lab.ICMPv6(any6, lab.SolicitedNode(v.V6.Own), lab.ICMPv6NS, 0, lab.NSBody(v.V6.Own)))
		}, unreadable()).limited(atomic6, pass()),
		row("RS behind an atomic fragment header", "RFC 6980", rs(atomic()), fromARP(Malformed)).limited(atomic6, pass()),
		row("RS behind hop-by-hop options", "RFC 8200", rs(hopByHop()), pass()),
		row("RS in a first fragment behind options", "RFC 6980", rs(hopByHop(), fragment(0, true)), fromARP(Malformed)),
	}
}
