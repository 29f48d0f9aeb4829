package frame

import (
	"net/netip"

	"github.com/vifguard/vifguard/model"
)

// ARP (RFC 826) and RARP (RFC 903).
const (
	opRequest        = 1
	opReply          = 2
	opReverseRequest = 3
	opReverseReply   = 4

	arpFixedLen   = 8 // up to the addresses, whose lengths it tells
	hardwareEther = 1
	macLen        = 6
	ipv4Len       = 4
)

// arp reads an ARP or RARP packet, which is to have one of two opcodes.
func (p *parser) arp(layer string, b []byte, ops ...uint16) {
	if len(b) < arpFixedLen {
		p.cut(layer, "header")
		return
	}
	a := &ARP{
		HardwareType: be16(b), ProtocolType: be16(b[2:]),
		HardwareLength: b[4], ProtocolLength: b[5],
		Op: be16(b[6:]),
	}
	p.ARP = a
	if a.HardwareType != hardwareEther {
		p.problem("%s: hardware type %d (want %d, Ethernet)", layer, a.HardwareType, hardwareEther)
	}
	if a.ProtocolType != model.EtherTypeIPv4 {
		p.problem("%s: protocol type 0x%04x (want 0x%04x, IPv4)", layer, a.ProtocolType, model.EtherTypeIPv4)
	}
	if a.Op != ops[0] && a.Op != ops[1] {
		p.problem("%s: opcode %d (want %d or %d)", layer, a.Op, ops[0], ops[1])
	}
	p.arpAddresses(layer, b[arpFixedLen:])
}

func (p *parser) arpAddresses(layer string, b []byte) {
	a := p.ARP
	if a.HardwareLength != macLen {
		p.problem("%s: hardware address length %d (want %d)", layer, a.HardwareLength, macLen)
	}
	if a.ProtocolLength != ipv4Len {
		p.problem("%s: protocol address length %d (want %d)", layer, a.ProtocolLength, ipv4Len)
	}
	if a.HardwareLength != macLen || a.ProtocolLength != ipv4Len {
		return
	}
	if len(b) < 2*(macLen+ipv4Len) {
		p.cut(layer, "addresses")
		return
	}
	a.SHA, a.SPA = model.MAC(b[0:6]), netip.AddrFrom4([4]byte(b[6:10]))
	a.THA, a.TPA = model.MAC(b[10:16]), netip.AddrFrom4([4]byte(b[16:20]))
	if !isStation(a.SHA) {
		p.problem("%s: sender hardware address %s (want a unicast address)", layer, a.SHA)
	}
	if isGroup(a.SPA) {
		p.problem("%s: sender protocol address %s (want a unicast address)", layer, a.SPA)
	}
}

// isGroup reports whether more than one host has the address, so that none can
// send from it (RFC 1122 section 3.2.1.3, RFC 4291 section 2.7).
func isGroup(addr netip.Addr) bool {
	return addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
