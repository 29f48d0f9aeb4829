//go:build lab

package hosts

import (
	"regexp"
	"strings"
	"testing"
)

var leased = regexp.MustCompile(`bound to (\S+)`)

// lease lets a guest ask for an address, and returns it; it is empty when there is none.
func (s *story) lease(g guest) string {
	s.Helper()
	s.do(g.host, "sh", "-c", "echo 'timeout 8; initial-interval 1; backoff-cutoff 2;' >/tmp/dhclient.conf; rm -f /tmp/$0.leases", g.name)
	args := g.in("dhclient", "-4", "-1", "-v", "-cf", "/tmp/dhclient.conf", "-lf", "/tmp/"+g.name+".leases", "-pf", "/tmp/"+g.name+".pid", "eth0")
	s.show(g.host, args...)
	out, err := g.host.try(s.Context(), args...)
	if m := leased.FindStringSubmatch(out); m != nil {
		return m[1]
	}
	if err == nil {
		s.Fatalf("dhclient ended well, but without a lease:\n%s", out)
	}
	return ""
}

func TestDHCP(t *testing.T) {
	server := newGuest("server", host2, 0x05)
	good := newGuest("good", host1, 0x60) // the last byte is also the address that it leases
	wrong := newGuest("wrong", host1, 0x61)
	rogue := newGuest("rogue", host1, 0x66)
	fresh := newGuest("fresh", host2, 0x62)
	s := tell(t, "DHCP and router advertisements: the lease, the wrong lease, the rogue",
		"server on host2 runs dnsmasq and is allowed to. good leases the address that it was given\n"+
			"in OVSDB; wrong leases another one than it was given. Then rogue runs dnsmasq too.")
	dnsmasq := func(g guest, leases ...string) {
		args := []string{"dnsmasq", "-k", "-p", "0", "--user=root", "--interface=eth0", "--log-dhcp", "--log-facility=-",
			"--dhcp-leasefile=/tmp/" + g.name + ".dnsmasq", "--enable-ra", "--ra-param=eth0,high,10,600", "--dhcp-authoritative"}
		s.start(g, append(args, leases...)...)
		s.wait("dnsmasq serves", func() bool {
			return strings.Contains(s.printed(g), "DHCP, sockets bound") || strings.Contains(s.printed(g), "DHCP")
		})
	}
	bare := func(g guest) {
		s.run(g.host, "guest", "add", g.name, g.mac)
		s.do(g.host, g.in("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra")...)
	}
	poison := func() {
		// dnsmasq advertises only prefixes that it has an address of.
		s.run(rogue.host, rogue.in("ip", "address", "add", "2001:db8:bad::66/64", "dev", "eth0", "nodad")...)
		dnsmasq(rogue, "--dhcp-range=198.51.100.200,198.51.100.209,1h", "--dhcp-option=3,"+rogue.ip4(), "--dhcp-range=2001:db8:bad::,ra-only")
	}

	s.part("unguarded: the rogue's lease and its prefix are taken")
	s.fresh(false)
	s.plug(rogue)
	bare(fresh)
	poison()
	got := s.lease(fresh)
	s.check(strings.HasPrefix(got, "198.51.100.20"), "fresh leases %q from rogue", got)
	s.check(s.comes("a prefix is taken", func() bool { return s.has(fresh, "2001:db8:bad:") }), "fresh has an address of rogue's prefix")

	s.part("guarded: the legitimate server, allowed dhcp-server and router")
	s.fresh(true)
	s.plug(server, rogue)
	bare(good)
	bare(wrong)
	bare(fresh)
	s.permit(server, append(server.own(), "--allow", "dhcp-server,router")...)
	s.permit(rogue, rogue.own()...)
	slaac := "2001:db8::5054:ff:fe00:60"
	s.permit(good, "--mac", good.mac, "--address", "198.51.100.96,"+slaac)
	s.permit(wrong, "--mac", wrong.mac, "--address", "198.51.100.99")
	s.permit(fresh, "--mac", fresh.mac, "--address", "198.51.100.98")
	dnsmasq(server, "--dhcp-range=198.51.100.0,static,1h", "--dhcp-range=2001:db8::,ra-only",
		"--dhcp-host="+good.mac+",198.51.100.96", "--dhcp-host="+wrong.mac+",198.51.100.97", "--dhcp-host="+fresh.mac+",198.51.100.98")
	s.check(s.lease(good) == "198.51.100.96", "good leases the address that is its own")
	s.check(s.reaches(good, server.ip4()), "and can use it")
	s.check(s.comes("good has an address by router advertisement", func() bool { return s.has(good, slaac) }), "good has %s by router advertisement", slaac)
	s.check(s.reaches(good, server.ip6()), "and can use it")

	s.part("a lease that isn't the guest's")
	s.check(s.lease(wrong) == "198.51.100.97", "wrong leases 198.51.100.97, while 198.51.100.99 is its own")
	s.check(!s.reaches(wrong, server.ip4()), "and can't use it: dropped: %v", s.drops(wrong))
	s.check(s.drops(wrong)["arp"] > 0, "vifguard status tells: %v", s.drops(wrong))
	s.permit(wrong, "--address", "198.51.100.97")
	s.check(s.reaches(wrong, server.ip4()), "once it is told, the lease works, without a restart of anything")

	s.part("the rogue beside it")
	poison()
	offers := s.capture(fresh, "udp src port 67 and ether src "+rogue.mac)
	adverts := s.capture(fresh, "icmp6 and ip6[40] == 134 and ether src "+rogue.mac)
	s.check(s.lease(fresh) == "198.51.100.98", "fresh leases its address from the legitimate server")
	s.wait("rogue's adverts are dropped", func() bool { return s.drops(rogue)["router"] > 0 })
	s.run(server.host, "guest", "crash", server.name)
	s.run(fresh.host, fresh.in("ip", "address", "flush", "dev", "eth0", "scope", "global")...)
	got = s.lease(fresh)
	offers.close()
	adverts.close()
	drops := s.drops(rogue)
	s.check(got == "", "the legitimate server is gone: fresh gets no lease rather than rogue's (%q)", got)
	s.check(drops["dhcp-server"] > 0 && offers.count() == 0, "rogue's DHCP: %d dropped, %d arrived", drops["dhcp-server"], offers.count())
	s.check(drops["router"] > 0 && adverts.count() == 0, "rogue's router advertisements: %d dropped, %d arrived", drops["router"], adverts.count())
	s.check(!s.has(fresh, "2001:db8:bad:"), "fresh has no address of rogue's prefix")
	s.entry.forged += int(drops["dhcp-server"] + drops["router"])
	s.entry.passed += offers.count() + adverts.count()
	s.fact("dnsmasq as a rogue: %d DHCP messages and %d router advertisements dropped", drops["dhcp-server"], drops["router"])
}

// has tells whether a guest has an address that begins so.
func (s *story) has(g guest, prefix string) bool {
	s.Helper()
	return strings.Contains(s.do(g.host, g.in("ip", "-o", "address", "show", "dev", "eth0")...), " "+prefix)
}
