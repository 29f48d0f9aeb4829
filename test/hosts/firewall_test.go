//go:build lab

package hosts

import (
	"encoding/json"
	"strings"
	"testing"
)

// internet is an address far away: bob has it, and the firewall's default route leads there.
const internet = "203.0.113.9"

var (
	bob = newGuest("bob", host2, 0x11)
	fw  = newGuest("fw", host1, 0x20)
	// The firewall's interface in the private network, VLAN 10.
	fwIn = guest{name: "fw-in", host: host1, mac: "52:54:00:00:00:21", addrs: []string{"10.0.0.1/24"}}
	app1 = guest{name: "app1", host: host2, mac: "52:54:00:00:00:22", addrs: []string{"10.0.0.34/24"}}
	app2 = guest{name: "app2", host: host2, mac: "52:54:00:00:00:23", addrs: []string{"10.0.0.35/24"}}
)

func TestFirewall(t *testing.T) {
	s := tell(t, "Firewall guest: any IP source, its own MAC and ARP",
		"fw on host1 has a leg in the public network and one in the private VLAN 10, which spans\n"+
			"both hosts. It masquerades app1 and routes app2 as it is; bob on host2 is the Internet.\n"+
			"fw's VIFs have the checks mac,arp. app1 and app2 are checked fully.")
	s.fresh(true)
	s.plug(bob, fw)
	s.run(host1, "guest", "nic", fw.name, fwIn.name, "tag=10", fwIn.mac, fwIn.addrs[0])
	for _, app := range []guest{app1, app2} {
		s.run(app.host, "guest", "add", app.name, "tag=10", app.mac, app.addrs[0])
		s.permit(app, app.own()...)
		s.run(app.host, app.in("ip", "route", "add", "default", "via", "10.0.0.1")...)
	}
	s.run(bob.host, bob.in("ip", "address", "add", internet+"/32", "dev", "lo")...)
	s.run(bob.host, bob.in("ip", "route", "add", "10.0.0.0/24", "via", fw.ip4())...)
	s.permit(bob, "--mac", bob.mac, "--address", bob.ip4()+","+bob.ip6()+","+internet)
	s.run(fw.host, fw.in("ip", "route", "add", "default", "via", bob.ip4())...)
	s.run(fw.host, fw.in("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")...)
	s.run(fw.host, fw.in("nft", "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; add rule ip nat out ip saddr 10.0.0.34 oifname eth0 masquerade")...)

	s.part("all checks on: fit for a plain guest, not for a firewall")
	s.permit(fw, append(fw.own(), "--checks", "mac,arp,ip")...)
	s.permit(fwIn, append(fwIn.own(), "--checks", "mac,arp,ip")...)
	s.check(!s.reaches(app2, internet), "app2 doesn't reach %s; dropped at fw: %v", internet, s.drops(fw))

	s.part("checks mac,arp")
	s.permit(fw, "--checks", "mac,arp")
	s.permit(fwIn, "--checks", "mac,arp")
	nat := s.capture(bob, "icmp and src host "+fw.ip4())
	routed := s.capture(bob, "icmp and src host "+app2.ip4())
	s.check(s.reaches(app1, internet), "app1 reaches %s", internet)
	s.check(s.reaches(app2, internet), "app2 reaches %s", internet)
	nat.close()
	routed.close()
	s.check(nat.count() == 5, "bob saw fw's address in place of app1's: %d packets", nat.count())
	s.check(routed.count() == 5, "bob saw app2's address as it is, from fw's VIF: %d packets", routed.count())
	s.start(bob, "iperf3", "-s", "-1", "--forceflush")
	s.wait("iperf3 listens", func() bool { return strings.Contains(s.printed(bob), "listening") })
	s.fact("through the firewall guest, NAT, two hosts and all checks: %.0f Mbit/s TCP (userspace datapath)", s.iperf(app1, internet))

	s.part("fw's own MAC, ARP and ND are enforced all the same")
	s.mustDie(fw, bob, []forgery{
		{"frames from bob's MAC", "mac " + bob.mac + " " + bob.ip4(), "udp and ether src " + bob.mac, "mac"},
		{"gratuitous ARP for bob's address", "garp " + bob.ip4(), "arp src host " + bob.ip4(), "arp"},
		{"neighbour advertisement for bob's address", "na " + bob.ip6(), "icmp6 and ip6[40] == 136", "nd"},
		{"DHCP offer and acknowledgement", "dhcp " + bob.mac, "udp src port 67", "dhcp-server"},
		{"router advertisement", "ra 2001:db8:bad::", "icmp6 and ip6[40] == 134", "router"},
	})
	s.part("app1 can't get round the firewall by lies in the private network")
	s.mustDie(app1, app2, []forgery{
		{"gratuitous ARP: the gateway is at my MAC", "garp 10.0.0.1", "arp src host 10.0.0.1", "arp"},
		{"frames from the firewall's MAC", "mac " + fwIn.mac + " " + app2.ip4(), "udp and ether src " + fwIn.mac, "mac"},
		{"UDP from app2's address, which isn't masqueraded", "udp " + app2.ip4() + " " + internet, "udp and src host " + app2.ip4(), "ip"},
	})
	s.mustDie(app1, bob, []forgery{
		{"a tag of its own: out of VLAN 10", "vlan 1 " + app1.ip4() + " " + bob.ip4(), "udp and src host " + app1.ip4(), "vlan"},
	})
}

// iperf measures TCP from a guest, in Mbit/s.
func (s *story) iperf(g guest, to string) float64 {
	s.Helper()
	out := s.run(g.host, g.in("iperf3", "-c", to, "-t", "3", "-J")...)
	var result struct {
		End struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		s.Fatalf("iperf3: %v\n%s", err, out)
	}
	s.check(result.End.Received.Rate > 0, "iperf3 to %s: %.0f Mbit/s", to, result.End.Received.Rate/1e6)
	return result.End.Received.Rate / 1e6
}
