package conformance

import (
	"slices"
	"strings"

	"github.com/vifguard/vifguard/test/lab"
)

// optionFrames are neighbour discovery messages with odd options.
func optionFrames() []Frame {
	ns := func(options func(v *VIF) [][]byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ns(v.V6.Own, options(v)...) }
	}
	na := func(options func(v *VIF) [][]byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.na(v.MAC, v.V6.Own, v.V6.Own, options(v)...) }
	}
	nonce := lab.NDOption(optionNonce, payload[:6])
	zero := func(typ uint8) []byte { return lab.NDOption(typ, make([]byte, 6)) }
	empty := func(typ uint8) []byte { return []byte{typ, 0, 0, 0, 0, 0, 0, 0} }
	long := func(typ uint8, mac lab.MAC) []byte { return lab.NDOption(typ, append(mac[:], make([]byte, 8)...)) }
	const (
		duplicate = "RFC 4861; other systems judge one of the two"
		ignored   = "receivers ignore it, the switch doesn't see it, and what it doesn't see may be anything"
		stops     = "the switch ignores what is too short for an option. Receivers discard the whole message (RFC 4861 section 7.1)"
	)
	return []Frame{
		row("NS with the own option twice", duplicate, ns(func(v *VIF) [][]byte { return [][]byte{lab.SourceLL(v.MAC), lab.SourceLL(v.MAC)} }), unreadable()),
		row("NS with the own, then a foreign option", duplicate, ns(func(v *VIF) [][]byte { return [][]byte{lab.SourceLL(v.MAC), lab.SourceLL(v.Foreign)} }), unreadable()),
		row("NS with a foreign, then the own option", duplicate, ns(func(v *VIF) [][]byte { return [][]byte{lab.SourceLL(v.Foreign), lab.SourceLL(v.MAC)} }), unreadable()),
		row("NS with two foreign options", duplicate, ns(func(v *VIF) [][]byte { return [][]byte{lab.SourceLL(v.Foreign), lab.SourceLL(v.Peer)} }), unreadable()),
		row("NS with the other option twice", duplicate, ns(func(v *VIF) [][]byte { return [][]byte{lab.TargetLL(v.MAC), lab.TargetLL(v.Foreign)} }), unreadable()),
		row("NA with the own option twice", duplicate, na(func(v *VIF) [][]byte { return [][]byte{lab.TargetLL(v.MAC), lab.TargetLL(v.MAC)} }), unreadable()),
		row("NA with the own, then a foreign option", duplicate, na(func(v *VIF) [][]byte { return [][]byte{lab.TargetLL(v.MAC), lab.TargetLL(v.Foreign)} }), unreadable()),
		row("NA with a foreign, then the own option", duplicate, na(func(v *VIF) [][]byte { return [][]byte{lab.TargetLL(v.Foreign), lab.TargetLL(v.MAC)} }), unreadable()),
		row("DAD with two options", duplicate, func(v *VIF) []byte { return v.dad(v.MAC, v.V6.Own, lab.SourceLL(v.MAC), lab.SourceLL(v.MAC)) }, unreadable()),
		row("NS with a nonce, then a foreign option", "RFC 3971", ns(func(v *VIF) [][]byte { return [][]byte{nonce, lab.SourceLL(v.Foreign)} }), drop(MAC)),
		row("NA with a nonce, then a foreign option", "RFC 3971", na(func(v *VIF) [][]byte { return [][]byte{nonce, lab.TargetLL(v.Foreign)} }), drop(MAC)),
		row("NS with a foreign target option", ignored, ns(func(v *VIF) [][]byte { return [][]byte{lab.SourceLL(v.MAC), lab.TargetLL(v.Foreign)} }), unreadable()),
		row("NA with a foreign source option", ignored, na(func(v *VIF) [][]byte { return [][]byte{lab.TargetLL(v.MAC), lab.SourceLL(v.Foreign)} }), unreadable()),
		row("NS with the option of the peer behind an unknown one", "RFC 4861 section 4.6", ns(func(v *VIF) [][]byte {
			return [][]byte{lab.NDOption(253, payload), lab.SourceLL(v.Peer)}
		}), drop(MAC)),

		row("NS with an option of length zero", "RFC 4861 section 4.6", ns(func(*VIF) [][]byte { return [][]byte{empty(optionSource)} }), unreadable()),
		row("NS with an option of length zero, then a foreign one", "RFC 4861 section 4.6", ns(func(v *VIF) [][]byte {
			return [][]byte{empty(optionNonce), lab.SourceLL(v.Foreign)}
		}), unreadable()),
		row("NA with an option of length zero, then a foreign one", "RFC 4861 section 4.6", na(func(v *VIF) [][]byte {
			return [][]byte{empty(optionNonce), lab.TargetLL(v.Foreign)}
		}), unreadable()),
		row("NS with a foreign, then an option of length zero", "RFC 4861 section 4.6", ns(func(v *VIF) [][]byte {
			return [][]byte{lab.SourceLL(v.Foreign), empty(optionNonce)}
		}), drop(MAC)),
		row("NS with an option longer than the packet", "RFC 4861 section 4.6", ns(func(v *VIF) [][]byte {
			return [][]byte{slices.Concat([]byte{optionSource, 9}, v.Foreign[:])}
		}), unreadable()),
		row("NS with half an option", "truncated", ns(func(v *VIF) [][]byte { return [][]byte{lab.SourceLL(v.Foreign)[:4]} }), unreadable()).
			limited(stops, pass()),
		row("NS with a foreign option of 16 bytes", "RFC 2464 section 6", ns(func(v *VIF) [][]byte { return [][]byte{long(1, v.Foreign)} }), unreadable()),
		row("NA with a foreign option of 16 bytes", "RFC 2464 section 6", na(func(v *VIF) [][]byte { return [][]byte{long(2, v.Foreign)} }), unreadable()),
		row("NS with a zero option", "the switch sees an absent one", ns(func(*VIF) [][]byte { return [][]byte{zero(1)} }), unreadable()),
		row("NA with a zero option", "the switch sees an absent one", na(func(*VIF) [][]byte { return [][]byte{zero(2)} }), unreadable()),
		row("NA with a zero, then a foreign option", "the switch forgets the first", na(func(v *VIF) [][]byte {
			return [][]byte{zero(2), lab.TargetLL(v.Foreign)}
		}), drop(MAC)),
	}
}

const atomicChain = "an atomic fragment header"

// chains are the ways to hide a message behind extension headers.
func chains() []struct {
	name    string
	headers func(v *VIF) []header
} {
	list := func(hs ...header) func(*VIF) []header { return func(*VIF) []header { return hs } }
	return []struct {
		name    string
		headers func(v *VIF) []header
	}{
		{"hop-by-hop options", list(hopByHop())},
		{"destination options", list(destOpts())},
		{"two destination options", list(destOpts(), destOpts())},
		{"a routing header", func(v *VIF) []header { return []header{routing(v)} }},
		{"an authentication header", list(authentication())},
		{atomicChain, list(atomic())},
		{"options and " + atomicChain, list(hopByHop(), atomic(), destOpts())},
	}
}

// hiddenFrames are neighbour discovery messages behind extension headers.
func hiddenFrames() []Frame {
	var frames []Frame
	for _, c := range chains() {
		behind := func(typ uint8, body func(v *VIF) []byte) func(v *VIF) []byte {
			return func(v *VIF) []byte { return v.icmp6Behind(lab.AllNodes, typ, body(v), c.headers(v)...) }
		}
		const source = "RFC 7113"
		// router is for what only routers may send, and nobody in an atomic fragment.
		router := func(f Frame) Frame {
			f.Verdicts = fromARP(Router).in(Pass, "router")
			if strings.HasSuffix(c.name, atomicChain) {
				limit := f.Verdicts
				f.Verdicts = fromARP(Router).in(Malformed, "router")
				f = f.limited("RFC 6980; the switch can't tell it from one without a fragment header, and needn't: no option of it is read", limit)
			}
			return f
		}
		frames = append(frames,
			router(row("RA behind "+c.name, source, behind(lab.ICMPv6RA, raBody), Verdicts{})),
			router(row("redirect behind "+c.name, source, behind(lab.ICMPv6Redirect, (*VIF).redirectTo), Verdicts{})),
			row("NS behind "+c.name, "no host sends it, and the switch can't tell these headers from options", behind(lab.ICMPv6NS, (*VIF).nsBody), unreadable()),
			row("NA behind "+c.name, "no host sends it, and the switch can't tell these headers from options", behind(lab.ICMPv6NA, (*VIF).ownNA), unreadable()),
			row("NS with a foreign option behind "+c.name, source, behind(lab.ICMPv6NS, (*VIF).poisonNS), drop(MAC)),
			row("NA for a foreign address behind "+c.name, source, behind(lab.ICMPv6NA, (*VIF).poisonNA), unreadable()),
		)
	}
	// Linux doesn't look at a payload length of zero before hop-by-hop options, and takes
	// everything up to the end of the frame for the packet.
	empty := func(typ uint8, body func(v *VIF) []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			return with(v.icmp6Behind(lab.AllNodes, typ, body(v), hopByHop()), 4, 0)
		}
	}
	const linux = "RFC 2675; Linux reads on to the end of the frame"
	return append(frames,
		row("RA in a packet of length zero", linux, empty(lab.ICMPv6RA, raBody), unreadable()),
		row("redirect in a packet of length zero", linux, empty(lab.ICMPv6Redirect, (*VIF).redirectTo), unreadable()),
		row("NS with a foreign option in a packet of length zero", linux, empty(lab.ICMPv6NS, (*VIF).poisonNS), unreadable()),
		row("NA for a foreign address in a packet of length zero", linux, empty(lab.ICMPv6NA, (*VIF).poisonNA), unreadable()),
		row("DHCPv6 advertise in a packet of length zero", linux, func(v *VIF) []byte {
			data := segment(v.LinkLocal(), dhcp6Server, v.V6.Peer, dhcp6Client)
			return with(v.behind(v.LinkLocal(), v.V6.Peer, []header{hopByHop()}, lab.ProtoUDP, data), 4, 0)
		}, unreadable()),
	)
}

// fragmentedNDFrames are neighbour discovery messages in fragments, which RFC 6980
// forbids, and first fragments that hide what they carry.
func fragmentedNDFrames() []Frame {
	first := func(typ uint8, body func(v *VIF) []byte, before ...header) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			return v.icmp6Behind(lab.AllNodes, typ, body(v), slices.Concat(before, []header{fragment(0, true)})...)
		}
	}
	// bare is a first fragment with the given headers and data after the fragment header.
	bare := func(headers []header, last uint8, data ...byte) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			return v.behind(v.LinkLocal(), lab.AllNodes, slices.Concat([]header{fragment(0, true)}, headers), last, data)
		}
	}
	router := fromARP(Router).in(Malformed, "router")
	empty := func(*VIF) []byte { return make([]byte, 4) }
	const source = "RFC 6980"
	return []Frame{
		row("RA in a first fragment", source, first(lab.ICMPv6RA, raBody), router),
		row("RA in a first fragment behind options", source, first(lab.ICMPv6RA, raBody, hopByHop(), destOpts()), router),
		row("redirect in a first fragment", source, first(lab.ICMPv6Redirect, (*VIF).redirectTo), router),
		row("RS in a first fragment", source, first(lab.ICMPv6RS, empty), fromARP(Malformed)),
		row("NS in a first fragment", source, first(lab.ICMPv6NS, (*VIF).nsBody), unreadable()),
		row("NS with a foreign option in a first fragment", source, first(lab.ICMPv6NS, (*VIF).poisonNS), unreadable()),
		row("NA in a first fragment", source, first(lab.ICMPv6NA, (*VIF).poisonNA), unreadable()),
		row("ping in a first fragment", "RFC 8200", first(lab.ICMPv6EchoRequest, func(*VIF) []byte { return make([]byte, 28) }), pass()),
		row("RA in a last fragment", "RFC 6980; useless without the first", func(v *VIF) []byte {
			return v.icmp6Behind(lab.AllNodes, lab.ICMPv6RA, raBody(v), fragment(1, false))
		}, pass()),
		row("first fragment without the ICMPv6 header", "RFC 7113", bare(nil, lab.ProtoICMPv6), unreadable()),
		row("first fragment with options only", "RFC 7113", bare([]header{destOpts()}, lab.ProtoICMPv6), unreadable()),
		row("first fragment with the type only", "RFC 7113", bare([]header{destOpts()}, lab.ProtoICMPv6, lab.ICMPv6RA, 0), unreadable()),
		row("first fragment that ends within options", "RFC 7112", bare(nil, lab.ProtoDestOpts, lab.ProtoICMPv6, 3, 1, 4, 0, 0, 0, 0), unreadable()),
		row("first fragment that ends before options", "RFC 7112", bare(nil, lab.ProtoDestOpts), unreadable()),
		row("NS in a fragment with reserved bits", "RFC 8200 section 4.5", func(v *VIF) []byte {
			reserved := header{lab.ProtoFragment, func(n uint8) []byte { return []byte{n, 0, 0, 6, 0, 0, 0, 7} }}
			return v.icmp6Behind(lab.AllNodes, lab.ICMPv6NS, v.poisonNS(), reserved)
		}, unreadable()),
		row("RA in a fragment with reserved bits", "RFC 8200 section 4.5", func(v *VIF) []byte {
			reserved := header{lab.ProtoFragment, func(n uint8) []byte { return []byte{n, 0, 0, 6, 0, 0, 0, 7} }}
			return v.icmp6Behind(lab.AllNodes, lab.ICMPv6RA, raBody(v), reserved)
		}, router),
	}
}
