//go:build lab

package hosts

import "testing"

func TestTenant(t *testing.T) {
	tess := guest{name: "tess", host: host1, mac: "52:54:00:00:00:41", addrs: []string{"192.168.7.65/24"}}
	tom := guest{name: "tom", host: host2, mac: "52:54:00:00:00:42", addrs: []string{"192.168.7.66/24"}}
	trudy := guest{name: "trudy", host: host1, mac: "52:54:00:00:00:43", addrs: []string{"192.168.7.67/24"}}
	s := tell(t, "Tenant network: the customer chooses the addresses",
		"tess, tom and trudy are one customer's machines in VLAN 20, on both hosts. The operator\n"+
			"knows their MACs and nothing else: checks mac.")
	s.fresh(true)
	for _, g := range []guest{tess, tom, trudy} {
		s.run(g.host, "guest", "add", g.name, "tag=20", g.mac, g.addrs[0])
		s.permit(g, "--mac", g.mac, "--checks", "mac")
	}
	s.plug(bob)
	s.permit(bob, bob.own()...)

	s.part("addresses that nobody told vifguard")
	s.check(s.reaches(tess, tom.ip4()), "tess reaches tom")
	s.run(host1, tess.in("ip", "address", "add", "172.16.0.1/24", "dev", "eth0")...)
	s.run(host2, tom.in("ip", "address", "add", "172.16.0.2/24", "dev", "eth0")...)
	s.check(s.reaches(tess, "172.16.0.2"), "tess reaches tom by addresses made up a second ago")
	s.run(host1, tess.in("ip", "address", "add", "fd00:7::1/64", "dev", "eth0", "nodad")...)
	s.run(host2, tom.in("ip", "address", "add", "fd00:7::2/64", "dev", "eth0", "nodad")...)
	s.check(s.reaches(tess, "fd00:7::2"), "the same in IPv6")

	s.part("the customer's own DHCP server, which nobody allowed and nobody forbids here")
	s.start(tess, "dnsmasq", "-k", "-p", "0", "--user=root", "--interface=eth0", "--dhcp-range=192.168.7.100,192.168.7.109,1h", "--log-dhcp", "--log-facility=-", "--dhcp-leasefile=/tmp/tess.leases")
	s.run(host2, tom.in("ip", "address", "flush", "dev", "eth0", "scope", "global")...)
	got := s.lease(tom)
	s.check(got != "", "tom has a lease: %s", got)

	s.part("the MAC stays enforced, in the Ethernet header and inside ARP and ND")
	s.mustDie(trudy, tom, []forgery{
		{"frames from tess's MAC", "mac " + tess.mac + " " + tom.ip4(), "udp and ether src " + tess.mac, "mac"},
		{"ARP: tess's address is at a stranger's MAC", "garp " + tess.ip4() + " 52:54:00:00:00:99", "arp src host " + tess.ip4(), "mac"},
		{"ND: the same", "na fd00:7::1 52:54:00:00:00:99", "icmp6 and ip6[40] == 136 and ether src " + trudy.mac, "mac"},
		{"RARP: tess has moved to here", "rarp " + tess.mac, "rarp", "mac"},
	})
	s.part("and the network is the customer's alone")
	s.mustDie(trudy, bob, []forgery{
		{"a tag of its own: into the public network", "vlan 1 " + trudy.ip4() + " " + bob.ip4(), "udp and src host " + trudy.ip4(), "vlan"},
	})
}
