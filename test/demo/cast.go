package main

import (
	"net/netip"

	"github.com/vifguard/vifguard/test/lab"
)

// The bridges, one for each kind of network.
const (
	public  = "br-public"  // flat, shared by all
	private = "br-private" // behind the NAT VM
	tenant  = "br-tenant"  // one customer's own
)

// vif is a network interface of a guest: a port of a bridge, and what its owner
// is entitled to.
type vif struct {
	name     string // of the port, and in the output
	bridge   string
	mac      lab.MAC
	ip4, ip6 netip.Addr
	guest    *vif              // whose second interface this is; nil for a guest's first
	ids      map[string]string // external_ids that the hypervisor writes when it plugs the VIF
	late     bool              // plugged only when a step says so
}

// The guests. Each has the last byte of its MAC in its addresses.
var (
	uplink = &vif{name: "uplink", bridge: public, mac: mac(0x01), ip4: ip("198.51.100.1"), ip6: ip("2001:db8::1")}

	alice   = &vif{name: "alice", bridge: public, mac: mac(0x10), ip4: ip("198.51.100.16"), ip6: ip("2001:db8::10")}
	bob     = &vif{name: "bob", bridge: public, mac: mac(0x11), ip4: ip("198.51.100.17"), ip6: ip("2001:db8::11")}
	mallory = &vif{name: "mallory", bridge: public, mac: mac(0x66), ip4: ip("198.51.100.102"), ip6: ip("2001:db8::66")}

	nat   = &vif{name: "nat", bridge: public, mac: mac(0x20), ip4: ip("198.51.100.32"), ip6: ip("2001:db8::20")}
	natIn = &vif{name: "nat-in", bridge: private, mac: mac(0x21), ip4: ip("10.0.0.33"), guest: nat}
	app   = &vif{name: "app", bridge: private, mac: mac(0x22), ip4: ip("10.0.0.34")}

	web1 = &vif{name: "web1", bridge: public, mac: mac(0x31), ip4: ip("198.51.100.49"), ip6: ip("2001:db8::31")}
	web2 = &vif{name: "web2", bridge: public, mac: mac(0x32), ip4: ip("198.51.100.50"), ip6: ip("2001:db8::32")}

	tess = &vif{name: "tess", bridge: tenant, mac: mac(0x41), ip4: ip("192.168.7.65")}
	tom  = &vif{name: "tom", bridge: tenant, mac: mac(0x42), ip4: ip("192.168.7.66")}
	bare = &vif{name: "bare", bridge: tenant, mac: mac(0x43), ip4: ip("192.168.7.67")}

	ids    = &vif{name: "ids", bridge: public, mac: mac(0x50), ip4: ip("198.51.100.80"), ip6: ip("2001:db8::50")}
	legacy = &vif{name: "legacy", bridge: public, mac: mac(0x60), ip4: ip("198.51.100.96"), ip6: ip("2001:db8::60")}

	fresh = &vif{name: "fresh", bridge: public, mac: mac(0x70), ip4: ip("198.51.100.112"), late: true,
		ids: map[string]string{"attached-mac": "52:54:00:00:00:70", "allowed-addresses": "198.51.100.112"}}
)

// cast lists them in the order in which they are plugged in.
func cast() []*vif {
	return []*vif{uplink, alice, bob, mallory, nat, natIn, app, web1, web2, tess, tom, bare, ids, legacy, fresh}
}

// Addresses that belong to no single guest.
var (
	failover4 = ip("198.51.100.30") // floats between web1 and web2
	failover6 = ip("2001:db8::30")
	elsewhere = ip("203.0.113.9") // some host of the Internet
	unused6   = ip("2001:db8::bad")
	stranger  = mac(0x99) // a station that nobody declared
)

// vrid is the VRRP router that the failover address belongs to, beside the MACs
// of its holders.
const vrid = 0x1e

func mac(last byte) lab.MAC     { return lab.MAC{0x52, 0x54, 0, 0, 0, last} }
func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

// addresses are those that the guest configures on the interface.
func (v *vif) addresses() []netip.Prefix {
	list := []netip.Prefix{netip.PrefixFrom(v.ip4, 24)}
	if v.ip6.IsValid() {
		list = append(list, netip.PrefixFrom(v.ip6, 64))
	}
	return list
}
