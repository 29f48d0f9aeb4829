//go:build lab

package hosts

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestUpgrade(t *testing.T) {
	here := newGuest("here", host2, 0x14)
	mal := newGuest("mal", host2, 0x66)
	victim := newGuest("victim", host1, 0x10)
	s := tell(t, "Open vSwitch upgrade of host2",
		"host2 is reinstalled with the Open vSwitch of the next Debian release, and keeps its disk:\n"+
			"the database is converted, the guests come back. host1 stays as it is. Before and after,\n"+
			"mal on host2 tries everything, and once unguarded.")
	s.part("unguarded")
	s.fresh(false)
	s.plug(mal, victim)
	s.mustArrive(mal, victim, forgeries(victim))

	s.fresh(true)
	s.plug(here, mal, victim)
	for _, g := range []guest{here, mal, victim} {
		s.permit(g, g.own()...)
	}
	before := s.openvswitch(host2)
	s.part("Open vSwitch %s on host2", before)
	s.mustDie(mal, victim, forgeries(victim))
	s.check(s.reaches(here, victim.ip4()) && s.reaches(here, victim.ip6()), "here reaches victim over IPv4 and IPv6")

	s.part("upgrade")
	t.Cleanup(func() {
		// A newer database can't go back: the lab's host2 gets a new disk.
		if out, err := exec.Command("./lab", "host2", "latest", "blank").CombinedOutput(); err != nil {
			t.Errorf("host2 isn't as it was: %v\n%s", err, out)
		}
	})
	s.reinstall("ovs-next")
	after := s.openvswitch(host2)
	s.check(after != before, "Open vSwitch %s on host2, %s on host1", after, s.openvswitch(host1))
	for _, g := range []guest{here, mal} {
		s.wait(g.name+"'s policy is in force", func() bool { v := s.status(g); return v.State == "enforced" && v.InForce })
	}
	s.mustDie(mal, victim, forgeries(victim))
	s.check(s.reaches(here, victim.ip4()) && s.reaches(here, victim.ip6()), "here reaches victim over IPv4 and IPv6")
	s.check(len(s.drops(here)) == 0, "nothing that here sent was dropped: %v", s.drops(here))
	s.fact("Open vSwitch %s to %s: the same verdicts, policies kept through the conversion of the database", before, after)
}

// reinstall replaces host2 by another image and keeps its disk.
func (s *story) reinstall(tag string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	s.show("test/hosts/lab", "host2", tag)
	cmd := exec.CommandContext(ctx, "./lab", "host2", tag)
	cmd.Env = os.Environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("lab host2 %s: %v\n%s", tag, err, out)
	}
	s.booted(host2)
}

// openvswitch is the version of a host's ovs-vswitchd, which runs.
func (s *story) openvswitch(h host) string {
	s.Helper()
	out := s.do(h, "ovs-appctl", "-t", "ovs-vswitchd", "version")
	line, _, _ := strings.Cut(out, "\n")
	return line[strings.LastIndex(line, " ")+1:]
}
