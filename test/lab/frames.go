package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// The frames are written byte by byte rather than with the library the tests
// parse them with, so that one checks the other, and so that malformed ones
// are made the same way as well-formed ones.

// MAC is an Ethernet address. Any other type made from [6]byte can be used in
// its place.
type MAC = [6]byte

// Ethertypes.
const (
	TypeIPv4  = 0x0800
	TypeARP   = 0x0806
	TypeRARP  = 0x8035
	TypeVLAN  = 0x8100 // IEEE 802.1Q
	TypeIPv6  = 0x86dd
	TypeSVLAN = 0x88a8 // IEEE 802.1ad
)

// Well-known Ethernet addresses.
var (
	Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	// BridgeGroup is where spanning tree frames go to.
	BridgeGroup = MAC{0x01, 0x80, 0xc2, 0, 0, 0}
)

// minFrame is the least length of an Ethernet frame without its checksum.
const minFrame = 60

// MustMAC parses an address that is known to be right, and panics otherwise.
func MustMAC(s string) MAC {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(MAC{}) {
		panic(fmt.Sprintf("MustMAC(%q): %v", s, err))
	}
	return MAC(hw)
}

// Ether builds an Ethernet II frame. The parts of the payload are joined.
func Ether(dst, src MAC, etherType uint16, payload ...[]byte) []byte {
	frame := slices.Concat(dst[:], src[:], be16(etherType))
	return append(frame, slices.Concat(payload...)...)
}

// VLAN is one VLAN tag.
type VLAN struct {
	TPID uint16 // TypeVLAN if 0
	VID  uint16
	PCP  uint8
}

// Tagged inserts VLAN tags into a frame, the outermost first.
func Tagged(frame []byte, tags ...VLAN) []byte {
	var inserted []byte
	for _, tag := range tags {
		if tag.TPID == 0 {
			tag.TPID = TypeVLAN
		}
		inserted = append(inserted, be16(tag.TPID)...)
		inserted = append(inserted, be16(uint16(tag.PCP)<<13|tag.VID)...)
	}
	return slices.Concat(frame[:12], inserted, frame[12:])
}

// LLC builds an IEEE 802.3 frame with an LLC header of unnumbered information.
func LLC(dst, src MAC, dsap, ssap uint8, payload ...[]byte) []byte {
	data := append([]byte{dsap, ssap, 0x03}, slices.Concat(payload...)...)
	return Ether(dst, src, uint16(len(data)), data)
}

// SNAP builds an IEEE 802.3 frame with an LLC/SNAP header. With the OUI 0 the
// protocol is an ethertype (RFC 1042).
func SNAP(dst, src MAC, oui uint32, protocol uint16, payload ...[]byte) []byte {
	header := []byte{byte(oui >> 16), byte(oui >> 8), byte(oui), byte(protocol >> 8), byte(protocol)}
	return LLC(dst, src, 0xaa, 0xaa, header, slices.Concat(payload...))
}

// AsSNAP moves the payload of an untagged Ethernet II frame into LLC/SNAP.
func AsSNAP(frame []byte, oui uint32) []byte {
	dst, src := MAC(frame[0:6]), MAC(frame[6:12])
	return SNAP(dst, src, oui, binary.BigEndian.Uint16(frame[12:]), frame[14:])
}

// STP builds a spanning tree configuration message of a bridge that claims to
// be the root.
func STP(src MAC) []byte {
	bpdu := make([]byte, 35)
	copy(bpdu[7:], src[:])  // root identifier, after its priority
	copy(bpdu[19:], src[:]) // bridge identifier, after its priority
	bpdu[30] = 20           // maximum age
	bpdu[32] = 2            // hello time
	bpdu[34] = 15           // forward delay
	return LLC(BridgeGroup, src, 0x42, 0x42, bpdu)
}

// Pad appends zeros up to the least length of an Ethernet frame, as network
// cards do. The switch doesn't need it.
func Pad(frame []byte) []byte {
	return append(slices.Clone(frame), make([]byte, max(0, minFrame-len(frame)))...)
}

// GroupMAC is the Ethernet address that frames to a multicast address use
// (RFC 1112 section 6.4, RFC 2464 section 7).
func GroupMAC(group netip.Addr) MAC {
	b := group.AsSlice()
	if group.Is4() {
		return MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// LinkLocal is the IPv6 link-local address formed from a MAC (RFC 4291
// appendix A).
func LinkLocal(mac MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80,
		8: mac[0] ^ 0x02, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5],
	})
}

// SolicitedNode is the multicast address that neighbour solicitations for
// addr go to (RFC 4291 section 2.7.1).
func SolicitedNode(addr netip.Addr) netip.Addr {
	b := addr.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// checksum is the Internet checksum of the parts joined (RFC 1071).
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	data := slices.Concat(parts...)
	for i, b := range data {
		if i%2 == 0 {
			sum += uint32(b) << 8
		} else {
			sum += uint32(b)
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// pseudoHeader is what the checksum of an upper layer covers besides itself
// (RFC 768, RFC 8200 section 8.1).
func pseudoHeader(src, dst netip.Addr, protocol uint8, length int) []byte {
	if src.Is4() {
		return slices.Concat(src.AsSlice(), dst.AsSlice(), []byte{0, protocol}, be16(uint16(length)))
	}
	return slices.Concat(src.AsSlice(), dst.AsSlice(), be32(uint32(length)), []byte{0, 0, 0, protocol})
}
