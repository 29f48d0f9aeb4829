package conformance

import (
	"net/netip"

	"github.com/vifguard/vifguard/test/lab"
)

// nsFrames are neighbour solicitations: sources, targets and duplicate address
// detection.
func nsFrames() []Frame {
	claim := fromARP(ND)
	pairs := claim.in(Pass, "pairs")
	// other is the verdict on what only a pair's MAC may do.
	other := func(verdict string) Verdicts { return drop(MAC).in(verdict, "pairs").in(Pass, "mac-pair") }
	unicast := func(v *VIF, src netip.Addr, options ...[]byte) []byte {
		return v.frame(nd{eth: v.MAC, src: src, dst: v.V6.Peer, typ: lab.ICMPv6NS, body: lab.NSBody(v.V6.Peer, options...)})
	}
	odd := func(change func(v *VIF, m *nd)) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			m := nd{eth: v.MAC, src: v.LinkLocal(), dst: lab.SolicitedNode(v.V6.Peer), typ: lab.ICMPv6NS, body: v.nsBody()}
			change(v, &m)
			return v.frame(m)
		}
	}
	return []Frame{
		row("from the link-local address", "RFC 4861", func(v *VIF) []byte { return v.ns(v.LinkLocal(), lab.SourceLL(v.MAC)) }, pass()),
		row("from the own address", "RFC 4861", func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.MAC)) }, pass()),
		row("without an option", "RFC 4861 section 4.3", func(v *VIF) []byte { return v.ns(v.V6.Own) }, pass()),
		row("unicast", "RFC 4861 section 7.3", func(v *VIF) []byte { return unicast(v, v.V6.Own, lab.SourceLL(v.MAC)) }, pass()),
		row("unicast without an option", "RFC 4861 section 7.3", func(v *VIF) []byte { return unicast(v, v.LinkLocal()) }, pass()),
		row("with a nonce", "RFC 3971 (SEND), which hosts don't use; the switch doesn't see the nonce", func(v *VIF) []byte {
			return v.ns(v.V6.Own, lab.NDOption(optionNonce, payload[:6]), lab.SourceLL(v.MAC))
		}, unreadable()),
		row("from a failover address", "allowed address pair", func(v *VIF) []byte { return v.ns(v.V6.Pair, lab.SourceLL(v.MAC)) }, pairs),
		row("from an address in a prefix", "allowed address pair", func(v *VIF) []byte { return v.ns(v.V6.Last, lab.SourceLL(v.MAC)) }, pairs),
		row("from the address before a prefix", "near miss", func(v *VIF) []byte { return v.ns(v.V6.Before, lab.SourceLL(v.MAC)) }, claim),
		row("from a foreign address", "CVE-2015-8914", func(v *VIF) []byte { return v.ns(v.V6.Foreign, lab.SourceLL(v.MAC)) }, claim),
		row("from a foreign link-local address", "CVE-2015-8914", func(v *VIF) []byte { return v.ns(v.ForeignLinkLocal(), lab.SourceLL(v.MAC)) }, claim),
		row("from the peer's address", "ND poisoning", func(v *VIF) []byte { return v.ns(v.V6.Peer) }, claim),
		row("pair's MAC and address", "allowed address pair",
			func(v *VIF) []byte { return v.nsFrom(v.Other, v.V6.Other, v.V6.Peer, lab.SourceLL(v.Other)) }, other(Pass)),
		row("pair's MAC, own address", "allowed address pair",
			func(v *VIF) []byte { return v.nsFrom(v.Other, v.V6.Own, v.V6.Peer, lab.SourceLL(v.Other)) }, other(ND)),
		row("own MAC, the pair's option", "allowed address pair",
			func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.Other)) }, other(ND)),
		row("option foreign", "ND poisoning (VU#472363)", func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.Foreign)) }, drop(MAC)),
		row("option of the peer", "ND poisoning (VU#472363)", func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.Peer)) }, drop(MAC)),
		row("option foreign, source foreign", "CVE-2015-8914", func(v *VIF) []byte { return v.ns(v.V6.Foreign, lab.SourceLL(v.Foreign)) }, drop(MAC)),
		row("Ethernet source foreign", "CVE-2016-5363",
			func(v *VIF) []byte { return v.nsFrom(v.Foreign, v.V6.Own, v.V6.Peer, lab.SourceLL(v.MAC)) }, drop(MAC)),

		row("DAD for the link-local address", "RFC 4862", func(v *VIF) []byte { return v.dad(v.MAC, v.LinkLocal()) }, pass()),
		row("DAD for the own address", "RFC 4862", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own) }, pass()),
		row("DAD with a nonce", "RFC 7527", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, lab.NDOption(optionNonce, payload[:6])) }, pass()),
		row("DAD for a failover address", "RFC 4862", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Pair) }, pairs),
		row("DAD for an address in a prefix", "RFC 4862", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.First) }, pairs),
		row("DAD for a foreign address", "address squatting", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Foreign) }, claim),
		row("DAD for the peer's address", "address squatting", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Peer) }, claim),
		row("DAD by the pair's MAC", "allowed address pair", func(v *VIF) []byte { return v.dad(v.Other, v.V6.Other) }, other(Pass)),
		row("DAD by the pair's MAC for the own address", "allowed address pair", func(v *VIF) []byte { return v.dad(v.Other, v.V6.Own) }, other(ND)),
		row("DAD with the own option", "RFC 4861 section 7.1.1", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, lab.SourceLL(v.MAC)) }, claim),
		row("DAD with a foreign option", "RFC 4861 section 7.1.1", func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, lab.SourceLL(v.Foreign)) }, drop(MAC)),
		row("DAD with hop limit 64", "RFC 4861 section 7.1.1", odd(func(v *VIF, m *nd) {
			m.src, m.hops, m.body = any6, 64, lab.NSBody(v.V6.Own)
		}), invalid()),

		row("hop limit 254", "RFC 4861 section 7.1.1", odd(func(_ *VIF, m *nd) { m.hops = 254 }), invalid()),
		row("hop limit 1, option foreign", "RFC 4861 section 7.1.1", odd(func(v *VIF, m *nd) { m.hops, m.body = 1, v.poisonNS() }), invalid()),
		row("code 1", "RFC 4861 section 7.1.1", odd(func(_ *VIF, m *nd) { m.code = 1 }), invalid()),
		row("code 1, option foreign", "the switch doesn't parse it", odd(func(v *VIF, m *nd) { m.code, m.body = 1, v.poisonNS() }), invalid()),
		row("code 255", "RFC 4861 section 7.1.1", odd(func(_ *VIF, m *nd) { m.code = 255 }), invalid()),
		row("cut in the target", "truncated", odd(func(v *VIF, m *nd) { m.body = m.body[:12] }), unreadable()),
		row("cut to the header", "truncated", odd(func(v *VIF, m *nd) { m.body = m.body[:4] }), unreadable()),
		row("target ::", "the switch sees it like a duplicate option", odd(func(v *VIF, m *nd) {
			m.body = lab.NSBody(any6, lab.SourceLL(v.MAC))
		}), unreadable()),
	}
}

// naFrames are neighbour advertisements.
func naFrames() []Frame {
	claim := fromARP(ND)
	pairs := claim.in(Pass, "pairs")
	other := func(verdict string) Verdicts { return drop(MAC).in(verdict, "pairs").in(Pass, "mac-pair") }
	// own advertises a target with the own MAC from the link-local address.
	own := func(target func(v *VIF) netip.Addr) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.na(v.MAC, v.LinkLocal(), target(v), lab.TargetLL(v.MAC)) }
	}
	odd := func(change func(v *VIF, m *nd)) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			m := nd{eth: v.MAC, src: v.LinkLocal(), dst: lab.AllNodes, typ: lab.ICMPv6NA,
				body: lab.NABody(lab.FlagOverride, v.V6.Own, lab.TargetLL(v.MAC))}
			change(v, &m)
			return v.frame(m)
		}
	}
	return []Frame{
		row("solicited", "RFC 4861", odd(func(v *VIF, m *nd) {
			m.src, m.dst = v.V6.Own, v.V6.Peer
			m.body = lab.NABody(lab.FlagSolicited|lab.FlagOverride, v.V6.Own, lab.TargetLL(v.MAC))
		}), pass()),
		row("unsolicited", "RFC 4861 section 7.2.6", own(func(v *VIF) netip.Addr { return v.V6.Own }), pass()),
		row("for the link-local address", "RFC 4861", own((*VIF).LinkLocal), pass()),
		row("answer to DAD", "RFC 4862 section 5.4.4", func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own, lab.TargetLL(v.MAC)) }, pass()),
		row("without an option", "RFC 4861 section 4.4", func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own) }, pass()),
		row("with the router flag", "RFC 4861 section 4.4", odd(func(v *VIF, m *nd) {
			m.body = lab.NABody(lab.FlagRouter|lab.FlagOverride, v.V6.Own, lab.TargetLL(v.MAC))
		}), pass()),
		row("for a failover address", "allowed address pair", own(func(v *VIF) netip.Addr { return v.V6.Pair }), pairs),
		row("for the first address of a prefix", "allowed address pair", own(func(v *VIF) netip.Addr { return v.V6.First }), pairs),
		row("for the last address of a prefix", "allowed address pair", own(func(v *VIF) netip.Addr { return v.V6.Last }), pairs),
		row("for the address before a prefix", "near miss", own(func(v *VIF) netip.Addr { return v.V6.Before }), claim),
		row("for a foreign address", "CVE-2019-9735", own(func(v *VIF) netip.Addr { return v.V6.Foreign }), claim),
		row("for a foreign address, without an option", "ND poisoning", func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Foreign) }, claim),
		row("for the peer's address", "ND poisoning", own(func(v *VIF) netip.Addr { return v.V6.Peer }), claim),
		row("for a foreign link-local address", "CVE-2015-8914", own((*VIF).ForeignLinkLocal), claim),
		row("for a multicast address", "RFC 4861 section 7.1.2", own(func(*VIF) netip.Addr { return lab.AllNodes }), claim),
		row("for ::", "RFC 4861 section 7.1.2", own(func(*VIF) netip.Addr { return any6 }), unreadable()),
		row("from a foreign address", "CVE-2015-8914", func(v *VIF) []byte { return v.na(v.MAC, v.V6.Foreign, v.V6.Own, lab.TargetLL(v.MAC)) }, claim),
		row("from a foreign address for it", "CVE-2015-8914", func(v *VIF) []byte { return v.na(v.MAC, v.V6.Foreign, v.V6.Foreign, lab.TargetLL(v.MAC)) }, claim),
		row("from ::", "RFC 4861 section 4.4", func(v *VIF) []byte { return v.na(v.MAC, any6, v.V6.Own, lab.TargetLL(v.MAC)) }, claim),
		row("option foreign", "ND poisoning (VU#472363)", func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own, lab.TargetLL(v.Foreign)) }, drop(MAC)),
		row("option foreign, for the peer's address", "ND poisoning (VU#472363)",
			func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Peer, lab.TargetLL(v.Foreign)) }, drop(MAC)),
		row("Ethernet source foreign", "CVE-2016-5363", func(v *VIF) []byte { return v.na(v.Foreign, v.V6.Own, v.V6.Own, lab.TargetLL(v.MAC)) }, drop(MAC)),
		row("pair's MAC and address", "allowed address pair",
			func(v *VIF) []byte { return v.na(v.Other, v.V6.Other, v.V6.Other, lab.TargetLL(v.Other)) }, other(Pass)),
		row("own MAC, the pair's option", "only VRRP may",
			func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own, lab.TargetLL(v.Other)) }, other(ND)),
		row("own MAC, the pair's option and address", "only VRRP may",
			func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Other, lab.TargetLL(v.Other)) }, other(ND)),
		row("own MAC for the pair's address", "allowed address pair", own(func(v *VIF) netip.Addr { return v.V6.Other }), claim),
		row("hop limit 254", "RFC 4861 section 7.1.2", odd(func(_ *VIF, m *nd) { m.hops = 254 }), invalid()),
		row("hop limit 64 for a foreign address", "RFC 4861 section 7.1.2", odd(func(v *VIF, m *nd) { m.hops, m.body = 64, v.poisonNA() }), invalid()),
		row("code 1", "RFC 4861 section 7.1.2", odd(func(_ *VIF, m *nd) { m.code = 1 }), invalid()),
		row("code 1, option foreign", "the switch doesn't parse it", odd(func(v *VIF, m *nd) {
			m.code, m.body = 1, lab.NABody(lab.FlagOverride, v.V6.Own, lab.TargetLL(v.Foreign))
		}), invalid()),
		row("cut in the target", "truncated", odd(func(_ *VIF, m *nd) { m.body = m.body[:12] }), unreadable()),
		row("cut to the header", "truncated", odd(func(_ *VIF, m *nd) { m.body = m.body[:4] }), unreadable()),
	}
}

// routerFrames are router solicitations, advertisements and redirects.
func routerFrames() []Frame {
	foreign := fromIP().in(Pass, "any")
	router := fromARP(Router).in(Pass, "router")
	elsewhere := fromARP(Router).in(IP, "router") // passes the guard, not the source check
	message := func(typ uint8, dst netip.Addr, change func(v *VIF, m *nd)) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			m := nd{eth: v.MAC, src: v.LinkLocal(), dst: dst, typ: typ}
			switch typ {
			case lab.ICMPv6RS:
				m.body = make([]byte, 4)
			case lab.ICMPv6RA:
				m.body = raBody(v)
			case lab.ICMPv6Redirect:
				m.dst, m.body = v.V6.Peer, v.redirectTo()
			}
			change(v, &m)
			return v.frame(m)
		}
	}
	rs := func(change func(v *VIF, m *nd)) func(v *VIF) []byte {
		return message(lab.ICMPv6RS, lab.AllRouters, change)
	}
	ra := func(change func(v *VIF, m *nd)) func(v *VIF) []byte {
		return message(lab.ICMPv6RA, lab.AllNodes, change)
	}
	redirect := func(change func(v *VIF, m *nd)) func(v *VIF) []byte {
		return message(lab.ICMPv6Redirect, lab.AllNodes, change)
	}
	same := func(*VIF, *nd) {}
	const unseen = "the switch parses the options of NS and NA only; dropping every RS or RA with an option would drop legitimate ones. " +
		"The MAC must be learned from a message whose Ethernet and IP source are checked"
	return []Frame{
		row("RS", "RFC 4861", rs(same), pass()),
		row("RS with its option", "RFC 4861", rs(func(v *VIF, m *nd) { m.body = append(m.body, lab.SourceLL(v.MAC)...) }), pass()),
		row("RS from ::", "RFC 4861 section 4.1", rs(func(_ *VIF, m *nd) { m.src = any6 }), pass()),
		row("RS from the own address", "RFC 4861", rs(func(v *VIF, m *nd) { m.src = v.V6.Own }), pass()),
		row("RS from :: to all nodes", "RFC 4861 section 4.1", rs(func(_ *VIF, m *nd) { m.src, m.dst = any6, lab.AllNodes }), fromIP()),
		row("RS from :: to a station", "RFC 4861 section 4.1", rs(func(v *VIF, m *nd) { m.src, m.dst = any6, v.V6.Peer }), fromIP()),
		row("RS from a foreign address", "CVE-2015-8914", rs(func(v *VIF, m *nd) { m.src = v.ForeignLinkLocal() }), foreign),
		row("RS with a foreign option", "ND poisoning", rs(func(v *VIF, m *nd) { m.body = append(m.body, lab.SourceLL(v.Foreign)...) }), drop(MAC)).
			limited(unseen, pass()),

		row("RA", "CVE-2021-20267", ra(same), router),
		row("RA from a foreign address", "CVE-2021-20267", ra(func(v *VIF, m *nd) { m.src = v.ForeignLinkLocal() }), elsewhere),
		row("RA from ::", "CVE-2021-20267", ra(func(_ *VIF, m *nd) { m.src = any6 }), elsewhere),
		row("RA from the own address", "RFC 4861 section 6.1.2", ra(func(v *VIF, m *nd) { m.src = v.V6.Own }), router),
		row("RA to a station", "RFC 6104", ra(func(v *VIF, m *nd) { m.dst = v.V6.Peer }), router),
		row("RA without an option", "RFC 4861 section 4.2", ra(func(_ *VIF, m *nd) { m.body = lab.RABody() }), router),
		row("RA with hop limit 64", "RFC 4861 section 6.1.2", ra(func(_ *VIF, m *nd) { m.hops = 64 }), router),
		row("RA with code 1", "RFC 4861 section 6.1.2", ra(func(_ *VIF, m *nd) { m.code = 1 }), router),
		row("RA cut to 8 bytes", "truncated", ra(func(_ *VIF, m *nd) { m.body = m.body[:4] }), router),
		row("RA from the gateway's MAC", "CVE-2021-20267", ra(func(v *VIF, m *nd) { m.eth = v.Foreign }), drop(MAC)),
		row("RA with a foreign option", "RFC 6104", ra(func(v *VIF, m *nd) { m.body = lab.RABody(lab.SourceLL(v.Foreign)) }), drop(MAC)).
			limited(unseen, router),
		row("redirect", "CVE-2021-20267", redirect(same), router),
		row("redirect from a foreign address", "ICMPv6 redirect attack", redirect(func(v *VIF, m *nd) { m.src = v.ForeignLinkLocal() }), elsewhere),
		row("redirect with hop limit 1", "RFC 4861 section 8.1", redirect(func(_ *VIF, m *nd) { m.hops = 1 }), router),
		row("redirect with a target option", "RFC 4861 section 4.5; the target is another router", redirect(func(v *VIF, m *nd) {
			m.body = append(m.body, lab.TargetLL(v.Peer)...)
		}), router),
		row("router renumbering", "RFC 2894; not a guard", func(v *VIF) []byte {
			return v.frame(nd{eth: v.MAC, src: v.LinkLocal(), dst: lab.AllNodes, typ: 138, body: make([]byte, 12)})
		}, pass()),
	}
}
