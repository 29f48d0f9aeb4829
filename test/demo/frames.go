package main

import (
	"net/netip"

	"github.com/vifguard/vifguard/test/lab"
)

// typePPPoE is the ethertype of PPPoE discovery (RFC 2516).
const typePPPoE = 0x8863

// arpLie tells bob that the gateway is at mallory's MAC.
func arpLie() []byte { return lab.ARPReply(mallory.mac, uplink.ip4, bob.mac, bob.ip4) }

// rarpLie would make switches learn alice's MAC at mallory's port, if they looked
// inside.
func rarpLie() []byte {
	packet := lab.ARP{Op: lab.OpReverseRequest, SHA: alice.mac, THA: alice.mac}
	return lab.Ether(lab.Broadcast, mallory.mac, lab.TypeRARP, packet.Bytes())
}

// foreignSHA is an ARP reply from the sender's own MAC that names a stranger's.
func foreignSHA(from *vif) []byte {
	to, claimed := bob, uplink.ip4
	if from.bridge == tenant {
		to, claimed = tom, tom.ip4
	}
	packet := lab.ARP{Op: lab.OpReply, SHA: stranger, SPA: claimed, THA: to.mac, TPA: to.ip4}
	return packet.Frame(to.mac, from.mac)
}

// neighbourLie is arpLie in IPv6.
func neighbourLie() []byte {
	packet := lab.NA(uplink.ip6, bob.ip6, lab.FlagRouter|lab.FlagOverride, uplink.ip6, lab.TargetLL(mallory.mac))
	return lab.IPFrame(bob.mac, mallory.mac, packet)
}

// takeover6 announces the IPv6 failover address to all nodes (RFC 4861 section
// 7.2.6).
func takeover6(holder *vif) []byte {
	packet := lab.NA(failover6, lab.AllNodes, lab.FlagOverride, failover6, lab.TargetLL(holder.mac))
	return lab.IPFrame(lab.GroupMAC(lab.AllNodes), holder.mac, packet)
}

// stolenMAC is a frame from mallory with alice's MAC and mallory's own address.
func stolenMAC() []byte { return udpAs(alice.mac, bob, mallory.ip4, bob.ip4) }

func udp(from, to *vif, src, dst netip.Addr) []byte { return udpAs(from.mac, to, src, dst) }

func udpAs(from lab.MAC, to *vif, src, dst netip.Addr) []byte {
	const discard = 9
	return lab.UDPFrame(to.mac, from, netip.AddrPortFrom(src, 40000), netip.AddrPortFrom(dst, discard), []byte("demo"))
}

func rogueDHCP() []byte {
	return lab.DHCPv4Server(mallory.mac, mallory.ip4, bob.mac, lab.DHCPOffer, bob.ip4)
}

func rogueRA() []byte {
	packet := lab.RA(lab.LinkLocal(mallory.mac), lab.SourceLL(mallory.mac))
	return lab.IPFrame(lab.GroupMAC(lab.AllNodes), mallory.mac, packet)
}

// fragmentedRA is the first fragment of a router advertisement: switches that look
// at the first header only don't recognise it.
func fragmentedRA() []byte {
	src := lab.LinkLocal(mallory.mac)
	message := lab.ICMPv6(src, lab.AllNodes, lab.ICMPv6RA, 0, lab.RABody(lab.SourceLL(mallory.mac)))
	header := lab.FragmentHeader(lab.ProtoICMPv6, 0, true, 1)
	packet := lab.IPv6{Src: src, Dst: lab.AllNodes, Next: lab.ProtoFragment, HopLimit: 255}.Packet(header, message)
	return lab.IPFrame(lab.GroupMAC(lab.AllNodes), mallory.mac, packet)
}
