//go:build lab

package hosts

import (
	"strings"
	"testing"
)

func TestMigration(t *testing.T) {
	vm := newGuest("vm", host1, 0x40)
	moved := vm
	moved.host = host2
	near, far := newGuest("near", host1, 0x12), newGuest("far", host2, 0x13)
	mal1, mal2 := newGuest("mal1", host1, 0x66), newGuest("mal2", host2, 0x67)
	s := tell(t, "Live migration: a VIF moves from host1 to host2",
		"near on host1 and far on host2 ping vm all the time, while a guest on either host sends\n"+
			"frames from vm's MAC all the time. vm moves as libvirt moves it: the port with what it may\n"+
			"be appears on host2, vm is paused, resumes there and is announced by RARP, the old port goes.")
	s.fresh(true)
	s.plug(near, far, mal1, mal2, vm)
	for _, g := range []guest{near, far, mal1, mal2, vm} {
		s.permit(g, g.own()...)
	}
	forged := "udp port 9 and ether src " + vm.mac
	atNear, atFar := s.capture(near, forged), s.capture(far, forged)
	for _, m := range []guest{mal1, mal2} {
		s.start(m, "attack", "-c", "1000000", "mac", vm.mac, near.ip4())
	}
	for _, m := range []guest{mal1, mal2} {
		s.wait(m.name+" is at it", func() bool { return s.drops(m)["mac"] > 10 })
	}
	p4, p6 := s.ping(near, vm.ip4()), s.ping(far, vm.ip6())
	s.answers(p4)
	s.answers(p6)

	s.part("the port appears on host2, vm is paused there")
	s.run(host2, append([]string{"guest", "receive", vm.name, vm.mac}, vm.addrs...)...)
	s.permit(moved, moved.own()...)
	there := s.status(moved)
	s.check(there.State == "enforced" && there.InForce && there.Checks == "mac,arp,ip", "its policy is in force before it runs: %s %s", there.State, there.Checks)

	s.part("vm stops here and goes on there")
	s.run(host1, "guest", "crash", vm.name)
	s.run(host2, "guest", "resume", vm.name)
	s.run(host2, moved.in("attack", "rarp", vm.mac)...)
	s.answers(p4)
	s.answers(p6)
	s.run(host1, "guest", "del", vm.name)
	s.answers(p4)
	s.answers(p6)
	p4.close()
	p6.close()
	drops := s.drops(moved)
	s.check(len(drops) == 0, "nothing that vm sent on host2 was dropped, RARP included: %v", drops)
	s.fact("silence of vm as it moves: %.2f s from its old host, %.2f s from its new one", p4.outage().Seconds(), p6.outage().Seconds())

	s.part("nothing of it stays on host1")
	s.check(!strings.Contains(s.do(host1, "ovs-vsctl", "--columns=name,external_ids", "list", "Interface"), vm.mac), "OVSDB of host1 doesn't know it")
	s.check(s.comes("its flows are gone", func() bool {
		flows := s.do(host1, "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "br0")
		return strings.Contains(flows, mal1.mac) && !strings.Contains(flows, vm.mac) && !strings.Contains(flows, vm.ip4())
	}), "no flow on host1 names its MAC or its address")
	for _, v := range s.statuses(host1) {
		s.check(v.Port != vm.name && v.Error == "", "vifguard status of host1: %s, %s", v.Port, v.State)
	}

	s.part("no window: the forged frames of all that time")
	for _, m := range []guest{mal1, mal2} {
		before := s.drops(m)["mac"]
		s.wait(m.name+" is still at it", func() bool { return s.drops(m)["mac"] > before+10 })
	}
	sent := int(s.drops(mal1)["mac"] + s.drops(mal2)["mac"])
	arrived := atNear.count() + atFar.count()
	s.entry.forged += sent
	s.entry.passed += arrived
	s.check(arrived == 0, "%d frames forged with vm's MAC on both hosts, %d arrived", sent, arrived)

	s.part("the same frames with mal1's checks lifted: the captures would have seen them")
	s.permit(mal1, "--checks", "off")
	s.check(s.comes("they arrive", func() bool { return atNear.count() > 0 && atFar.count() > 0 }), "they arrive at near and far")
}
