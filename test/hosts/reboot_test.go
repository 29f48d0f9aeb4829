//go:build lab

package hosts

import (
	"context"
	"encoding/hex"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

func TestReboot(t *testing.T) {
	steady := newGuest("steady", host1, 0x14)
	mal := newGuest("mal", host1, 0x66)
	far := newGuest("far", host2, 0x13)
	const stranger = "52:54:00:00:00:99"
	s := tell(t, "Host reboot: policies are back before the guests' first frame",
		"host1 goes down and comes up again, as its init does it: guests first, then the switch,\n"+
			"then the agent. From before the switch is there, mal sends frames from a stranger's MAC,\n"+
			"500 a second. host2 captures what comes over the segment.")
	// A broadcast, so that every switch floods it.
	frame := lab.UDPFrame(lab.Broadcast, lab.MustMAC(stranger), netip.MustParseAddrPort(mal.ip4()+":40000"), netip.MustParseAddrPort("198.51.100.255:9"), []byte("forged"))
	prepare := func(guarded bool) {
		s.fresh(guarded)
		s.plug(steady, mal, far)
		s.do(host1, "sh", "-c", `printf '#!/bin/sh\nexec flood %s 0.002\n' "$1" >"$0" && chmod 755 "$0"`, "/var/lib/lab/guests/mal.boot", hex.EncodeToString(frame))
	}

	s.part("unguarded")
	prepare(false)
	c := s.captureUplink(host2, "ether src "+stranger)
	s.reboot(host1)
	s.check(s.comes("forged frames arrive", func() bool { return c.count() > 100 }), "mal's frames arrive on host2")
	c.close()

	s.part("guarded, fail_mode secure")
	prepare(true)
	s.permit(steady, steady.own()...)
	s.permit(mal, mal.own()...)
	s.permit(far, far.own()...)
	c = s.captureUplink(host2, "ether src "+stranger)
	p := s.ping(far, steady.ip4())
	s.answers(p)
	down := time.Now()
	s.reboot(host1)
	up := time.Now()
	s.answers(p)
	p.close()
	s.wait("mal's frames are dropped", func() bool { return s.drops(mal)["mac"] > 500 })
	c.close()
	sent := int(s.drops(mal)["mac"])
	s.entry.forged += sent
	s.entry.passed += c.count()
	s.check(c.count() == 0, "of mal's frames, %d arrived on host2 since before the reboot; dropped by its policy: %d", c.count(), sent)
	for _, g := range []guest{steady, mal} {
		v := s.status(g)
		s.check(v.State == "enforced" && v.InForce && v.Checks == "mac,arp,ip", "%s: %s %s, from OVSDB alone: nobody wrote anything", g.name, v.State, v.Checks)
	}
	s.fact("reboot took %.1f s, the guest's pings were unanswered for %.1f s; %d forged frames dropped, %d got out",
		up.Sub(down).Seconds(), p.outage().Seconds(), sent, c.count())
}

// reboot stops a host's container, as hard as losing power after its grace time, and starts it.
func (s *story) reboot(h host) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for _, verb := range []string{"stop", "start"} {
		s.show("docker", verb, h.container())
		if out, err := exec.CommandContext(ctx, "docker", verb, h.container()).CombinedOutput(); err != nil {
			s.Fatalf("docker %s: %v\n%s", verb, err, out)
		}
	}
	s.booted(h)
}

// booted waits until a host is up.
func (s *story) booted(h host) {
	s.Helper()
	s.wait(string(h)+" is up", func() bool {
		_, err := h.try(s.Context(), "test", "-e", "/run/openvswitch/booted")
		return err == nil
	})
}
