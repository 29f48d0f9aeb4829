package model

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
)

// MAC is a 48-bit Ethernet address. It is comparable, so it can be a map key.
type MAC [6]byte

// ParseMAC parses one 48-bit MAC address in any notation of [net.ParseMAC] and
// refuses those that can't be a sender: group addresses (IEEE 802 section 8.2, the
// low bit of the first octet) and the zero address.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("is not a MAC address (want e.g. 52:54:00:12:34:56)")
	}
	m := MAC(hw)
	switch {
	case m == MAC{}:
		return MAC{}, fmt.Errorf("is the zero address, which no VIF can own (want e.g. 52:54:00:12:34:56)")
	case m.IsGroup():
		return MAC{}, fmt.Errorf("is a group address, which can't be a sender (the first octet must be even, e.g. 52:54:00:12:34:56)")
	}
	return m, nil
}

// parseOwnMAC parses a value of attached-mac; an unusable one is the zero address.
func parseOwnMAC(key, value string, ps *Problems) MAC {
	m, err := ParseMAC(value)
	if err != nil {
		ps.add(key, value, "%v", err)
	}
	return m
}

// canonicalMAC returns the notation of a MAC address that everybody reads.
func canonicalMAC(value string) (string, bool) {
	m, err := ParseMAC(value)
	return m.String(), err == nil
}

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText writes the address as String does, for JSON.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads any 48-bit address, also those that [ParseMAC] refuses.
func (m *MAC) UnmarshalText(b []byte) error {
	hw, err := net.ParseMAC(string(b))
	if err != nil || len(hw) != len(m) {
		return fmt.Errorf("%q is not a MAC address (want e.g. 52:54:00:12:34:56)", b)
	}
	*m = MAC(hw)
	return nil
}

// IsGroup reports whether m is a multicast or broadcast address.
func (m MAC) IsGroup() bool { return m[0]&1 != 0 }

// Compare orders MAC addresses by their octets.
func (m MAC) Compare(o MAC) int { return bytes.Compare(m[:], o[:]) }

// IsVRRP reports whether m is a VRRP virtual router MAC address, of IPv4
// (00:00:5e:00:01:XX) or of IPv6 (00:00:5e:00:02:XX): RFC 9568 section 7.3.
func (m MAC) IsVRRP() bool {
	return m[0] == 0 && m[1] == 0 && m[2] == 0x5e && m[3] == 0 && (m[4] == 1 || m[4] == 2)
}

// LinkLocal returns the IPv6 link-local address that stateless autoconfiguration
// derives from m: fe80::/64 and the modified EUI-64 identifier (RFC 4291 appendix A).
func (m MAC) LinkLocal() netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80,
		8: m[0] ^ 0x02, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5],
	})
}
