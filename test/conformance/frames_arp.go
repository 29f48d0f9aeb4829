package conformance

import (
	"net/netip"

	"github.com/vifguard/vifguard/test/lab"
)

const (
	request = lab.OpRequest
	reply   = lab.OpReply
)

// arpFrames are well-formed ARP packets: who may claim what.
func arpFrames() []Frame {
	// claim is a gratuitous request for an address with the own MAC.
	claim := func(address func(v *VIF) netip.Addr) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.arp(request, v.MAC, address(v), address(v)) }
	}
	probe := func(address func(v *VIF) netip.Addr) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.arp(request, v.MAC, any4, address(v)) }
	}
	pairs := fromARP(ARP).in(Pass, "pairs")
	return []Frame{
		row("request", "RFC 826",
			func(v *VIF) []byte { return v.arp(request, v.MAC, v.V4.Own, v.V4.Peer) }, pass()),
		row("request, padded", "RFC 826",
			func(v *VIF) []byte { return lab.Pad(v.arp(request, v.MAC, v.V4.Own, v.V4.Peer)) }, pass()),
		row("request, unicast", "RFC 1122 section 2.3.2.1", func(v *VIF) []byte {
			return lab.ARP{Op: request, SHA: v.MAC, SPA: v.V4.Own, THA: v.Peer, TPA: v.V4.Peer}.Frame(v.Peer, v.MAC)
		}, pass()),
		row("request for an address outside", "targets aren't checked",
			func(v *VIF) []byte { return v.arp(request, v.MAC, v.V4.Own, v.V4.Foreign) }, pass()),
		row("reply", "RFC 826",
			func(v *VIF) []byte { return lab.ARPReply(v.MAC, v.V4.Own, v.Peer, v.V4.Peer) }, pass()),
		row("reply, broadcast", "RFC 4436",
			func(v *VIF) []byte { return v.arp(reply, v.MAC, v.V4.Own, v.V4.Peer) }, pass()),
		row("announcement", "RFC 5227 section 2.3",
			claim(func(v *VIF) netip.Addr { return v.V4.Own }), pass()),
		row("gratuitous reply", "RFC 5944 section 4.6",
			func(v *VIF) []byte { return v.arp(reply, v.MAC, v.V4.Own, v.V4.Own) }, pass()),
		row("announcement of a failover address", "allowed address pair",
			claim(func(v *VIF) netip.Addr { return v.V4.Pair }), pairs),
		row("announcement of the first address of a prefix", "allowed address pair",
			claim(func(v *VIF) netip.Addr { return v.V4.First }), pairs),
		row("announcement of the last address of a prefix", "allowed address pair",
			claim(func(v *VIF) netip.Addr { return v.V4.Last }), pairs),
		row("announcement of the address before a prefix", "near miss",
			claim(func(v *VIF) netip.Addr { return v.V4.Before }), fromARP(ARP)),
		row("announcement of a foreign address", "CVE-2019-9735",
			claim(func(v *VIF) netip.Addr { return v.V4.Foreign }), fromARP(ARP)),
		row("announcement of the gateway's address", "ARP poisoning",
			claim(func(v *VIF) netip.Addr { return v.V4.Peer }), fromARP(ARP)),
		row("request from a foreign address", "CVE-2016-5362",
			func(v *VIF) []byte { return v.arp(request, v.MAC, v.V4.Foreign, v.V4.Peer) }, fromARP(ARP)),
		row("reply from a foreign address", "CVE-2015-5240",
			func(v *VIF) []byte { return lab.ARPReply(v.MAC, v.V4.Foreign, v.Peer, v.V4.Peer) }, fromARP(ARP)),
		row("request from everybody's address", "RFC 919",
			func(v *VIF) []byte { return v.arp(request, v.MAC, broadcast4, v.V4.Peer) }, fromARP(ARP)),
		row("reply from a multicast address", "RFC 1812 section 3.3.2",
			func(v *VIF) []byte { return v.arp(reply, v.MAC, allHosts4, v.V4.Peer) }, fromARP(ARP)),

		row("probe", "RFC 5227 section 2.1",
			probe(func(v *VIF) netip.Addr { return v.V4.Own }), pass()),
		row("probe for a failover address", "RFC 5227 section 2.1",
			probe(func(v *VIF) netip.Addr { return v.V4.Pair }), pairs),
		row("probe for an address in a prefix", "RFC 5227 section 2.1",
			probe(func(v *VIF) netip.Addr { return v.V4.Last }), pairs),
		row("probe for a foreign address", "address squatting",
			probe(func(v *VIF) netip.Addr { return v.V4.Foreign }), fromARP(ARP)),
		row("probe for no address", "RFC 5227 section 2.1",
			probe(func(*VIF) netip.Addr { return any4 }), fromARP(ARP)),
		row("probe as a reply", "RFC 5227 section 2.1",
			func(v *VIF) []byte { return v.arp(reply, v.MAC, any4, v.V4.Own) }, fromARP(ARP)),
		row("reply from no address", "a prefix such as 0.0.0.0/8 doesn't make it anybody's",
			func(v *VIF) []byte { return v.arp(reply, v.MAC, any4, v.V4.Peer) }, fromARP(ARP)),
		row("probe of a foreign MAC", "RFC 5227 section 2.1",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, request, v.Foreign, any4, v.V4.Own) }, drop(MAC)),

		row("sender MAC foreign", "ARP poisoning by the sender hardware address",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, request, v.Foreign, v.V4.Own, v.V4.Peer) }, drop(MAC)),
		row("sender MAC foreign, reply for a foreign address", "CVE-2015-5240",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, reply, v.Peer, v.V4.Foreign, v.V4.Own) }, drop(MAC)),
		row("sender MAC zero", "RFC 826",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, request, lab.MAC{}, v.V4.Own, v.V4.Peer) }, drop(MAC)),
		row("sender MAC broadcast", "RFC 1812 section 3.3.2",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, reply, lab.Broadcast, v.V4.Own, v.V4.Peer) }, drop(MAC)),
		row("Ethernet source foreign", "CVE-2016-5362",
			func(v *VIF) []byte { return v.arpFrom(v.Foreign, request, v.MAC, v.V4.Own, v.V4.Peer) }, drop(MAC)),
		row("all MACs foreign", "CVE-2016-5362",
			func(v *VIF) []byte { return v.arp(request, v.Foreign, v.V4.Own, v.V4.Peer) }, drop(MAC)),

		row("pair's MAC claims its address", "allowed address pair",
			func(v *VIF) []byte { return v.arp(request, v.Other, v.V4.Other, v.V4.Other) },
			drop(MAC).in(Pass, "pairs", "mac-pair")),
		row("pair's MAC probes for its address", "allowed address pair",
			func(v *VIF) []byte { return v.arp(request, v.Other, any4, v.V4.Other) },
			drop(MAC).in(Pass, "pairs", "mac-pair")),
		row("pair's MAC probes for the own address", "allowed address pair",
			func(v *VIF) []byte { return v.arp(request, v.Other, any4, v.V4.Own) },
			drop(MAC).in(ARP, "pairs").in(Pass, "mac-pair")),
		row("pair's MAC claims the own address", "allowed address pair",
			func(v *VIF) []byte { return v.arp(reply, v.Other, v.V4.Own, v.V4.Peer) },
			drop(MAC).in(ARP, "pairs").in(Pass, "mac-pair")),
		row("own MAC claims the pair's address", "allowed address pair",
			func(v *VIF) []byte { return v.arp(reply, v.MAC, v.V4.Other, v.V4.Peer) }, fromARP(ARP)),
		row("own Ethernet source, pair's MAC and address", "only VRRP may",
			func(v *VIF) []byte { return v.arpFrom(v.MAC, reply, v.Other, v.V4.Other, v.V4.Peer) },
			drop(MAC).in(ARP, "pairs").in(Pass, "mac-pair")),
		row("pair's Ethernet source, own MAC and address", "only VRRP may",
			func(v *VIF) []byte { return v.arpFrom(v.Other, reply, v.MAC, v.V4.Own, v.V4.Peer) },
			drop(MAC).in(ARP, "pairs").in(Pass, "mac-pair")),
		row("target MAC is everybody's", "targets aren't checked",
			func(v *VIF) []byte { return v.ownARP(func(a *lab.ARP) { a.THA = lab.Broadcast }) }, pass()),
		row("target MAC foreign", "targets aren't checked",
			func(v *VIF) []byte { return v.ownARP(func(a *lab.ARP) { a.THA = v.Foreign }) }, pass()),
	}
}

// malformedARPFrames are ARP packets that some receivers take for good ones. Where
// the switch can't read the sender MAC it counts as foreign.
func malformedARPFrames() []Frame {
	odd := func(change func(a *lab.ARP)) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ownARP(change) }
	}
	op := func(n uint16) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			return lab.Ether(lab.Broadcast, v.MAC, lab.TypeARP, with(v.arp(request, v.MAC, v.V4.Own, v.V4.Peer), 6, n)[ethernetBytes:])
		}
	}
	short := func(n int) func(v *VIF) []byte {
		return func(v *VIF) []byte { return cut(v.arp(request, v.MAC, v.V4.Own, v.V4.Peer), n) }
	}
	return []Frame{
		row("opcode 0", "RFC 826", op(0), fromARP(ARP)),
		row("opcode 3, request reverse", "RFC 903", op(3), fromARP(ARP)),
		row("opcode 4, reply reverse", "RFC 903", op(4), fromARP(ARP)),
		row("opcode 8, InARP request", "RFC 2390", op(8), fromARP(ARP)),
		row("opcode 9, InARP reply", "RFC 2390", op(9), fromARP(ARP)),
		row("opcode 10, ARP NAK", "RFC 1577", op(10), fromARP(ARP)),
		row("opcode 256+1", "the switch sees the low byte only", op(0x0101), fromARP(ARP)),
		row("opcode 256+2", "the switch sees the low byte only", op(0x0102), fromARP(ARP)),
		row("opcode 65535", "RFC 5494", op(0xffff), fromARP(ARP)),
		row("opcode 8, sender MAC foreign", "RFC 2390", func(v *VIF) []byte {
			return v.arpFrom(v.MAC, 8, v.Foreign, v.V4.Own, v.V4.Peer)
		}, drop(MAC)),
		row("hardware type 6", "RFC 1042; Linux takes it for Ethernet", odd(func(a *lab.ARP) { a.HardwareType = 6 }), drop(MAC)),
		row("hardware type 6, foreign claim", "RFC 1042; Linux takes it for Ethernet", func(v *VIF) []byte {
			return v.ownARP(func(a *lab.ARP) { a.HardwareType, a.SHA, a.SPA = 6, v.Foreign, v.V4.Peer })
		}, drop(MAC)),
		row("hardware type 2", "RFC 826", odd(func(a *lab.ARP) { a.HardwareType = 2 }), drop(MAC)),
		row("hardware type 256+1", "RFC 826", odd(func(a *lab.ARP) { a.HardwareType = 0x0101 }), drop(MAC)),
		row("protocol type 0x0801", "RFC 826", odd(func(a *lab.ARP) { a.ProtocolType = 0x0801 }), drop(MAC)),
		row("protocol type IPv6", "RFC 826", odd(func(a *lab.ARP) { a.ProtocolType = lab.TypeIPv6 }), drop(MAC)),
		row("hardware length 5", "RFC 826", odd(func(a *lab.ARP) { a.HardwareLength = 5 }), drop(MAC)),
		row("hardware length 8", "RFC 826", odd(func(a *lab.ARP) { a.HardwareLength = 8 }), drop(MAC)),
		row("protocol length 3", "RFC 826", odd(func(a *lab.ARP) { a.ProtocolLength = 3 }), drop(MAC)),
		row("protocol length 16", "RFC 826", odd(func(a *lab.ARP) { a.ProtocolLength = 16 }), drop(MAC)),
		row("malformed probe", "the switch sees sender 0.0.0.0", func(v *VIF) []byte {
			return v.ownARP(func(a *lab.ARP) { a.HardwareType, a.SPA, a.TPA = 6, any4, v.V4.Own })
		}, drop(MAC)),
		row("no packet", "truncated", short(0), drop(MAC)),
		row("cut after the header", "truncated", short(8), drop(MAC)),
		row("cut in the target", "truncated", short(20), drop(MAC)),
		row("cut by one byte", "truncated", short(27), drop(MAC)),
		row("200 trailing bytes", "receivers ignore them", func(v *VIF) []byte {
			return trailing(v.arp(request, v.MAC, v.V4.Own, v.V4.Peer), 200)
		}, pass()),
	}
}

// rarpFrames are about the announcement that QEMU sends for a migrated VIF: the only
// RARP that may pass.
func rarpFrames() []Frame {
	own := func(change func(v *VIF, a *lab.ARP)) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.rarp(func(a *lab.ARP) { change(v, a) }) }
	}
	same := func(mac func(v *VIF) lab.MAC) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.RARPAnnounce(mac(v)) }
	}
	const qemu = "QEMU announcement"
	return []Frame{
		row("announcement", qemu, same(func(v *VIF) lab.MAC { return v.MAC }), pass()),
		row("announcement without padding", qemu, func(v *VIF) []byte { return cut(lab.RARPAnnounce(v.MAC), 28) }, pass()),
		row("announcement of the pair's MAC", qemu, same(func(v *VIF) lab.MAC { return v.Other }),
			drop(MAC).in(Pass, "pairs", "mac-pair")),
		row("announcement of a foreign MAC", "MAC stealing", same(func(v *VIF) lab.MAC { return v.Foreign }), drop(MAC)),
		row("sender foreign", "other systems leave RARP unchecked inside", own(func(v *VIF, a *lab.ARP) { a.SHA = v.Foreign }), drop(MAC)),
		row("target foreign", "other systems leave RARP unchecked inside", own(func(v *VIF, a *lab.ARP) { a.THA = v.Foreign }), drop(MAC)),
		row("target zero", "RFC 903", own(func(_ *VIF, a *lab.ARP) { a.THA = lab.MAC{} }), drop(MAC)),
		row("sender and target are the pair's", "RFC 903", own(func(v *VIF, a *lab.ARP) { a.SHA, a.THA = v.Other, v.Other }), drop(MAC)),
		row("Ethernet source foreign", "MAC stealing", func(v *VIF) []byte {
			f := lab.RARPAnnounce(v.MAC)
			copy(f[6:], v.Foreign[:])
			return f
		}, drop(MAC)),
		row("own address as sender", "RFC 903", own(func(v *VIF, a *lab.ARP) { a.SPA = v.V4.Own }), drop(MAC)),
		row("own address as target", "RFC 903", own(func(v *VIF, a *lab.ARP) { a.TPA = v.V4.Own }), drop(MAC)),
		row("opcode 1", "RFC 903", own(func(_ *VIF, a *lab.ARP) { a.Op = 1 }), drop(MAC)),
		row("opcode 2", "RFC 903", own(func(_ *VIF, a *lab.ARP) { a.Op = 2 }), drop(MAC)),
		row("opcode 4, a rogue RARP server", "RFC 903", own(func(v *VIF, a *lab.ARP) {
			a.Op, a.SPA, a.THA, a.TPA = 4, v.V4.Own, v.Peer, v.V4.Peer
		}), drop(MAC)),
		row("opcode 0", "RFC 903", own(func(_ *VIF, a *lab.ARP) { a.Op = 0 }), drop(MAC)),
		row("opcode 256+3", "the switch sees the low byte only", own(func(_ *VIF, a *lab.ARP) { a.Op = 0x0103 }), drop(MAC)),
		row("hardware type 6", "RFC 1042", own(func(_ *VIF, a *lab.ARP) { a.HardwareType = 6 }), drop(MAC)),
		row("protocol type 1", "RFC 903", own(func(_ *VIF, a *lab.ARP) { a.ProtocolType = 1 }), drop(MAC)),
		row("cut by one byte", "truncated", func(v *VIF) []byte { return cut(lab.RARPAnnounce(v.MAC), 27) }, drop(MAC)),
		row("no packet", "truncated", func(v *VIF) []byte { return cut(lab.RARPAnnounce(v.MAC), 0) }, drop(MAC)),
	}
}
