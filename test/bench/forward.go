package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// site is a private switch on the userspace datapath with guests on vifguard's bridge
// and on OVN's.
type site struct {
	*bench
	sw    *lab.Switch
	ovn   *ovn
	agent *daemon
	pairs map[string]pair // by bridge
	third map[string]*lab.Guest
	// Where frames with an unknown destination go: to nobody but the fourth guest.
	strangers map[string]pair
	sinks     []net.PacketConn

	vswitchd int         // its process
	cpus     unix.CPUSet // of this program before
	applied  variant
}

func (b *bench) newSite(ctx context.Context) (_ *site, err error) {
	s := &site{bench: b, pairs: map[string]pair{}, third: map[string]*lab.Guest{}, strangers: map[string]pair{}}
	if err := unix.SchedGetaffinity(0, &s.cpus); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	one, others := split(s.cpus)
	if err := pin(os.Getpid(), others); err != nil { // and what is started from here on
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.sw, err = lab.StartSwitch(ctx, lab.Options{Datapath: lab.Userspace}); err != nil {
		return nil, err
	}
	if s.vswitchd, err = pidIn(filepath.Join(s.sw.Dir, "ovs-vswitchd.pid")); err != nil {
		return nil, err
	}
	if err := pin(s.vswitchd, one); err != nil {
		return nil, err
	}
	if err := s.sw.AddBridge(bridge); err != nil {
		return nil, err
	}
	if s.ovn, err = startOVN(ctx, s.sw); err != nil {
		return nil, err
	}
	for i, name := range []string{bridge, ovnBridge} {
		var guests []*lab.Guest
		for k := range 4 {
			g, err := s.addGuest(ctx, name, vif(10*i+k))
			if err != nil {
				return nil, err
			}
			if err := receiveOn(ctx, g, others); err != nil {
				return nil, err
			}
			guests = append(guests, g)
		}
		s.pairs[name], s.third[name], s.strangers[name] = pair{guests[0], guests[1]}, guests[2], pair{guests[0], guests[3]}
		c, err := sink(guests[1])
		if err != nil {
			return nil, err
		}
		s.sinks = append(s.sinks, c)
	}
	stranger := vifOf(s.strangers[ovnBridge].to).name()
	if _, err := s.ovn.nbctl(ctx, "--wait=hv", "lsp-set-port-security", stranger, "--", "lsp-set-addresses", stranger, "unknown"); err != nil {
		return nil, err
	}
	s.agent, err = startDaemon(filepath.Join(s.sw.Dir, "agent.log"), nil, b.program, "run", "--ovsdb", s.sw.Endpoint(), "--log-level", "warn")
	return s, err
}

// addGuest adds a guest whose VIF may send what the fleet's may.
func (s *site) addGuest(ctx context.Context, on string, v vif) (*lab.Guest, error) {
	ids := v.ids()
	if on == ovnBridge {
		ids = map[string]string{"iface-id": v.name()}
		if _, err := s.ovn.nbctl(ctx, append([]string{"--wait=sb"}, s.ovn.port(v)[1:]...)...); err != nil {
			return nil, err
		}
	}
	g, err := s.sw.AddGuest(ctx, on, lab.GuestOptions{
		Name: v.name(), MAC: lab.MustMAC(v.mac()), ExternalIDs: ids, Quiet: true,
		Addresses: []netip.Prefix{netip.PrefixFrom(v.ip4(), 8), netip.PrefixFrom(netip.MustParseAddr(v.ip6()), 64)},
	})
	if err != nil || on != ovnBridge {
		return g, err
	}
	return g, s.ovn.sync(ctx)
}

func (s *site) close() error {
	for _, c := range s.sinks {
		c.Close()
	}
	s.agent.stop()
	if s.ovn != nil {
		s.ovn.stop()
	}
	err := pin(os.Getpid(), s.cpus)
	if s.sw != nil {
		err = errors.Join(err, s.sw.Stop())
	}
	return err
}

// variant is a way to treat a pair's packets.
type variant struct {
	name, bridge, checks string
	keys                 map[string]string // further ones of the bridge's external_ids
	prefixes             string            // Flow_Table.prefixes of the stage that checks IP sources
}

// What the policies are compared with: no policy, the same once more, whose difference
// is nothing but the noise of the method, and OVN with all its port security.
var (
	bare     = variant{name: "bare NORMAL", bridge: bridge}
	again    = variant{name: "bare again", bridge: bridge}
	besides  = variant{name: "OVN", bridge: ovnBridge}
	policies = []variant{policy("mac"), policy("mac,arp"), policy("mac,arp,ip")}
)

func policy(checks string) variant { return variant{name: checks, bridge: bridge, checks: checks} }

// external returns the keys of the bridge's external_ids.
func (v variant) external() map[string]string {
	keys := maps.Clone(v.keys)
	if v.checks != "" {
		if keys == nil {
			keys = map[string]string{}
		}
		keys[model.KeyChecks] = v.checks
	}
	return keys
}

// apply makes the switch treat the pairs like that.
func (s *site) apply(ctx context.Context, v variant) error {
	if v.bridge == bridge {
		args := []string{"clear", "Bridge", bridge, "flow_tables"}
		for key := range s.applied.external() {
			args = append(args, "--", "remove", "Bridge", bridge, "external_ids", key)
		}
		for key, value := range v.external() {
			args = append(args, "--", "set", "Bridge", bridge, fmt.Sprintf("external_ids:%s=%q", key, value))
		}
		if v.prefixes != "" {
			args = append(args, "--", "--id=@t", "create", "Flow_Table", "prefixes="+v.prefixes,
				"--", "set", "Bridge", bridge, fmt.Sprintf("flow_tables:%d=@t", flows.StageIP))
		}
		if _, err := s.sw.Vsctl(args...); err != nil {
			return err
		}
		s.applied = v
		err := lab.WaitUntil(ctx, "the guests have "+v.name, func() (bool, error) {
			ids, err := s.sw.IDs(s.pairs[bridge].from.Port)
			return ids[model.KeyStatusChecks] == v.checks, err
		})
		if err != nil {
			return err
		}
	}
	if err := s.sw.Purge(); err != nil {
		return err
	}
	return s.pairs[v.bridge].meet(ctx)
}

// forwarding compares what two guests can send to each other under each policy.
func (b *bench) forwarding(ctx context.Context) (err error) {
	s, err := b.newSite(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	// All others are a burst or two away from a bare bridge.
	list := []variant{bare, policies[0], policies[1], again, policies[2], besides}
	for _, t := range traffics() {
		b.logf("forwarding: %s, %d bursts under each policy", t.name, b.bursts)
		if t.unknown {
			if err := s.floodLess(); err != nil {
				return err
			}
		}
		got := map[string][]sample{} // by variant
		for i := range b.bursts {
			turn := i % len(list)
			for _, v := range slices.Concat(list[turn:], list[:turn]) {
				err := s.apply(ctx, v)
				var x []sample
				if err == nil {
					p := s.pairs[v.bridge]
					if t.unknown {
						p = s.strangers[v.bridge]
					}
					x, err = s.measure(ctx, t, p, 1)
				}
				if err != nil {
					return fmt.Errorf("%s, %s: %w", v.name, t.name, err)
				}
				got[v.name] = append(got[v.name], x...)
			}
		}
		b.addTraffic(t, got)
	}
	return nil
}

// floodLess makes NORMAL deliver a frame with an unknown destination to the fourth guest
// alone, as OVN does: with equal output, the difference is that of the upcalls. The
// guests must know each other, since ARP requests go there too.
func (s *site) floodLess() error {
	for _, port := range []string{bridge, s.pairs[bridge].to.Port, s.third[bridge].Port} {
		if _, err := s.sw.Ofctl("-OOpenFlow10", "mod-port", bridge, port, "no-flood"); err != nil {
			return err
		}
	}
	return nil
}

// addTraffic adds the rows of one kind of traffic: the rate that the reach is about, and
// what it took of the switch.
func (b *bench) addTraffic(t traffic, got map[string][]sample) {
	rate := func(x sample) float64 { return x.rate }
	cost := func(x sample) float64 { return x.cost * 1e6 }
	ratio := func(v, peer variant, of func(sample) float64) interval {
		return between(ratios(collect(got[v.name], of), collect(got[peer.name], of)))
	}
	mid := func(v variant, of func(sample) float64) float64 { return median(collect(got[v.name], of)) }

	noise := ratio(again, bare, rate)
	b.add(row{
		measure: t.name + ", " + again.name, own: fmt.Sprintf("%.3g %s", mid(again, rate), t.unit),
		peer: fmt.Sprintf("bare %.3g", mid(bare, rate)), value: noise.String(), noted: true,
	})
	for _, v := range policies {
		ofBare, ofOVN := ratio(v, bare, rate), ratio(v, besides, rate)
		ok1, unclear1 := ofBare.reaches(t.reach)
		ok2, unclear2 := ofOVN.reaches(1)
		b.add(row{
			measure: t.name + ", " + v.name, own: fmt.Sprintf("%.3g %s", mid(v, rate), t.unit),
			peer:  fmt.Sprintf("bare %.3g, OVN %.3g", mid(bare, rate), mid(besides, rate)),
			value: fmt.Sprintf("%s, %s", ofBare, ofOVN), reach: fmt.Sprintf(">= %.2f, >= 1", t.reach),
			ok: ok1 && ok2, unclear: (ok1 || unclear1) && (ok2 || unclear2),
		})
	}
	// What explains the rates, in one row for all policies.
	lookups := func(x sample) float64 { return x.lookups }
	explain := func(what string, of func(sample) float64) row {
		x := row{measure: t.name + ": " + what, noted: true, peer: fmt.Sprintf("bare %.2f, again %.2f, OVN %.2f", mid(bare, of), mid(again, of), mid(besides, of))}
		var figures []string
		for _, v := range policies {
			figures = append(figures, fmt.Sprintf("%.2f", mid(v, of)))
		}
		x.own = strings.Join(figures, ", ")
		return x
	}
	x := explain("ovs-vswitchd's us for each packet, by policy", cost)
	var beside []string
	for _, v := range policies {
		beside = append(beside, ratio(v, bare, cost).String())
	}
	x.value = strings.Join(beside, ", ")
	b.add(x)
	if mid(bare, lookups) > 0 { // or all is found in the exact-match cache
		b.add(explain("subtables for each megaflow hit, by policy", lookups))
	}
	b.logf("ovs-vswitchd is busy for %.2f of the time without a policy", mid(bare, func(x sample) float64 { return x.busy }))
}

// collect returns one figure of each sample.
func collect(list []sample, of func(sample) float64) (figures []float64) {
	for _, x := range list {
		figures = append(figures, of(x))
	}
	return figures
}
