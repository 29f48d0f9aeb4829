package main

import "github.com/vifguard/vifguard/test/lab"

// situation is one reason why a network needs port security, or needs it lifted.
type situation struct {
	title string
	intro string // one sentence
	steps []step
}

// step is something that happens in a situation: a configuration command, a
// change inside a guest, or traffic whose fate is checked.
type step any

// vifguard is a vifguard command, run as an operator would.
type vifguard string

// inside is a command that is run in a guest, beside the point of the demo.
type inside struct {
	guest   *vif
	command string
}

// vsctl is an ovs-vsctl command.
type vsctl string

// act is a change of the stage; the text says in a sentence which.
type act struct {
	text string
	do   func(*stage) error
}

// attempt is one line of the table: someone sends something, and it must or must
// not arrive.
type attempt struct {
	from  *vif
	sends string
	how   traffic
	to    *vif // where its arrival is checked
	want  verdict
}

// verdict is the expected fate of an attempt.
type verdict struct {
	arrives bool
	reason  string // the counter that grows; "" if none may
	at      *vif   // whose counter; nil for the sender's
}

var pass = verdict{arrives: true}

// drop means: it doesn't arrive, and the sender's counter of that reason grows.
func drop(reason string) verdict { return verdict{reason: reason} }

// dropAt is a drop where the packet, or the answer to it, passes another VIF.
func dropAt(at *vif, reason string) verdict { return verdict{reason: reason, at: at} }

// observed means: it arrives, and the counter shows that it wouldn't have.
func observed(reason string) verdict { return verdict{arrives: true, reason: reason} }

// scenario is the whole demo. Situations build on each other: bridges stay
// guarded and guests stay configured.
func scenario() []situation {
	return []situation{
		before(), plainVM(), natVM(), failoverIP(), tenantNetwork(), bridgeVM(), brownfield(), agentDies(),
	}
}

func before() situation {
	return situation{
		"Before: a bridge without port security",
		"Open vSwitch forwards what it is given, so every lie arrives.",
		[]step{
			attempt{mallory, "ARP: the gateway's IP is at my MAC", frame(arpLie()), bob, pass},
			attempt{mallory, "frame with alice's MAC as its source", frame(stolenMAC()), bob, pass},
			attempt{mallory, "router advertisement: I am the default gateway", frame(rogueRA()), bob, pass},
		},
	}
}

func plainVM() situation {
	return situation{
		"Plain VM on a flat network",
		"alice, bob and mallory may use their own MAC and their own addresses; mallory tries more.",
		[]step{
			vsctl("set-fail-mode br-public secure"),
			vifguard("guard br-public"),
			vifguard("set alice --mac 52:54:00:00:00:10 --address 198.51.100.16,2001:db8::10"),
			vifguard("set bob --mac 52:54:00:00:00:11 --address 198.51.100.17,2001:db8::11"),
			vifguard("set mallory --mac 52:54:00:00:00:66 --address 198.51.100.102,2001:db8::66"),

			attempt{alice, "ping bob", ping(bob.ip4), bob, pass},
			attempt{alice, "ping bob over IPv6", ping(bob.ip6), bob, pass},
			attempt{mallory, "ping the gateway: its own addresses work", ping(uplink.ip4), uplink, pass},
			attempt{alice, "DHCP discover, without an address yet", frame(lab.DHCPv4Client(alice.mac, lab.DHCPDiscover)), uplink, pass},
			attempt{alice, "ARP probe for its own address (RFC 5227)", frame(lab.ARPProbe(alice.mac, alice.ip4)), bob, pass},
			attempt{alice, "RARP announcement after a live migration", frame(lab.RARPAnnounce(alice.mac)), bob, pass},

			attempt{mallory, "frame with alice's MAC as its source", frame(stolenMAC()), bob, drop("mac")},
			inside{mallory, "ip link set eth0 address 52:54:00:00:00:99"},
			attempt{mallory, "ping bob with the changed MAC", ping(bob.ip4), bob, drop("mac")},
			inside{mallory, "ip link set eth0 address 52:54:00:00:00:66"},
			attempt{mallory, "RARP announcement of alice's MAC", frame(rarpLie()), bob, drop("mac")},
			attempt{mallory, "ARP: the gateway's IP is at my MAC", frame(arpLie()), bob, drop("arp")},
			attempt{mallory, "ARP: the gateway's IP is at a stranger's MAC", frame(foreignSHA(mallory)), bob, drop("mac")},
			attempt{mallory, "ARP probe for alice's address", frame(lab.ARPProbe(mallory.mac, alice.ip4)), alice, drop("arp")},
			attempt{mallory, "the ARP lie in a VLAN-0 tag (CERT VU#855201)", frame(lab.Tagged(arpLie(), lab.VLAN{})), bob, drop("vlan")},
			attempt{mallory, "the ARP lie in an LLC/SNAP header", frame(lab.AsSNAP(arpLie(), 0)), bob, drop("arp")},
			attempt{mallory, "neighbour advertisement for the gateway", frame(neighbourLie()), bob, drop("nd")},
			attempt{mallory, "ping bob, to know its MAC", ping(bob.ip4), bob, pass},
			inside{mallory, "ip address add 198.51.100.16/32 dev eth0"},
			attempt{mallory, "ping -I 198.51.100.16 bob: as alice", pingFrom(alice.ip4, bob.ip4), bob, drop("ip")},
			inside{mallory, "ip address del 198.51.100.16/32 dev eth0"},
			attempt{mallory, "UDP from an IPv6 source that isn't its own", frame(udp(mallory, bob, unused6, bob.ip6)), bob, drop("ip")},
			attempt{mallory, "DHCP offer: rogue server", frame(rogueDHCP()), bob, drop("dhcp-server")},
			attempt{mallory, "router advertisement: I am the default gateway", frame(rogueRA()), bob, drop("router")},
			attempt{mallory, "the same behind a fragment header (RFC 7113)", frame(fragmentedRA()), bob, drop("router")},
			attempt{mallory, "PPPoE discovery", frame(lab.Ether(lab.Broadcast, mallory.mac, typePPPoE)), bob, drop("ethertype")},
		},
	}
}

func natVM() situation {
	return situation{
		"Firewall, NAT or router VM",
		"nat forwards for app, so it sends from any IP; its MAC and its ARP claims stay checked.",
		[]step{
			vifguard("guard br-private"),
			vifguard("set app --mac 52:54:00:00:00:22 --address 10.0.0.34"),
			vifguard("set nat --mac 52:54:00:00:00:20 --address 198.51.100.32"),
			vifguard("set nat-in --mac 52:54:00:00:00:21 --address 10.0.0.33"),
			inside{nat, "nft add table ip nat"},
			inside{nat, "nft add chain ip nat out '{ type nat hook postrouting priority srcnat; }'"},
			inside{nat, "nft add rule ip nat out oifname eth0 masquerade"},
			inside{nat, "echo 1 > /proc/sys/net/ipv4/ip_forward"},
			inside{app, "ip route add default via 10.0.0.33"},

			attempt{app, "ping the gateway through nat, all checks on", ping(uplink.ip4), app, dropAt(natIn, "ip")},
			vifguard("set nat --checks mac,arp"),
			vifguard("set nat-in --checks mac,arp"),
			attempt{app, "ping the gateway through nat", ping(uplink.ip4), app, pass},
			attempt{app, "the same: what the gateway sees is nat's address", pingSeen(nat, uplink.ip4), uplink, pass},
			attempt{nat, "packet that it routes, with another's IP source", frame(udp(nat, bob, elsewhere, bob.ip4)), bob, pass},
			attempt{nat, "ARP: the gateway's IP is at my MAC", frame(lab.ARPReply(nat.mac, uplink.ip4, bob.mac, bob.ip4)), bob, drop("arp")},
			attempt{nat, "packet with a stranger's MAC as its source", frame(udpAs(stranger, bob, nat.ip4, bob.ip4)), bob, drop("mac")},
			attempt{app, "packet to nat with alice's IP as its source", frame(udp(app, natIn, alice.ip4, elsewhere)), natIn, drop("ip")},
			attempt{app, "ARP: nat's private IP is at my MAC", frame(lab.GratuitousARP(app.mac, natIn.ip4)), natIn, drop("arp")},
		},
	}
}

func failoverIP() situation {
	return situation{
		"Failover IP that floats between two VMs",
		"web1 and web2 hold an allowed-address-pair for 198.51.100.30; mallory doesn't.",
		[]step{
			vifguard("set web1 --mac 52:54:00:00:00:31 --address 198.51.100.49,2001:db8::31 --pair 198.51.100.30,2001:db8::30,198.51.100.30@00:00:5e:00:01:1e"),
			vifguard("set web2 --mac 52:54:00:00:00:32 --address 198.51.100.50,2001:db8::32 --pair 198.51.100.30,2001:db8::30,198.51.100.30@00:00:5e:00:01:1e"),
			inside{web1, "ip address add 198.51.100.30/32 dev eth0"},
			attempt{bob, "ping 198.51.100.30: web1 holds it", ping(failover4), web1, pass},
			inside{web1, "ip address del 198.51.100.30/32 dev eth0"},
			inside{web2, "ip address add 198.51.100.30/32 dev eth0"},
			attempt{web2, "arping -U: gratuitous ARP, web2 takes over", announce(failover4), bob, pass},
			attempt{bob, "ping 198.51.100.30: web2 holds it", ping(failover4), web2, pass},
			attempt{web2, "unsolicited neighbour advertisement, the same in IPv6", frame(takeover6(web2)), bob, pass},

			inside{mallory, "ip address add 198.51.100.30/32 dev eth0"},
			attempt{mallory, "arping -U: theft of the failover IP", announce(failover4), bob, drop("arp")},
			inside{mallory, "ip address del 198.51.100.30/32 dev eth0"},
			attempt{bob, "ping 198.51.100.30: still web2", ping(failover4), web2, pass},

			attempt{web2, "VRRP advertisement from the virtual MAC", frame(lab.VRRPv3(vrid, 100, web2.ip4, failover4)), web1, pass},
			attempt{web2, "gratuitous ARP from the virtual MAC", frame(lab.GratuitousARP(lab.VirtualMAC(vrid, false), failover4)), web1, pass},
			attempt{mallory, "VRRP advertisement: I am the master", frame(lab.VRRPv3(vrid, 255, mallory.ip4, failover4)), web2, drop("mac")},
		},
	}
}

func tenantNetwork() situation {
	return situation{
		"Customer-chosen addresses on a tenant network",
		"The operator doesn't know the IPs, so only MACs are checked; a port without one is shut.",
		[]step{
			vifguard("guard br-tenant --checks mac --unmarked block"),
			vifguard("set tess --mac 52:54:00:00:00:41"),
			vifguard("set tom --mac 52:54:00:00:00:42"),
			attempt{tess, "ping tom", ping(tom.ip4), tom, pass},
			inside{tom, "ip address add 172.16.9.66/24 dev eth0"},
			inside{tess, "ip address add 172.16.9.65/24 dev eth0"},
			attempt{tess, "ping tom at addresses they have just made up", ping(ip("172.16.9.66")), tom, pass},
			attempt{tess, "UDP from any IPv6 source", frame(udp(tess, tom, unused6, ip("2001:db8::42"))), tom, pass},
			attempt{tess, "packet with a stranger's MAC as its source", frame(udpAs(stranger, tom, tess.ip4, tom.ip4)), tom, drop("mac")},
			attempt{tess, "ARP: tom's IP is at a stranger's MAC", frame(foreignSHA(tess)), tom, drop("mac")},
			attempt{bare, "anything: nobody declared its MAC", alone(lab.GratuitousARP(bare.mac, bare.ip4)), tom, drop("blocked")},
			vifguard("set bare --mac 52:54:00:00:00:43"),
			attempt{bare, "the same, declared", frame(lab.GratuitousARP(bare.mac, bare.ip4)), tom, pass},
		},
	}
}

func bridgeVM() situation {
	return situation{
		"L2 bridge or IDS VM",
		"ids handles frames of others, so nothing that it sends is checked.",
		[]step{
			vifguard("set ids --mac 52:54:00:00:00:50 --checks off"),
			attempt{ids, "ping the gateway", ping(uplink.ip4), uplink, pass},
			attempt{ids, "frame of a station behind it", frame(udpAs(stranger, bob, elsewhere, bob.ip4)), bob, pass},
			attempt{ids, "ARP of a station behind it", frame(lab.GratuitousARP(stranger, elsewhere)), bob, pass},
			attempt{ids, "PPPoE discovery", frame(lab.Ether(lab.Broadcast, stranger, typePPPoE)), bob, pass},
		},
	}
}

func brownfield() situation {
	return situation{
		"Brownfield: find out what would be dropped before dropping it",
		"legacy is only observed: everything passes, and what would have been dropped is counted.",
		[]step{
			vifguard("set legacy --mac 52:54:00:00:00:60 --address 198.51.100.96 --action observe"),
			attempt{legacy, "ping the gateway", ping(uplink.ip4), uplink, pass},
			attempt{legacy, "packet from an address that nobody wrote down", frame(udp(legacy, bob, elsewhere, bob.ip4)), bob, observed("ip")},
			attempt{legacy, "frame of a container with a MAC of its own", frame(udpAs(stranger, bob, legacy.ip4, bob.ip4)), bob, observed("mac")},
		},
	}
}

func agentDies() situation {
	return situation{
		"The agent dies",
		"The flows stay: verdicts don't change, and a port that no agent has seen sends nothing.",
		[]step{
			act{"The agent is killed with SIGKILL.", (*stage).killAgent},
			attempt{mallory, "ARP: the gateway's IP is at my MAC", frame(arpLie()), bob, drop("arp")},
			attempt{alice, "ping bob", ping(bob.ip4), bob, pass},
			act{"A new VM is plugged in; the hypervisor declares its MAC and addresses.", func(s *stage) error { return s.plug(fresh) }},
			attempt{fresh, "anything, before an agent has seen the port", alone(lab.GratuitousARP(fresh.mac, fresh.ip4)), bob, drop(unknownPort)},
			act{"The agent is started again.", (*stage).startAgent},
			attempt{fresh, "ping bob", ping(bob.ip4), bob, pass},
			attempt{fresh, "packet with alice's IP as its source", frame(udp(fresh, bob, alice.ip4, bob.ip4)), bob, drop("ip")},
			attempt{mallory, "ARP: the gateway's IP is at my MAC", frame(arpLie()), bob, drop("arp")},
		},
	}
}
