package lab

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// DHCPv4 message types (RFC 2132 section 9.6).
const (
	DHCPDiscover = 1
	DHCPOffer    = 2
	DHCPRequest  = 3
	DHCPAck      = 5
)

// Addresses and ports of DHCP.
var (
	dhcpClientFrom = netip.MustParseAddrPort("0.0.0.0:68")
	dhcpClientTo   = netip.MustParseAddrPort("255.255.255.255:67")
	dhcpv6Servers  = netip.MustParseAddrPort("[ff02::1:2]:547")
)

// DHCPv4 is a DHCPv4 message of a client, or for a client, with that MAC: the
// payload of a UDP datagram. offered is the address given by a server.
func DHCPv4(messageType uint8, client MAC, offered netip.Addr, options ...[]byte) []byte {
	message := make([]byte, 236)
	message[0] = 1 // from a client
	if messageType == DHCPOffer || messageType == DHCPAck {
		message[0] = 2
	}
	message[1], message[2] = 1, 6 // Ethernet
	copy(message[4:], client[2:]) // transaction
	copy(message[16:], ipv4Bytes(offered))
	copy(message[28:], client[:])
	cookie := []byte{0x63, 0x82, 0x53, 0x63}
	return slices.Concat(message, cookie, []byte{53, 1, messageType}, slices.Concat(options...), []byte{255})
}

// DHCPv4Client is a frame of a client that has no address yet.
func DHCPv4Client(mac MAC, messageType uint8) []byte {
	return UDPFrame(Broadcast, mac, dhcpClientFrom, dhcpClientTo, DHCPv4(messageType, mac, netip.Addr{}))
}

// DHCPv4Server is a frame of a server that gives a client an address.
func DHCPv4Server(mac MAC, server netip.Addr, client MAC, messageType uint8, offered netip.Addr) []byte {
	serverID := append([]byte{54, 4}, ipv4Bytes(server)...)
	return UDPFrame(client, mac, netip.AddrPortFrom(server, 67), netip.AddrPortFrom(offered, 68),
		DHCPv4(messageType, client, offered, serverID))
}

// DHCPv6 message types (RFC 8415 section 7.3).
const (
	DHCPv6Solicit   = 1
	DHCPv6Advertise = 2
)

// DHCPv6 is a DHCPv6 message with the identifier of the sender: the payload of
// a UDP datagram.
func DHCPv6(messageType uint8, sender MAC) []byte {
	option := uint16(1) // client identifier
	if messageType == DHCPv6Advertise {
		option = 2
	}
	duid := slices.Concat(be16(3), be16(1), sender[:]) // link-layer address, Ethernet
	return slices.Concat([]byte{messageType, 0, 0, 1}, be16(option), be16(uint16(len(duid))), duid)
}

// DHCPv6Client is a frame of a client that looks for servers.
func DHCPv6Client(mac MAC, src netip.Addr) []byte {
	return UDPFrame(GroupMAC(dhcpv6Servers.Addr()), mac, netip.AddrPortFrom(src, 546), dhcpv6Servers,
		DHCPv6(DHCPv6Solicit, mac))
}

// DHCPv6Server is a frame of a server that answers a client.
func DHCPv6Server(mac MAC, server netip.Addr, clientMAC MAC, client netip.Addr) []byte {
	return UDPFrame(clientMAC, mac, netip.AddrPortFrom(server, 547), netip.AddrPortFrom(client, 546),
		DHCPv6(DHCPv6Advertise, mac))
}

// Groups that VRRP routers listen to (RFC 9568 sections 5.1.1.2, 5.1.2.2).
var (
	VRRPGroup4 = netip.MustParseAddr("224.0.0.18")
	VRRPGroup6 = netip.MustParseAddr("ff02::12")
)

// VirtualMAC is the MAC of a virtual router (RFC 9568 section 7.3).
func VirtualMAC(vrid uint8, ipv6 bool) MAC {
	if ipv6 {
		return MAC{0x00, 0x00, 0x5e, 0x00, 0x02, vrid}
	}
	return MAC{0x00, 0x00, 0x5e, 0x00, 0x01, vrid}
}

// VRRPv2 is a frame with an advertisement of VRRP version 2 (RFC 3768) for
// IPv4 addresses, from the virtual MAC and the router's own address.
func VRRPv2(vrid, priority uint8, src netip.Addr, addrs ...netip.Addr) []byte {
	message := []byte{0x21, vrid, priority, byte(len(addrs)), 0, 1, 0, 0}
	for _, addr := range addrs {
		message = append(message, addr.AsSlice()...)
	}
	message = append(message, make([]byte, 8)...) // authentication data
	binary.BigEndian.PutUint16(message[6:], checksum(message))
	packet := IPv4{Src: src, Dst: VRRPGroup4, Protocol: ProtoVRRP, TTL: 255}.Packet(message)
	return IPFrame(GroupMAC(VRRPGroup4), VirtualMAC(vrid, false), packet)
}

// VRRPv3 is a frame with an advertisement of VRRP version 3 (RFC 9568) for
// addresses of the family of src, from the virtual MAC and the router's own
// address, which is link-local in IPv6.
func VRRPv3(vrid, priority uint8, src netip.Addr, addrs ...netip.Addr) []byte {
	message := slices.Concat([]byte{0x31, vrid, priority, byte(len(addrs))}, be16(100), be16(0))
	for _, addr := range addrs {
		message = append(message, addr.AsSlice()...)
	}
	if src.Is4() {
		// The pseudo-header is left out for IPv4 (RFC 9568 section 5.2.8).
		binary.BigEndian.PutUint16(message[6:], checksum(message))
		packet := IPv4{Src: src, Dst: VRRPGroup4, Protocol: ProtoVRRP, TTL: 255}.Packet(message)
		return IPFrame(GroupMAC(VRRPGroup4), VirtualMAC(vrid, false), packet)
	}
	sum := checksum(pseudoHeader(src, VRRPGroup6, ProtoVRRP, len(message)), message)
	binary.BigEndian.PutUint16(message[6:], sum)
	packet := IPv6{Src: src, Dst: VRRPGroup6, Next: ProtoVRRP, HopLimit: 255}.Packet(message)
	return IPFrame(GroupMAC(VRRPGroup6), VirtualMAC(vrid, true), packet)
}
