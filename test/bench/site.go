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
	s.agent, err = b.startAgent(s.sw)
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
