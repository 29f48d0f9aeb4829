package conformance

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vifguard/vifguard/test/lab"
)

// VIF is the identity of the VIF with the number N, from which every frame is
// built. The same frame thus exists for every VIF, and differs between any two of
// them. Which of the addresses the VIF owns depends on its policy: see [Policy].
type VIF struct {
	N byte

	MAC     lab.MAC // its own MAC
	Other   lab.MAC // that of a pair, where the policy has one
	Foreign lab.MAC // nobody's
	Peer    lab.MAC // another station's
	VMAC4   lab.MAC // virtual router N, IPv4
	VMAC6   lab.MAC // virtual router N, IPv6

	V4, V6 Addresses
}

// Addresses are those of one family. In IPv4 they are 198.18.N.x, in IPv6
// 2001:db8:N::x with the same x in decimal.
type Addresses struct {
	Own     netip.Addr   // .10: its own address
	Pair    netip.Addr   // .20: a further address with the own MAC
	Other   netip.Addr   // .30: a pair with the MAC Other
	Virtual netip.Addr   // .40: a pair with a virtual router MAC
	Foreign netip.Addr   // .66: nobody's, outside every prefix but /0
	Peer    netip.Addr   // .77: another station's
	Prefix  netip.Prefix // 198.18.N.128/25 or 2001:db8:N:1::/64
	First   netip.Addr   // the first address in Prefix
	Last    netip.Addr   // the last address in Prefix
	Before  netip.Addr   // the one before Prefix
}

// NewVIF returns the identity with a number.
func NewVIF(n byte) *VIF {
	v := &VIF{
		N:       n,
		MAC:     lab.MAC{0x52, 0x54, 0, 0, n, 0x01},
		Other:   lab.MAC{0x52, 0x54, 0, 0, n, 0x02},
		Foreign: lab.MAC{0x52, 0x54, 0, 0, n, 0x66},
		Peer:    lab.MAC{0x52, 0x54, 0, 0, n, 0x77},
		VMAC4:   lab.VirtualMAC(n, false),
		VMAC6:   lab.VirtualMAC(n, true),
	}
	v.V4 = newAddresses(fmt.Sprintf("198.18.%d.", n))
	v.V4.setPrefix(fmt.Sprintf("198.18.%d.128/25", n), fmt.Sprintf("198.18.%d.255", n))
	v.V6 = newAddresses(fmt.Sprintf("2001:db8:%x::", n))
	v.V6.setPrefix(fmt.Sprintf("2001:db8:%x:1::/64", n), fmt.Sprintf("2001:db8:%x:1:ffff:ffff:ffff:ffff", n))
	return v
}

func newAddresses(network string) Addresses {
	at := func(host string) netip.Addr { return netip.MustParseAddr(network + host) }
	return Addresses{Own: at("10"), Pair: at("20"), Other: at("30"), Virtual: at("40"), Foreign: at("66"), Peer: at("77")}
}

func (a *Addresses) setPrefix(prefix, last string) {
	a.Prefix = netip.MustParsePrefix(prefix)
	a.First, a.Last = a.Prefix.Addr(), netip.MustParseAddr(last)
	a.Before = a.First.Prev()
}

// LinkLocal is the link-local address that belongs to the VIF's own MAC.
func (v *VIF) LinkLocal() netip.Addr { return lab.LinkLocal(v.MAC) }

// ForeignLinkLocal is a link-local address of nobody.
func (v *VIF) ForeignLinkLocal() netip.Addr { return lab.LinkLocal(v.Foreign) }

// expand replaces the names of the VIF's addresses in a value of OVSDB:
// {MAC}, {Own4}, {Own6}, {Pair4}, {Net6}, {Other}, {Virtual4}, {VMAC4} and so on.
func (v *VIF) expand(value string) string {
	mac := func(m lab.MAC) string {
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
	}
	return strings.NewReplacer(
		"{MAC}", mac(v.MAC), "{Other}", mac(v.Other), "{VMAC4}", mac(v.VMAC4), "{VMAC6}", mac(v.VMAC6),
		"{Own4}", v.V4.Own.String(), "{Own6}", v.V6.Own.String(),
		"{Pair4}", v.V4.Pair.String(), "{Pair6}", v.V6.Pair.String(),
		"{Other4}", v.V4.Other.String(), "{Other6}", v.V6.Other.String(),
		"{Virtual4}", v.V4.Virtual.String(), "{Virtual6}", v.V6.Virtual.String(),
		"{Net4}", v.V4.Prefix.String(), "{Net6}", v.V6.Prefix.String(),
	).Replace(value)
}
