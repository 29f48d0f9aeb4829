//go:build lab

package hosts

import (
	"slices"
	"testing"
)

func TestFaults(t *testing.T) {
	mal := newGuest("mal", host2, 0x67)
	s := tell(t, "Faults: agents and databases die in the middle of a failover",
		"Both agents are killed, then web1 dies: web2 takes over, because the flows stay. Then the\n"+
			"database of host2 is killed too, while mal sends forged frames.")
	s.pair("own", true)
	s.plug(mal)
	s.permit(mal, mal.own()...)
	p := s.ping(client, vip4)
	s.answers(p)
	before := s.attack(mal, forgery{attack: "garp " + vip4})
	s.wait("they are counted", func() bool { return int(s.drops(mal)["arp"]) == before })

	s.part("both agents are killed, then the master dies")
	s.run(host1, "host", "kill", "agent")
	s.run(host2, "host", "kill", "agent")
	s.run(host1, "guest", "crash", web1.name)
	s.answers(p)
	p.close()
	s.check(s.masters(web2) == 2, "web2 has taken over without agents, after %.2f s", p.outage().Seconds())
	s.fact("failover with both agents dead: silence of %.2f s", p.outage().Seconds())
	s.mustDie(mal, client, []forgery{
		{"gratuitous ARP for the VIP", "garp " + vip4, "arp src host " + vip4 + " and ether src " + mal.mac, "arp"},
		{"UDP from the VIP", "udp " + vip4 + " " + client.ip4(), "udp and src host " + vip4, "ip"},
	})
	counted := s.drops(mal)["arp"]

	s.part("the agents come back: they send only what differs")
	s.run(host1, "host", "start", "agent")
	s.run(host2, "host", "start", "agent")
	s.permit(mal, mal.own()...)
	s.check(s.drops(mal)["arp"] == counted, "mal's flows weren't touched: its drop counter still says %d", counted)

	s.part("host2's ovsdb-server is killed while mal sends; host2's userspace datapath, which\n     ovs-vswitchd's main loop drives, stands still until the database is back")
	c := s.capture(client, "arp src host "+vip4+" and ether src "+mal.mac)
	p = s.ping(client, vip4)
	s.answers(p)
	s.run(host2, "host", "kill", "ovsdb")
	sent := s.attack(mal, forgery{attack: "-c 20 garp " + vip4})
	s.run(host2, "host", "start", "ovsdb")
	s.answers(p)
	p.close()
	s.check(s.masters(web2) == 2, "the database is back: the VIP answers, web2 is the master")
	s.wait("mal's frames are in the counter", func() bool {
		// The agent may not have connected yet, nor the switch.
		list, err := s.tryStatuses(host2)
		return err == nil && slices.ContainsFunc(list, func(v status) bool {
			return v.Port == mal.name && v.Drops["arp"] == counted+uint64(sent)
		})
	})
	// mal's own ping comes after its forged frames, so they have been judged.
	s.check(s.reaches(mal, client.ip4()), "mal reaches client from its own address")
	c.close()
	s.check(c.count() == 0, "%d frames forged meanwhile, %d arrived; the counter goes on where it was: %d", sent, c.count(), counted+uint64(sent))
	s.entry.forged += sent
	s.entry.passed += c.count()
	s.permit(mal, "--address", mal.ip4())
	s.check(s.status(mal).InForce, "a change of metadata is in force")
}
