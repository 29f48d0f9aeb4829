//go:build lab

package hosts

import (
	"strings"
	"testing"
	"time"
)

const (
	vip4  = "198.51.100.30"
	vip6  = "2001:db8::30"
	vmac4 = "00:00:5e:00:01:1e"
	vmac6 = "00:00:5e:00:02:1e"
)

// pairs allow the failover addresses. With a virtual MAC they are needed for the guest's
// own MAC as well: Linux sends what the address answers from there.
var pairs = map[string]string{
	"own":     vip4 + "," + vip6 + ",fe80::30",
	"unicast": vip4 + "," + vip6 + ",fe80::30",
	"vmac":    vip4 + "," + vip6 + ",fe80::30," + vip4 + "@" + vmac4 + "," + vip6 + "@" + vmac6 + ",fe80::30@" + vmac6,
}

var (
	client  = newGuest("client", host2, 0x10)
	mallory = newGuest("mallory", host1, 0x66)
	web1    = newGuest("web1", host1, 0x31)
	web2    = newGuest("web2", host2, 0x32)
)

// thefts are forgeries against the failover addresses.
func thefts() []forgery {
	return []forgery{
		{"gratuitous ARP: the VIP is at my MAC", "garp " + vip4, "arp src host " + vip4 + " and ether src " + mallory.mac, "arp"},
		{"gratuitous ARP: it is at the virtual MAC", "garp " + vip4 + " " + vmac4, "arp src host " + vip4 + " and ether src " + mallory.mac, "mac"},
		{"neighbour advertisement for the IPv6 VIP", "na " + vip6, "icmp6 and ip6[40] == 136 and ether src " + mallory.mac, "nd"},
		{"VRRP advert from the virtual MAC, priority 255", "vrrp " + vip4 + " 30 " + vmac4, "ip proto 112 and src host " + mallory.ip4(), "mac"},
		{"the same in IPv6", "vrrp " + vip6 + " 30 " + vmac6, "ip6 proto 112 and src host fe80::5054:ff:fe00:66", "mac"},
	}
}

func TestFailover(t *testing.T) {
	s := tell(t, "VRRP failover across hosts",
		"web1 on host1 and web2 on host2 run keepalived and share "+vip4+" and "+vip6+".\n"+
			"web1 dies; client's pings are answered by web2. Then mallory, who isn't one of the\n"+
			"pair, tries to get the addresses. First without vifguard, then with it.")
	for _, style := range []struct{ name, title string }{{"own", "own MAC"}, {"vmac", "virtual MAC"}} {
		s.part("%s, unguarded: what the network can do, and what mallory can", style.title)
		free4, free6 := s.failover(style.name, false)
		s.mustArrive(mallory, client, thefts())
		s.stolen()

		s.part("%s, guarded", style.title)
		took4, took6 := s.failover(style.name, true)
		s.mustDie(mallory, client, thefts())
		s.notStolen()
		for _, g := range []guest{web1, web2, client} {
			s.nothingLost(g)
		}
		s.fact("%-12s silence after the master's death: IPv4 %.2f s, IPv6 %.2f s (unguarded %.2f s, %.2f s)",
			style.title+":", took4.Seconds(), took6.Seconds(), free4.Seconds(), free6.Seconds())
		// Generous: what is missing without the announcements is tens of seconds.
		s.check(took4 < free4+5*time.Second && took6 < free6+5*time.Second, "traffic resumes as fast as unguarded: IPv4 %.2f s, IPv6 %.2f s (unguarded %.2f s, %.2f s)",
			took4.Seconds(), took6.Seconds(), free4.Seconds(), free6.Seconds())
	}
}

// nothingLost checks that nothing that a guest sent was dropped, not even what Linux reports
// from 0.0.0.0 when it joins VRRP's group on an interface without an address, as the virtual
// MAC's is (RFC 3376 section 4.2.13).
func (s *story) nothingLost(g guest) {
	s.Helper()
	drops := s.drops(g)
	s.check(len(drops) == 0, "nothing that %s sent was dropped: %v", g.name, drops)
}

// failover builds the pair, kills the master, and returns how long the addresses didn't
// answer. web2 is the master afterwards.
func (s *story) failover(style string, guarded bool) (time.Duration, time.Duration) {
	s.Helper()
	s.pair(style, guarded)
	p4, p6 := s.ping(client, vip4), s.ping(client, vip6)
	s.answers(p4)
	s.answers(p6)
	s.run(host1, "guest", "crash", web1.name)
	s.answers(p4)
	s.answers(p6)
	p4.close()
	p6.close()
	s.check(s.masters(web2) == 2, "web2 has taken over")
	return p4.outage(), p6.outage()
}

// pair plugs in all guests and starts keepalived in web1, the master, and in web2.
func (s *story) pair(style string, guarded bool) {
	s.Helper()
	s.fresh(guarded)
	s.plug(client, mallory, web1, web2)
	if guarded {
		s.permit(client, client.own()...)
		s.permit(mallory, mallory.own()...)
		s.permit(web1, append(web1.own(), "--pair", pairs[style])...)
		s.permit(web2, append(web2.own(), "--pair", pairs[style])...)
	}
	s.vrrp(web1, web2, "150", style)
	s.wait("web1 is the master", func() bool { return s.masters(web1) == 2 })
	s.vrrp(web2, web1, "100", style)
	s.wait("web2 is the backup", func() bool { return strings.Count(s.printed(web2), "Entering BACKUP STATE") == 2 })
}

// vrrp starts keepalived in a guest.
func (s *story) vrrp(g, peer guest, priority, style string) {
	s.Helper()
	args := []string{"vrrp", priority, style}
	if style == "unicast" {
		args = append(args, peer.ip4(), peer.ip6())
	}
	s.start(g, args...)
	s.wait("keepalived runs", func() bool { return strings.Contains(s.printed(g), "Startup complete") })
}

// masters counts for how many of the two addresses the guest's keepalived is the master.
func (s *story) masters(g guest) int {
	s.Helper()
	masters := 0
	for _, name := range []string{"(four)", "(six)"} {
		log := s.printed(g)
		at := strings.LastIndex(log, name+" Entering ")
		if at >= 0 && strings.HasPrefix(log[at:], name+" Entering MASTER") {
			masters++
		}
	}
	return masters
}

// stolen lets mallory run keepalived with the highest priority, and sees that it gets the
// failover address: the control.
func (s *story) stolen() {
	s.Helper()
	loot := s.capture(mallory, "icmp and dst host "+vip4)
	p := s.ping(client, vip4)
	s.vrrp(mallory, web2, "254", "vmac")
	got := s.comes("mallory gets the address", func() bool { return loot.count() > 10 })
	p.close()
	loot.close()
	s.check(got, "%-9s %-50s gets the VIP: %d pings for it arrive there", mallory.name, "keepalived of priority 254", loot.count())
	s.run(mallory.host, "guest", "crash", mallory.name)
}

// notStolen lets mallory try the same, until many frames of it are dropped: adverts from the
// virtual MAC, which isn't mallory's.
func (s *story) notStolen() {
	s.Helper()
	const many = 50
	loot := s.capture(mallory, "icmp and dst host "+vip4)
	p := s.ping(client, vip4)
	s.answers(p)
	before := s.drops(mallory)["mac"]
	s.vrrp(mallory, web2, "254", "vmac")
	dropped := 0
	s.wait("mallory's frames are dropped", func() bool {
		dropped = int(s.drops(mallory)["mac"] - before)
		return dropped >= many
	})
	s.answers(p)
	p.close()
	loot.close()
	s.entry.forged += dropped
	s.check(loot.count() == 0 && s.masters(web2) == 2, "%-9s %-50s %d frames dropped: mac; web2 stays the master",
		mallory.name, "keepalived of priority 254", dropped)
	s.run(mallory.host, "guest", "crash", mallory.name)
}

// TestTakeover is about who may take the addresses over: a node whose pair was taken away
// can't, and a stranger who talks VRRP with its own MAC and address gets nothing.
func TestTakeover(t *testing.T) {
	s := tell(t, "Failover: the pair is taken away, and who may speak VRRP",
		"web2's allowed-address-pair is removed while it runs: when web1 dies it can't take over,\n"+
			"until it gets the pair back. Then mallory speaks VRRP from its own MAC and address.")
	s.pair("own", true)
	s.part("web2 loses its pair, then web1 dies")
	s.run(host2, "vifguard", "unset", web2.name, "--pair")
	s.permit(web2, web2.own()...)
	p4, p6 := s.ping(client, vip4), s.ping(client, vip6)
	s.answers(p4)
	s.answers(p6)
	s.run(host1, "guest", "crash", web1.name)
	dead := time.Now()
	s.wait("web2 believes to be the master", func() bool { return s.masters(web2) == 2 })
	s.wait("web2's announcements are dropped", func() bool {
		drops := s.drops(web2)
		return drops["arp"] >= 5 && drops["nd"] >= 5
	})
	// A reply to what was sent before web1 died may be under way, but no later one.
	late := p4.since(dead.Add(time.Second)) + p6.since(dead.Add(time.Second))
	drops := s.drops(web2)
	s.check(late == 0, "keepalived of web2 is the master, but nobody hears of it: %d replies, dropped: %v", late, drops)
	s.fact("without its pair, the second node announces in vain: %v", drops)
	s.permit(web2, "--pair", pairs["own"])
	s.answers(p4)
	s.answers(p6)
	s.check(true, "web2 gets the pair back: the addresses answer")
	p4.close()
	p6.close()

	s.part("mallory speaks VRRP from its own MAC and address, priority 254: VRRP itself allows that")
	loot := s.capture(mallory, "icmp and dst host "+vip4)
	p := s.ping(client, vip4)
	s.vrrp(mallory, web2, "254", "own")
	s.wait("web2 yields to mallory", func() bool { return s.masters(web2) == 0 })
	s.wait("mallory's announcements are dropped", func() bool { return s.drops(mallory)["arp"] >= 5 })
	p.close()
	loot.close()
	s.check(loot.count() == 0, "mallory announces the address in vain: %d pings for it arrive there", loot.count())
	s.fact("VRRP from own MAC and address is not spoofing: the pair yields, though the stranger gets nothing")

	s.part("the remedy: unicast peers, whose addresses nobody else can use")
	s.pair("unicast", true)
	s.run(host1, "guest", "crash", web1.name)
	s.wait("web2 is the master", func() bool { return s.masters(web2) == 2 })
	loot = s.capture(mallory, "icmp and dst host "+vip4)
	p = s.ping(client, vip4)
	s.vrrp(mallory, web2, "254", "own")
	s.wait("mallory's announcements are dropped", func() bool { return s.drops(mallory)["arp"] >= 5 })
	s.answers(p)
	p.close()
	loot.close()
	s.check(loot.count() == 0 && s.masters(web2) == 2, "with unicast peers web2 stays the master; %d pings arrive at mallory", loot.count())
	s.mustDie(mallory, web2, []forgery{
		{"VRRP advert as web1, its unicast peer", "vrrp-peer " + vip4 + " 30 " + web1.ip4() + " " + web2.ip4(), "ip proto 112 and src host " + web1.ip4(), "ip"},
	})
}
