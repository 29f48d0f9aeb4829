package fault

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
	"github.com/vifguard/vifguard/test/lab"
)

// portFaults are what happens to ports and to what they may be.
var portFaults = []fault{
	{
		name:    "OpenFlow port number of a VIF changed",
		promise: "its rules follow; nothing leaks, nobody else loses a packet",
		strike: func(s *scene, _ *result) {
			s.MustVsctl("set", "Interface", "vm1", "ofport_request=77")
			s.awaitExact()
		},
		lost: only("vm1"),
	},
	{
		name:    "OpenFlow port number taken over by another VIF",
		promise: "rules follow the Interface; what the switch gives away before the agent knows is milliseconds",
		prepare: func(s *scene) { s.plug("vm4", 4); s.guard() },
		rate:    250,
		streams: func(s *scene) []lab.Stream { // vm1 goes, and vm4 would like to be vm1
			vm1, vm4 := s.vms[0], s.vms[3]
			all := append(s.vms[1].honest(s.sink.MAC), s.vms[2].honest(s.sink.MAC)...)
			all = append(all, vm4.honest(s.sink.MAC)...)
			for _, l := range vm1.honest(s.sink.MAC) {
				all = append(all, lab.Stream{Kind: "as vm1: " + l.Kind, Spoofed: true, From: vm4.NIC, Frame: l.Frame})
			}
			return all
		},
		strike: func(s *scene, _ *result) {
			s.MustVsctl("del-port", "vm1", "--", "set", "Interface", "vm4", "ofport_request=11")
			s.awaitExact()
			s.await("vm4", "state=enforced")
			if n, err := s.OFPort("vm4"); err != nil || n != 11 {
				s.t.Fatalf("vm4 has the number %d, %v", n, err)
			}
		},
		lost:   only("vm4"),
		leaked: only("vm4"),
	},
	{
		name:    "port deleted and added again in one transaction",
		promise: "programmed within milliseconds; nothing leaks",
		strike: func(s *scene, _ *result) {
			s.MustVsctl(slices.Concat([]string{"del-port", "vm1", "--", "add-port", bridge, "vm1", "--", "set", "Interface", "vm1"}, s.vms[0].settings())...)
			s.await("vm1", "state=enforced")
			s.awaitExact()
		},
		lost: only("vm1"),
	},
	{
		name:    "interface renamed",
		promise: "rules follow; nothing leaks, nobody else loses a packet",
		strike: func(s *scene, _ *result) {
			for _, args := range []string{"down", "name vm1b", "up"} {
				device := s.vms[0].Port
				s.inNetns(append([]string{"ip", "link", "set", device}, strings.Fields(args)...)...)
				if strings.HasPrefix(args, "name") {
					s.vms[0].Port = "vm1b"
				}
			}
			s.MustVsctl(slices.Concat([]string{"del-port", "vm1", "--", "add-port", bridge, "vm1b", "--", "set", "Interface", "vm1b"}, s.vms[0].settings())...)
			s.await("vm1b", "state=enforced")
			s.awaitExact()
		},
		lost: func(l lab.Stream) bool { return l.From.Port == "vm1b" },
	},
	{
		name:    "policy toggled 100 times between two strict ones, 10,000 packets/s",
		promise: "no packet sees a mix of two policies",
		rate:    1700, // of six streams
		streams: func(s *scene) []lab.Stream {
			var all []lab.Stream
			for _, v := range s.vms {
				all = append(all,
					lab.Stream{Kind: "in both", From: v.NIC, Frame: udp(s.sink.MAC, v.MAC, v.ip4)},
					lab.Stream{Kind: "in a mix", From: v.NIC, Spoofed: true, Frame: udp(s.sink.MAC, v.MAC, ip("198.51.100.1"))})
			}
			return all
		},
		strike: func(s *scene, _ *result) {
			c := s.database()
			defer c.Close()
			for n := range 100 {
				for i, v := range s.vms {
					// The MAC of one policy with the address of the other is a mix.
					keys := v.keys()
					if n%2 == 0 {
						keys = map[string]string{
							"attached-mac":          fmt.Sprintf("52:54:00:00:01:%02x", i),
							"allowed-addresses":     "198.51.100.1",
							"allowed-address-pairs": fmt.Sprintf("%s@%s", v.ip4, model.MAC(v.MAC)),
						}
					} else {
						keys["allowed-address-pairs"] = ""
					}
					keys["port-security-seq"] = fmt.Sprint(n)
					s.apply(c, v.Name, keys)
				}
				for _, v := range s.vms {
					s.awaitSeq(c, v.Name, fmt.Sprint(n))
				}
			}
			s.awaitExact()
		},
	},
	{
		name:    "policy toggled 100 times from strict to off and back, 10,000 packets/s",
		promise: "legitimate packets pass all the time",
		rate:    3300, // of three streams
		streams: func(s *scene) []lab.Stream {
			var all []lab.Stream
			for _, v := range s.vms {
				all = append(all, lab.Stream{Kind: "udp4", From: v.NIC, Frame: udp(s.sink.MAC, v.MAC, v.ip4)})
			}
			return all
		},
		strike: func(s *scene, _ *result) {
			c := s.database()
			defer c.Close()
			for n := range 100 {
				checks := []string{"off", "mac,arp,ip"}[n%2]
				for _, v := range s.vms {
					s.apply(c, v.Name, map[string]string{"port-security": checks, "port-security-seq": fmt.Sprint(n)})
				}
				for _, v := range s.vms {
					s.awaitSeq(c, v.Name, fmt.Sprint(n))
				}
			}
			s.awaitExact()
		},
	},
	{
		name:    "hostile metadata: 10 MB, 100,000 pairs, control characters, look-alikes",
		promise: "costs that VIF its addresses and nobody else anything; the report is short and printable",
		rate:    10, // the userspace datapath waits while ovs-vswitchd reads 10 MB
		streams: func(s *scene) []lab.Stream {
			return slices.Concat(s.vms[0].honest(s.sink.MAC), s.vms[0].lies(s.sink.MAC, s.vms[1]),
				s.vms[2].honest(s.sink.MAC), s.vms[2].lies(s.sink.MAC, s.vms[0]), s.vms[1].lies(s.sink.MAC, s.vms[0]))
		},
		strike: func(s *scene, _ *result) {
			c := s.database()
			defer c.Close()
			for n, h := range hostile() {
				// Without a valid address, auto would mean mac.
				keys := map[string]string{"attached-mac": s.vms[1].own["attached-mac"], "port-security": "mac,arp,ip"}
				for _, key := range []string{"allowed-addresses", "allowed-address-pairs", "port-security-allow", "port-profile"} {
					keys[key] = ""
				}
				seq := fmt.Sprint(n)
				keys[h.key], keys["port-security-seq"] = h.value, seq
				s.apply(c, "vm2", keys)
				asked := time.Now()
				s.apply(c, "vm1", map[string]string{"port-security-seq": seq})
				s.awaitSeq(c, "vm1", seq)
				s.t.Logf("%s of %d bytes: its neighbour's change took %s", h.key, len(h.value), time.Since(asked).Round(time.Millisecond))
				s.awaitSeq(c, "vm2", seq)
				text := s.row(c, "vm2").ExternalIDs["vifguard-error"]
				if unprintable := func(r rune) bool { return !unicode.IsPrint(r) }; len(text) == 0 || len(text) > 2048 || strings.ContainsFunc(text, unprintable) {
					s.t.Errorf("%s with a hostile value: report of %d bytes: %.300q", h.key, len(text), text)
				}
			}
			s.apply(c, "vm2", map[string]string{"attached-mac": "52:54:00:00:00:02", "port-security-seq": "end"})
			s.awaitSeq(c, "vm2", "end")
			s.awaitExact()
		},
		waits: true,
	},
}

// hostile returns keys with values that nobody should write. OVSDB itself refuses NUL
// and what isn't UTF-8.
func hostile() []struct{ key, value string } {
	type entry = struct{ key, value string }
	all := []entry{
		{"allowed-addresses", strings.Repeat("9", 10<<20)},
		{"allowed-address-pairs", `[` + strings.Repeat(`{"ip_address":"198.51.100.300"},`, 100_000) + `{}]`},
		{"allowed-address-pairs", strings.Repeat("198.51.100.300,", 100_000)},
	}
	for _, key := range []string{"allowed-addresses", "allowed-address-pairs", "port-security-allow", "port-security", "port-profile", "attached-mac"} {
		all = append(all,
			entry{key, strings.Repeat("x,", 100_000)},
			entry{key, strings.Repeat("[", 100_000)},
			entry{key, "\x1b[31m\r\n\t\x01\x7f"},
			entry{key, "１９２.0.2.1,192。0。2。1,192.0.2.1\u202e,52:54:00:00:00:0２"})
	}
	return all
}

// settings are the words of ovs-vsctl that make v's interface its own again.
func (v *vm) settings() []string {
	k := v.keys()
	return []string{
		fmt.Sprintf("external_ids:attached-mac=%q", k["attached-mac"]),
		fmt.Sprintf("external_ids:allowed-addresses=%q", k["allowed-addresses"]),
	}
}

// inNetns runs a program in the switch's namespace.
func (s *scene) inNetns(args ...string) {
	s.t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--net=" + s.Netns().Path()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// database connects to OVSDB as an orchestrator does, without a process for each change.
func (s *scene) database() *ovsdb.Client {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	c, err := ovsdb.Dial(ctx, s.Endpoint(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// apply changes external_ids of an interface; an empty value deletes its key.
func (s *scene) apply(c *ovsdb.Client, port string, keys map[string]string) {
	s.t.Helper()
	e := ovsdb.Edit{Table: ovsdb.TableInterface, UUID: s.row(c, port).UUID, Set: map[string]string{}}
	for k, v := range keys {
		if v == "" {
			e.Delete = append(e.Delete, k)
		} else {
			e.Set[k] = v
		}
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if _, err := c.Apply(ctx, []ovsdb.Edit{e}); err != nil {
		s.t.Fatal(err)
	}
}

// row returns an interface's row.
func (s *scene) row(c *ovsdb.Client, port string) *model.Interface {
	s.t.Helper()
	if b := c.Host().Bridge(bridge); b != nil {
		for _, i := range b.Interfaces {
			if i.Name == port {
				return i
			}
		}
	}
	s.t.Fatalf("no interface %s", port)
	return nil
}

// awaitSeq waits until a row's metadata is in force.
func (s *scene) awaitSeq(c *ovsdb.Client, port, seq string) {
	s.t.Helper()
	s.wait(port+" to be in force", func() error {
		if ids := s.row(c, port).ExternalIDs; ids["vifguard-seq"] != seq {
			return fmt.Errorf("seq is %q (want %q), state %s", ids["vifguard-seq"], seq, ids["vifguard-state"])
		}
		return nil
	})
}
