package lab

import (
	"net/netip"
	"slices"
)

// ARP operations (RFC 826, RFC 903).
const (
	OpRequest        = 1
	OpReply          = 2
	OpReverseRequest = 3
	OpReverseReply   = 4
)

// ARP is an ARP packet for Ethernet and IPv4. The first four fields are
// filled in when they are 0, and are free to be odd otherwise: the addresses
// are always written with six and four bytes.
type ARP struct {
	HardwareType   uint16 // 1, Ethernet
	ProtocolType   uint16 // TypeIPv4
	HardwareLength uint8  // 6
	ProtocolLength uint8  // 4

	Op       uint16
	SHA, THA MAC        // sender and target hardware address
	SPA, TPA netip.Addr // sender and target protocol address; 0.0.0.0 if not set
}

// Bytes is the packet, the payload of a frame of TypeARP or TypeRARP.
func (a ARP) Bytes() []byte {
	if a.HardwareType == 0 {
		a.HardwareType = 1
	}
	if a.ProtocolType == 0 {
		a.ProtocolType = TypeIPv4
	}
	if a.HardwareLength == 0 {
		a.HardwareLength = 6
	}
	if a.ProtocolLength == 0 {
		a.ProtocolLength = 4
	}
	return slices.Concat(
		be16(a.HardwareType), be16(a.ProtocolType),
		[]byte{a.HardwareLength, a.ProtocolLength}, be16(a.Op),
		a.SHA[:], ipv4Bytes(a.SPA), a.THA[:], ipv4Bytes(a.TPA))
}

// Frame puts the packet into a frame.
func (a ARP) Frame(dst, src MAC) []byte { return Ether(dst, src, TypeARP, a.Bytes()) }

// ARPRequest asks everybody for the MAC of target.
func ARPRequest(mac MAC, ip, target netip.Addr) []byte {
	return ARP{Op: OpRequest, SHA: mac, SPA: ip, TPA: target}.Frame(Broadcast, mac)
}

// ARPReply tells a station that ip is at mac.
func ARPReply(mac MAC, ip netip.Addr, targetMAC MAC, target netip.Addr) []byte {
	return ARP{Op: OpReply, SHA: mac, SPA: ip, THA: targetMAC, TPA: target}.Frame(targetMAC, mac)
}

// GratuitousARP announces ip to everybody, as a request (RFC 5227 section
// 2.3).
func GratuitousARP(mac MAC, ip netip.Addr) []byte { return ARPRequest(mac, ip, ip) }

// ARPProbe asks whether someone has ip already (RFC 5227 section 2.1).
func ARPProbe(mac MAC, ip netip.Addr) []byte { return ARPRequest(mac, netip.IPv4Unspecified(), ip) }

// RARPAnnounce is what a hypervisor sends for a guest after a live migration,
// so that switches learn where its MAC is now.
func RARPAnnounce(mac MAC) []byte {
	packet := ARP{Op: OpReverseRequest, SHA: mac, THA: mac}
	return Pad(Ether(Broadcast, mac, TypeRARP, packet.Bytes()))
}

func ipv4Bytes(addr netip.Addr) []byte {
	if !addr.IsValid() {
		return make([]byte, 4)
	}
	b := addr.As4()
	return b[:]
}
