package conformance

import (
	"slices"

	"github.com/vifguard/vifguard/test/lab"
)

// vlanFrames are about VLAN tags, and what hides behind them: CERT VU#855201.
func vlanFrames() []Frame {
	own := func(v *VIF) []byte { return v.udp4(v.V4.Own) }
	tagged := func(inner func(v *VIF) []byte, tags ...lab.VLAN) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.Tagged(inner(v), tags...) }
	}
	vid := func(n uint16) lab.VLAN { return lab.VLAN{VID: n} }
	svid := func(n uint16) lab.VLAN { return lab.VLAN{VID: n, TPID: lab.TypeSVLAN} }
	qinq := func(n uint16) lab.VLAN { return lab.VLAN{VID: n, TPID: 0x9100} }
	priority := drop(VLAN).in(Pass, "priority-tag", "vlan-trunk", "mac-trunk")
	trunk := drop(VLAN).in(Pass, "vlan-trunk", "mac-trunk")
	never := drop(VLAN)
	// inside is the verdict of a frame in a priority tag whose payload is refused from
	// a level on.
	inside := func(untagged Verdicts) Verdicts {
		return drop(VLAN).in(untagged.mac, "mac-trunk").in(untagged.ip, "priority-tag", "vlan-trunk")
	}
	const cert1, cert2, cert4 = "CVE-2021-27853", "CVE-2021-27854", "CVE-2021-27862"
	snap := func(inner func(v *VIF) []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.AsSNAP(inner(v), 0) }
	}
	foreignARP := func(v *VIF) []byte { return v.arp(reply, v.MAC, v.V4.Foreign, v.V4.Peer) }
	poisonARP := func(v *VIF) []byte { return v.arpFrom(v.MAC, reply, v.Foreign, v.V4.Own, v.V4.Peer) }
	foreignIP := func(v *VIF) []byte { return v.udp4(v.V4.Foreign) }
	ra := func(v *VIF) []byte {
		return v.frame(nd{eth: v.MAC, src: v.LinkLocal(), dst: lab.AllNodes, typ: lab.ICMPv6RA, body: raBody(v)})
	}
	offer := func(v *VIF) []byte { return v.ports(v.MAC, v.V4.Own, dhcp4Server, v.V4.Peer, dhcp4Client) }
	return []Frame{
		row("priority tag", "IEEE 802.1Q section 9.6", tagged(own, vid(0)), priority),
		row("priority tag with a priority", "IEEE 802.1Q", tagged(own, lab.VLAN{PCP: 7}), priority),
		row("priority tag, ARP", "IEEE 802.1Q", tagged(func(v *VIF) []byte { return v.arp(request, v.MAC, v.V4.Own, v.V4.Peer) }, vid(0)), priority),
		row("priority tag, NS", "IEEE 802.1Q", tagged(func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.MAC)) }, vid(0)), priority),
		row("priority tag, RARP announcement", "IEEE 802.1Q", tagged(func(v *VIF) []byte { return lab.RARPAnnounce(v.MAC) }, vid(0)), priority),
		row("priority tag of a service VLAN", "IEEE 802.1ad; the switch can't tell it from 802.1Q", tagged(own, svid(0)), priority),
		row("VLAN 5", "IEEE 802.1Q", tagged(own, vid(5)), trunk),
		row("VLAN 1", "IEEE 802.1Q", tagged(own, vid(1)), trunk),
		row("VLAN 4094", "IEEE 802.1Q", tagged(own, vid(4094)), trunk),
		row("service VLAN 5", "IEEE 802.1ad; the switch can't tell it from 802.1Q", tagged(own, svid(5)), trunk),
		row("VLAN 5, foreign IPv4 source", "IEEE 802.1Q", tagged(foreignIP, vid(5)), trunk.in(IP, "vlan-trunk")),
		row("VLAN 5, foreign MAC", "CVE-2016-5363", tagged(func(v *VIF) []byte { return v.udp(v.Foreign, v.V4.Own, v.V4.Peer) }, vid(5)),
			trunk.in(MAC, "vlan-trunk", "mac-trunk")),
		row("foreign MAC in a priority tag", cert1, tagged(func(v *VIF) []byte { return v.udp(v.Foreign, v.V4.Own, v.V4.Peer) }, vid(0)), inside(drop(MAC))),
		row("ARP for a foreign address in a priority tag", cert1, tagged(foreignARP, vid(0)), inside(fromARP(ARP))),
		row("ARP with a foreign sender MAC in a priority tag", cert1, tagged(poisonARP, vid(0)), inside(drop(MAC))),
		row("foreign IPv4 source in a priority tag", cert1, tagged(foreignIP, vid(0)), inside(fromIP())),
		row("RA in a priority tag", cert1, tagged(ra, vid(0)), inside(fromARP(Router))),
		row("DHCP offer in a priority tag", cert1, tagged(offer, vid(0)), inside(fromARP(DHCPServer))),
		row("NS with a foreign option in a priority tag", cert1,
			tagged(func(v *VIF) []byte { return v.ns(v.V6.Own, lab.SourceLL(v.Foreign)) }, vid(0)), inside(drop(MAC))),
		row("LLDP in a priority tag", cert1, tagged(func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, 0x88cc, payload) }, vid(0)), inside(fromARP(EtherType))),
		row("two priority tags", cert1, tagged(own, vid(0), vid(0)), never),
		row("two priority tags, RA", cert1, tagged(ra, vid(0), vid(0)), never),
		row("three priority tags, RA", cert1, tagged(ra, vid(0), vid(0), vid(0)), never),
		row("priority tag, then VLAN 5", "VLAN hopping", tagged(own, vid(0), vid(5)), never),
		row("VLAN 5, then a priority tag", "VLAN hopping", tagged(own, vid(5), vid(0)), never),
		row("VLAN 5 twice", "VLAN hopping", tagged(own, vid(5), vid(5)), never),
		row("service VLAN, then VLAN", "IEEE 802.1ad", tagged(own, svid(5), vid(5)), never),
		row("VLAN, then service VLAN", "IEEE 802.1ad", tagged(own, vid(5), svid(5)), never),
		row("foreign MAC in two tags", "VLAN hopping", tagged(func(v *VIF) []byte { return v.udp(v.Foreign, v.V4.Own, v.V4.Peer) }, vid(0), vid(0)), never),
		row("old QinQ tag", "0x9100; an unknown ethertype", tagged(own, qinq(0)), fromARP(EtherType)),
		row("old QinQ tag, VLAN 5", "0x9100; an unknown ethertype", tagged(own, qinq(5)), fromARP(EtherType)),
		row("priority tag, then an old QinQ tag", "0x9100; an unknown ethertype", tagged(own, vid(0), qinq(0)), inside(fromARP(EtherType))),
		row("tag cut off", "truncated", func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, lab.TypeVLAN) }, never),
		row("tag without an ethertype", "truncated", func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, lab.TypeVLAN, []byte{0, 0}) }, never),
		row("tag with half an ethertype", "truncated", func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, lab.TypeVLAN, []byte{0, 0, 8}) }, never),
		row("priority tag, IPv4 without a packet", "truncated", func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, lab.TypeVLAN, []byte{0, 0, 8, 0}) }, inside(fromARP(Malformed))),

		row("SNAP in a priority tag", cert1, tagged(snap(own), vid(0)), priority),
		row("SNAP with a foreign ARP claim in a priority tag", cert1, tagged(snap(foreignARP), vid(0)), inside(fromARP(ARP))),
		row("SNAP with an RA in a priority tag", cert1, tagged(snap(ra), vid(0)), inside(fromARP(Router))),
		row("SNAP with an RA in two priority tags", cert1, tagged(snap(ra), vid(0), vid(0)), never),
		row("priority tag in SNAP", cert2, snap(tagged(own, vid(0))), never),
		row("priority tag in SNAP, RA", cert2, snap(tagged(ra, vid(0))), never),
		row("service tag in SNAP", cert2, snap(tagged(own, svid(0))), never),
		row("priority tag in SNAP in a priority tag", cert2, tagged(snap(tagged(own, vid(0))), vid(0)), never),
		row("SNAP of a wrong length in a priority tag", cert4, tagged(func(v *VIF) []byte { return wrongLength(snap(ra)(v)) }, vid(0)), inside(fromARP(Router))),
		row("spanning tree in a priority tag", "PVST", tagged(func(v *VIF) []byte { return lab.STP(v.MAC) }, vid(0)), inside(fromARP(EtherType))),
	}
}

// wrongLength makes the length field of an IEEE 802.3 frame wrong.
func wrongLength(frame []byte) []byte { return with(frame, -2, 0x05dc) }

// llcFrames are IEEE 802.3 frames, whose LLC header can carry an ethertype.
func llcFrames() []Frame {
	snap := func(inner func(v *VIF) []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.AsSNAP(inner(v), 0) }
	}
	bridged := func(inner func(v *VIF) []byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.AsSNAP(inner(v), 0x0000f8) }
	}
	llc := func(dsap, ssap uint8) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.LLC(v.Peer, v.MAC, dsap, ssap, payload) }
	}
	raw := func(length uint16, data ...byte) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, length, data) }
	}
	ownARP := func(v *VIF) []byte { return v.arp(request, v.MAC, v.V4.Own, v.V4.Peer) }
	foreignARP := func(v *VIF) []byte { return v.arp(reply, v.MAC, v.V4.Foreign, v.V4.Peer) }
	ra := func(v *VIF) []byte {
		return v.frame(nd{eth: v.MAC, src: v.LinkLocal(), dst: lab.AllNodes, typ: lab.ICMPv6RA, body: raBody(v)})
	}
	foreign := fromIP().in(Pass, "any")
	const cert1, cert3 = "CVE-2021-27853", "CVE-2021-27861"
	return []Frame{
		row("SNAP, own IPv4 source", "RFC 1042", snap(func(v *VIF) []byte { return v.udp4(v.V4.Own) }), pass()),
		row("SNAP, own ARP", "RFC 1042", snap(ownARP), pass()),
		row("SNAP, RARP announcement", "RFC 1042", snap(func(v *VIF) []byte { return lab.RARPAnnounce(v.MAC) }), pass()),
		row("SNAP, foreign IPv4 source", cert1, snap(func(v *VIF) []byte { return v.udp4(v.V4.Foreign) }), foreign),
		row("SNAP, foreign IPv6 source", cert1, snap(func(v *VIF) []byte { return v.udp6(v.V6.Foreign) }), foreign),
		row("SNAP, ARP for a foreign address", cert1, snap(foreignARP), fromARP(ARP)),
		row("SNAP, ARP with a foreign sender MAC", cert1, snap(func(v *VIF) []byte { return v.arpFrom(v.MAC, reply, v.Foreign, v.V4.Own, v.V4.Peer) }), drop(MAC)),
		row("SNAP, foreign Ethernet source", cert1, snap(func(v *VIF) []byte { return v.udp(v.Foreign, v.V4.Own, v.V4.Peer) }), drop(MAC)),
		row("SNAP, RA", cert1, snap(ra), fromARP(Router).in(Pass, "router")),
		row("SNAP, DHCP offer", cert1, snap(func(v *VIF) []byte {
			return v.ports(v.MAC, v.V4.Own, dhcp4Server, v.V4.Peer, dhcp4Client)
		}), fromARP(DHCPServer).in(Pass, "dhcp-server")),
		row("SNAP of a wrong length, RA", cert3, func(v *VIF) []byte { return wrongLength(snap(ra)(v)) }, fromARP(Router).in(Pass, "router")),
		row("SNAP of a wrong length, ARP for a foreign address", cert3, func(v *VIF) []byte { return wrongLength(snap(foreignARP)(v)) }, fromARP(ARP)),
		row("SNAP of length 0, ARP for a foreign address", cert3, func(v *VIF) []byte { return with(snap(foreignARP)(v), -2, 0) }, fromARP(ARP)),
		row("SNAP, LLDP", "IEEE 802.1AB annex C", snap(func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, 0x88cc, payload) }), fromARP(EtherType).in(Pass, "lldp")),
		row("802.1H, own ARP", "IEEE 802.1H", bridged(ownARP), fromARP(EtherType)),
		row("802.1H, ARP for a foreign address", cert1, bridged(foreignARP), fromARP(EtherType)),
		row("802.1H, foreign IPv4 source", cert1, bridged(func(v *VIF) []byte { return v.udp4(v.V4.Foreign) }), fromARP(EtherType)),
		row("802.1H, RA", cert1, bridged(ra), fromARP(EtherType)),
		row("802.1H, foreign Ethernet source", cert1, bridged(func(v *VIF) []byte { return v.udp(v.Foreign, v.V4.Own, v.V4.Peer) }), drop(MAC)),
		row("CDP", "SNAP with another OUI", func(v *VIF) []byte {
			return lab.SNAP(lab.MustMAC("01:00:0c:cc:cc:cc"), v.MAC, 0x00000c, 0x2000, payload)
		}, fromARP(EtherType)),
		row("SNAP with a length as protocol", "RFC 1042", func(v *VIF) []byte { return lab.SNAP(v.Peer, v.MAC, 0, 0x05ff, payload) }, fromARP(EtherType)),
		row("SNAP cut in its header", "truncated", func(v *VIF) []byte { return cut(lab.SNAP(v.Peer, v.MAC, 0, lab.TypeARP), 7) }, fromARP(EtherType)),
		row("SNAP with another control", "IEEE 802.2", func(v *VIF) []byte {
			frame := slices.Clone(snap(foreignARP)(v))
			frame[16] = 0x13 // unnumbered information with the poll bit
			return frame
		}, fromARP(EtherType)),
		row("spanning tree", "IEEE 802.1D", func(v *VIF) []byte { return lab.STP(v.MAC) }, fromARP(EtherType)),
		row("spanning tree from a foreign MAC", "IEEE 802.1D", func(v *VIF) []byte { return lab.STP(v.Foreign) }, drop(MAC)),
		row("IS-IS", "ISO 10589", llc(0xfe, 0xfe), fromARP(EtherType)),
		row("NetBEUI", "IEEE 802.2", llc(0xf0, 0xf0), fromARP(EtherType)),
		row("IP in LLC", "RFC 948", func(v *VIF) []byte { return lab.LLC(v.Peer, v.MAC, 6, 6, v.udp4(v.V4.Foreign)[ethernetBytes:]) }, fromARP(EtherType)),
		row("IPX without LLC", "Novell raw 802.3", raw(30, slices.Repeat([]byte{0xff}, 30)...), fromARP(EtherType)),
		row("length 0", "IEEE 802.3", raw(0), fromARP(EtherType)),
		row("length that isn't an ethertype yet", "IEEE 802.3", raw(0x05ff, payload...), fromARP(EtherType)),
	}
}
