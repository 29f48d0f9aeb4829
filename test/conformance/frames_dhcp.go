package conformance

import (
	"net/netip"

	"github.com/vifguard/vifguard/test/lab"
)

// dhcpFrames are about the messages of DHCP clients, servers and relays.
func dhcpFrames() []Frame {
	// v4 and v6 are datagrams with the own MAC between ports.
	v4 := func(src func(v *VIF) netip.Addr, sport uint16, dst func(v *VIF) netip.Addr, dport uint16) func(v *VIF) []byte {
		return func(v *VIF) []byte { return v.ports(v.MAC, src(v), sport, dst(v), dport) }
	}
	own := func(v *VIF) netip.Addr { return v.V4.Own }
	foreign := func(v *VIF) netip.Addr { return v.V4.Foreign }
	unset := func(*VIF) netip.Addr { return any4 }
	peer := func(v *VIF) netip.Addr { return v.V4.Peer }
	all := func(*VIF) netip.Addr { return broadcast4 }
	server := fromARP(DHCPServer).in(Pass, "dhcp-server")
	elsewhere := fromARP(DHCPServer).in(IP, "dhcp-server") // passes the guard, not the source check
	fragment := func(data []byte, v *VIF) []byte { return v.fragment4(v.V4.Own, v.V4.Peer, 0, true, data) }
	return []Frame{
		row("discover", "RFC 2131", func(v *VIF) []byte { return lab.DHCPv4Client(v.MAC, lab.DHCPDiscover) }, pass()),
		row("request", "RFC 2131", func(v *VIF) []byte { return lab.DHCPv4Client(v.MAC, lab.DHCPRequest) }, pass()),
		row("discover from a pair's MAC", "RFC 2131", func(v *VIF) []byte { return lab.DHCPv4Client(v.Other, lab.DHCPDiscover) },
			drop(MAC).in(Pass, "pairs", "mac-pair")),
		row("renewal", "RFC 2131 section 4.3.2", v4(own, dhcp4Client, peer, dhcp4Server), pass()),
		row("rebinding", "RFC 2131 section 4.3.2", v4(own, dhcp4Client, all, dhcp4Server), pass()),
		row("client without an address, unicast", "RFC 2131", v4(unset, dhcp4Client, peer, dhcp4Server), fromIP()),
		row("client without an address, other source port", "RFC 2131", v4(unset, someoneElse, all, dhcp4Server), fromIP()),
		row("client without an address, other port", "RFC 2131", v4(unset, dhcp4Client, all, 69), fromIP()),
		row("client without an address, TCP", "RFC 2131", func(v *VIF) []byte {
			return lab.TCPFrame(lab.Broadcast, v.MAC, netip.AddrPortFrom(any4, dhcp4Client), netip.AddrPortFrom(broadcast4, dhcp4Server), lab.FlagSYN)
		}, fromIP()),
		row("client with a foreign address", "RFC 2131", v4(foreign, dhcp4Client, all, dhcp4Server), fromIP().in(Pass, "any")),

		row("offer", "CVE-2016-5362", func(v *VIF) []byte {
			return lab.DHCPv4Server(v.MAC, v.V4.Own, v.Peer, lab.DHCPOffer, v.V4.Foreign)
		}, server),
		row("acknowledgement to everybody", "RFC 2131", v4(own, dhcp4Server, all, dhcp4Client), server),
		row("offer from any port", "clients look at their own port only", v4(own, someoneElse, peer, dhcp4Client), server),
		row("offer from the client's port", "clients look at their own port only", v4(own, dhcp4Client, peer, dhcp4Client), server),
		row("offer from port 0", "clients look at their own port only", v4(own, 0, peer, dhcp4Client), server),
		row("offer from a foreign source", "rogue server", v4(foreign, dhcp4Server, peer, dhcp4Client), elsewhere),
		row("offer from source 0.0.0.0", "rogue server", v4(unset, dhcp4Server, all, dhcp4Client), elsewhere),
		row("server to relay", "RFC 1542", v4(own, dhcp4Server, peer, dhcp4Server), server),
		row("server to server, broadcast from 0.0.0.0", "RFC 1542", v4(unset, dhcp4Server, all, dhcp4Server), elsewhere),
		row("any port to the server's port", "RFC 2131", v4(own, someoneElse, peer, dhcp4Server), pass()),
		row("server's port to any port", "RFC 2131", v4(own, dhcp4Server, peer, someoneElse), pass()),
		row("TCP to port 68", "RFC 2131", func(v *VIF) []byte {
			return lab.TCPFrame(v.Peer, v.MAC, netip.AddrPortFrom(v.V4.Own, dhcp4Server), netip.AddrPortFrom(v.V4.Peer, dhcp4Client), lab.FlagSYN)
		}, pass()),
		row("offer with IP options", "RFC 791", func(v *VIF) []byte {
			packet := lab.IPv4{Src: v.V4.Own, Dst: v.V4.Peer, Protocol: lab.ProtoUDP, Options: []byte{1, 1, 1, 0}}.
				Packet(segment(v.V4.Own, dhcp4Server, v.V4.Peer, dhcp4Client))
			return lab.IPFrame(v.Peer, v.MAC, packet)
		}, server),
		row("offer, first fragment", "fragment attack on guards", func(v *VIF) []byte {
			return fragment(segment(v.V4.Own, dhcp4Server, v.V4.Peer, dhcp4Client)[:16], v)
		}, server),
		row("offer, first fragment of 8 bytes", "RFC 1858", func(v *VIF) []byte {
			return fragment(segment(v.V4.Own, dhcp4Server, v.V4.Peer, dhcp4Client)[:8], v)
		}, server),
		row("offer, first fragment without its ports", "RFC 1858", func(v *VIF) []byte {
			return fragment(segment(v.V4.Own, dhcp4Server, v.V4.Peer, dhcp4Client)[:2], v)
		}, fromARP(Malformed)),
		row("offer, later fragment", "RFC 791; the first one was dropped", func(v *VIF) []byte {
			return v.fragment4(v.V4.Own, v.V4.Peer, 1, false, payload)
		}, pass()),
		row("offer in a group's frame", "RFC 2131", func(v *VIF) []byte {
			return v.ports(v.MAC, v.V4.Own, dhcp4Server, allHosts4, dhcp4Client)
		}, server),

		row("DHCPv6 solicit", "RFC 8415", func(v *VIF) []byte { return lab.DHCPv6Client(v.MAC, v.LinkLocal()) }, pass()),
		row("DHCPv6 solicit from the own address", "RFC 8415", func(v *VIF) []byte { return lab.DHCPv6Client(v.MAC, v.V6.Own) }, pass()),
		row("DHCPv6 solicit from a foreign address", "RFC 8415", func(v *VIF) []byte { return lab.DHCPv6Client(v.MAC, v.ForeignLinkLocal()) },
			fromIP().in(Pass, "any")),
		row("DHCPv6 solicit from ::", "RFC 8415 section 17", func(v *VIF) []byte { return lab.DHCPv6Client(v.MAC, any6) }, fromIP()),
		row("DHCPv6 advertise", "rogue server", func(v *VIF) []byte {
			return lab.DHCPv6Server(v.MAC, v.LinkLocal(), v.Peer, v.V6.Peer)
		}, server),
		row("DHCPv6 advertise from any port", "clients look at their own port only", func(v *VIF) []byte {
			return v.ports(v.MAC, v.LinkLocal(), someoneElse, v.V6.Peer, dhcp6Client)
		}, server),
		row("DHCPv6 advertise from a foreign source", "rogue server", func(v *VIF) []byte {
			return v.ports(v.MAC, v.ForeignLinkLocal(), dhcp6Server, v.V6.Peer, dhcp6Client)
		}, elsewhere),
		row("DHCPv6 server to relay", "RFC 8415 section 19", func(v *VIF) []byte {
			return v.ports(v.MAC, v.V6.Own, dhcp6Server, v.V6.Peer, dhcp6Server)
		}, server),
		row("DHCPv6 client to the agents' group from port 546", "RFC 8415", func(v *VIF) []byte {
			return v.ports(v.MAC, v.LinkLocal(), dhcp6Client, dhcpAgents, dhcp6Server)
		}, pass()),
		row("IPv6 to port 68", "no DHCP there", func(v *VIF) []byte {
			return v.ports(v.MAC, v.V6.Own, dhcp4Server, v.V6.Peer, dhcp4Client)
		}, pass()),
		row("IPv4 to port 546", "no DHCP there", v4(own, dhcp6Server, peer, dhcp6Client), pass()),
	}
}
