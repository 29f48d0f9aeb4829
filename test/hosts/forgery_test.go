//go:build lab

package hosts

import (
	"fmt"
	"strconv"
	"strings"
)

// forgery is something that a guest sends without the right to.
type forgery struct {
	what   string
	attack string // arguments of the lab's program "attack"
	filter string // by which a receiver recognises it
	reason string // for which it is dropped
}

// mustArrive sends forgeries where nothing is guarded: they arrive, so the lab would
// notice.
func (s *story) mustArrive(from, at guest, list []forgery) {
	s.Helper()
	for _, f := range list {
		c := s.capture(at, f.filter)
		sent := s.attack(from, f)
		all := s.comes("they arrive", func() bool { return c.count() >= sent })
		c.close()
		s.check(all, "%-9s %-50s %2d sent, %d arrived", from.name, f.what, sent, c.count())
	}
}

// mustDie sends forgeries where they are guarded: every frame is counted as dropped, for
// its reason, and none arrives.
func (s *story) mustDie(from, at guest, list []forgery) {
	s.Helper()
	for _, f := range list {
		before := s.drops(from)[f.reason]
		c := s.capture(at, f.filter)
		sent := s.attack(from, f)
		dropped := 0
		all := s.comes("all are dropped", func() bool {
			dropped = int(s.drops(from)[f.reason] - before)
			return dropped >= sent
		})
		c.close()
		s.entry.forged += sent
		s.entry.passed += c.count()
		s.check(all && c.count() == 0, "%-9s %-50s %2d sent, %d arrived, dropped: %s %d",
			from.name, f.what, sent, c.count(), f.reason, dropped)
	}
}

// attack sends a forgery and returns how many frames that were.
func (s *story) attack(from guest, f forgery) int {
	s.Helper()
	out := s.do(from.host, from.in(append([]string{"attack"}, strings.Fields(f.attack)...)...)...)
	count, _, _ := strings.Cut(out, " ")
	sent, err := strconv.Atoi(count)
	if err != nil || sent == 0 {
		s.Fatalf("attack %s: %q doesn't say how many frames were sent", f.attack, out)
	}
	return sent
}

// forgeries are what a guest may try against a victim and everybody: of every check and
// guard one.
func forgeries(victim guest) []forgery {
	const bad = "2001:db8:bad::"
	return []forgery{
		{"frames from the victim's MAC", fmt.Sprintf("mac %s 198.51.100.16", victim.mac), "udp and ether src " + victim.mac, "mac"},
		{"RARP: the victim has moved to here", "rarp " + victim.mac, "ether src " + victim.mac + " and rarp", "mac"},
		{"gratuitous ARP for the victim's address", "garp " + victim.ip4(), "arp src host " + victim.ip4(), "arp"},
		{"neighbour advertisement, the same in IPv6", "na " + victim.ip6(), "icmp6 and ip6[40] == 136 and dst ff02::1", "nd"},
		{"UDP from the victim's IPv4 address", "udp " + victim.ip4() + " 198.51.100.16", "udp and src host " + victim.ip4(), "ip"},
		{"UDP from the victim's IPv6 address", "udp " + victim.ip6() + " 2001:db8::10", "udp and src host " + victim.ip6(), "ip"},
		{"DHCP offer and acknowledgement", "dhcp " + victim.mac, "udp src port 67", "dhcp-server"},
		{"router advertisement", "ra " + bad, "icmp6 and ip6[40] == 134", "router"},
	}
}
