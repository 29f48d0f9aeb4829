package conformance

import (
	"slices"

	"github.com/vifguard/vifguard/test/lab"
)

// etherFrames are about the Ethernet source.
func etherFrames() []Frame {
	from := func(mac func(v *VIF) lab.MAC) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.udp(mac(v), v.V4.Own, v.V4.Peer) }
	}
	fixed := func(s string) func(v *VIF) []byte {
		return from(func(*VIF) lab.MAC { return lab.MustMAC(s) })
	}
	return []Frame{
		row("own MAC to a station", "IEEE 802.3",
			from(func(v *VIF) lab.MAC { return v.MAC }), pass()),
		row("own MAC to everybody", "IEEE 802.3",
			func(v *VIF) []byte { return v.udp(v.MAC, v.V4.Own, broadcast4) }, pass()),
		row("own MAC to a group", "RFC 1112",
			func(v *VIF) []byte { return v.udp(v.MAC, v.V4.Own, allHosts4) }, pass()),
		row("foreign MAC, own address", "CVE-2016-5363",
			from(func(v *VIF) lab.MAC { return v.Foreign }), drop(MAC)),
		row("foreign MAC, foreign address", "CVE-2016-5363",
			func(v *VIF) []byte { return v.udp(v.Foreign, v.V4.Foreign, v.V4.Peer) }, drop(MAC)),
		row("foreign MAC, IPv6", "CVE-2016-5363",
			func(v *VIF) []byte { return v.udp(v.Foreign, v.V6.Own, v.V6.Peer) }, drop(MAC)),
		row("foreign MAC, its own link-local address", "CVE-2015-8914",
			func(v *VIF) []byte { return v.udp(v.Foreign, v.ForeignLinkLocal(), v.V6.Peer) }, drop(MAC)),
		row("MAC of the station it talks to", "MAC flapping",
			from(func(v *VIF) lab.MAC { return v.Peer }), drop(MAC)),
		row("own MAC with the group bit", "IEEE 802 section 8.2", from(func(v *VIF) lab.MAC {
			m := v.MAC
			m[0] |= 1
			return m
		}), drop(MAC)),
		row("own MAC with the local bit flipped", "IEEE 802 section 8.2", from(func(v *VIF) lab.MAC {
			m := v.MAC
			m[0] ^= 2
			return m
		}), drop(MAC)),
		row("own MAC with the last bit flipped", "near miss", from(func(v *VIF) lab.MAC {
			m := v.MAC
			m[5] ^= 1
			return m
		}), drop(MAC)),
		row("zero source", "IEEE 802 section 8.2", fixed("00:00:00:00:00:00"), drop(MAC)),
		row("broadcast source", "IEEE 802 section 8.2", fixed("ff:ff:ff:ff:ff:ff"), drop(MAC)),
		row("group source of spanning tree", "IEEE 802.1D", fixed("01:80:c2:00:00:00"), drop(MAC)),
		row("MAC of a pair, its address", "allowed address pair",
			func(v *VIF) []byte { return v.udp(v.Other, v.V4.Other, v.V4.Peer) },
			drop(MAC).in(Pass, "pairs", "mac-pair")),
		row("MAC of a pair, the own address", "allowed address pair",
			func(v *VIF) []byte { return v.udp(v.Other, v.V4.Own, v.V4.Peer) },
			drop(MAC).in(IP, "pairs").in(Pass, "mac-pair")),
		row("foreign MAC, unknown ethertype", "IEEE 802.3",
			func(v *VIF) []byte { return lab.Ether(v.Peer, v.Foreign, 0x88b5, payload) }, drop(MAC)),
		row("foreign MAC, nothing else", "shortest frame",
			func(v *VIF) []byte { return lab.Ether(v.Peer, v.Foreign, lab.TypeIPv4) }, drop(MAC)),
		row("own MAC, IPv4 without a packet", "shortest frame",
			func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, lab.TypeIPv4) }, fromARP(Malformed)),
		row("own MAC, IPv6 without a packet", "shortest frame",
			func(v *VIF) []byte { return lab.Ether(v.Peer, v.MAC, lab.TypeIPv6) }, unreadable()),
	}
}

// etherTypeFrames are about protocols other than ARP and IP.
func etherTypeFrames() []Frame {
	of := func(t uint16) func(v *VIF) []byte {
		return func(v *VIF) []byte { return lab.Pad(lab.Ether(v.Peer, v.MAC, t, payload)) }
	}
	lldp := func(eth func(v *VIF) lab.MAC) func(v *VIF) []byte {
		return func(v *VIF) []byte {
			chassis := append([]byte{2, 7, 4}, v.MAC[:]...)
			body := slices.Concat(chassis, []byte{4, 2, 7, '1', 6, 2, 0, 120, 0, 0})
			return lab.Pad(lab.Ether(lab.MustMAC("01:80:c2:00:00:0e"), eth(v), 0x88cc, body))
		}
	}
	ip := func(v *VIF) []byte { return v.udp4(v.V4.Foreign)[ethernetBytes:] }
	return []Frame{
		row("LLDP", "IEEE 802.1AB",
			lldp(func(v *VIF) lab.MAC { return v.MAC }), fromARP(EtherType).in(Pass, "lldp")),
		row("LLDP from a foreign MAC", "IEEE 802.1AB",
			lldp(func(v *VIF) lab.MAC { return v.Foreign }), drop(MAC)),
		row("ethertype next to LLDP's", "near miss", of(0x88cd), fromARP(EtherType)),
		row("EAPOL", "IEEE 802.1X", of(0x888e), fromARP(EtherType)),
		row("PPPoE discovery", "RFC 2516", of(0x8863), fromARP(EtherType)),
		row("PPPoE session with a foreign IPv4 source", "RFC 2516", func(v *VIF) []byte {
			return lab.Ether(v.Peer, v.MAC, 0x8864, []byte{0x11, 0, 0, 1, 0, 30, 0, 0x21}, ip(v))
		}, fromARP(EtherType)),
		row("MPLS with a foreign IPv4 source", "RFC 3032", func(v *VIF) []byte {
			return lab.Ether(v.Peer, v.MAC, 0x8847, []byte{0, 1, 1, 64}, ip(v))
		}, fromARP(EtherType)),
		row("MPLS multicast", "RFC 5332", of(0x8848), fromARP(EtherType)),
		row("NSH", "RFC 8300", of(0x894f), fromARP(EtherType)),
		row("transparent Ethernet bridging", "RFC 1701", of(0x6558), fromARP(EtherType)),
		row("loopback test", "Ethernet configuration testing protocol", of(0x9000), fromARP(EtherType)),
		row("Wake-on-LAN", "AMD Magic Packet", of(0x0842), fromARP(EtherType)),
		row("MACsec", "IEEE 802.1AE", of(0x88e5), fromARP(EtherType)),
		row("PTP", "IEEE 1588", of(0x88f7), fromARP(EtherType)),
		row("FCoE", "FC-BB-5", of(0x8906), fromARP(EtherType)),
		row("ATA over Ethernet", "ATA over Ethernet", of(0x88a2), fromARP(EtherType)),
		row("RoCE", "InfiniBand annex A16", of(0x8915), fromARP(EtherType)),
		row("pause frame", "IEEE 802.3x", func(v *VIF) []byte {
			return lab.Pad(lab.Ether(lab.MustMAC("01:80:c2:00:00:01"), v.MAC, 0x8808, []byte{0, 1, 0xff, 0xff}))
		}, fromARP(EtherType)),
		row("local experiment", "IEEE 802 section 9.2", of(0x88b5), fromARP(EtherType)),
		row("smallest ethertype", "IEEE 802.3", of(0x0600), fromARP(EtherType)),
		row("largest ethertype", "IEEE 802.3", of(0xffff), fromARP(EtherType)),
		row("ethertype next to IPv4's", "near miss", of(0x0801), fromARP(EtherType)),
	}
}
