package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

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
}

// pair is two guests that talk to each other.
type pair struct{ from, to *lab.Guest }

func (b *bench) newSite(ctx context.Context) (_ *site, err error) {
	s := &site{bench: b, pairs: map[string]pair{}, third: map[string]*lab.Guest{}}
	if s.sw, err = lab.StartSwitch(ctx, lab.Options{Datapath: lab.Userspace}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.sw.AddBridge(bridge); err != nil {
		return nil, err
	}
	if s.ovn, err = startOVN(ctx, s.sw); err != nil {
		return nil, err
	}
	for i, name := range []string{bridge, ovnBridge} {
		var guests []*lab.Guest
		for k := range 3 {
			g, err := s.addGuest(ctx, name, vif(10*i+k))
			if err != nil {
				return nil, err
			}
			guests = append(guests, g)
		}
		s.pairs[name], s.third[name] = pair{guests[0], guests[1]}, guests[2]
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
	s.agent.stop()
	if s.ovn != nil {
		s.ovn.stop()
	}
	return s.sw.Stop()
}

// meet lets the guests talk both ways, so that bridge and neighbours know where they are
// before anything is measured.
func (p pair) meet(ctx context.Context) error {
	out, exit, err := p.from.Run(ctx, "ping", "-n", "-c", "3", "-i", "0.2", vifOf(p.to).ip4().String())
	if err == nil && exit != 0 {
		err = fmt.Errorf("%s doesn't reach %s: %s", p.from.Name, p.to.Name, out)
	}
	return err
}

// variant is a way to treat a pair's packets.
type variant struct {
	name, bridge, checks string
	prefixes             string // Flow_Table.prefixes of the stage that checks IP sources
}

// bare is what all others are compared with.
const bare = "bare NORMAL"

func variants() []variant {
	return []variant{
		{name: bare, bridge: bridge},
		{name: "mac", bridge: bridge, checks: "mac"},
		{name: "mac,arp", bridge: bridge, checks: "mac,arp"},
		{name: "mac,arp,ip", bridge: bridge, checks: "mac,arp,ip"},
		{name: "OVN", bridge: ovnBridge},
	}
}

// apply makes the switch treat the pairs like that.
func (s *site) apply(ctx context.Context, v variant) error {
	if v.bridge == bridge {
		args := []string{"remove", "Bridge", bridge, "external_ids", model.KeyChecks}
		if v.checks != "" {
			args = []string{"set", "Bridge", bridge, "external_ids:" + model.KeyChecks + "=\"" + v.checks + "\""}
		}
		args = append(args, "--", "clear", "Bridge", bridge, "flow_tables")
		if v.prefixes != "" {
			args = append(args, "--", "--id=@t", "create", "Flow_Table", "prefixes="+v.prefixes,
				"--", "set", "Bridge", bridge, fmt.Sprintf("flow_tables:%d=@t", flows.StageIP))
		}
		if _, err := s.sw.Vsctl(args...); err != nil {
			return err
		}
		err := lab.WaitUntil(ctx, "the guests have "+v.name, func() (bool, error) {
			ids, err := s.sw.IDs(s.pairs[bridge].from.Port)
			return ids[model.KeyStatusChecks] == v.checks, err
		})
		if err != nil {
			return err
		}
	}
	return s.sw.Purge()
}

// traffic is something that is sent from one guest to the other; it returns a rate.
type traffic struct {
	name  string
	run   func(*site, context.Context, pair) (float64, error)
	unit  string
	reach float64 // of what is forwarded without a policy
	ovn   bool    // whether OVN can be compared
}

func traffics() []traffic {
	return []traffic{
		{"small packets", (*site).smallPackets, "kpps", 0.98, true},
		{"TCP throughput", (*site).throughput, "Gbit/s", 0.98, true},
		{"TCP connections", (*site).connections, "k/s", 0.9, true},
		{"UDP flows of one packet", (*site).shortFlows, "k/s", 0.9, true},
		{"new megaflows", (*site).megaflows, "k/s", 0.9, false},
	}
}

// forwarding compares what two guests can send to each other under each policy.
func (b *bench) forwarding(ctx context.Context) (err error) {
	s, err := b.newSite(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	rates := map[string]map[string][]float64{} // by traffic, then by variant
	for _, t := range traffics() {
		rates[t.name] = map[string][]float64{}
	}
	for i := range b.rounds {
		b.logf("forwarding, round %d of %d", i+1, b.rounds)
		list := variants()
		list = slices.Concat(list[i%len(list):], list[:i%len(list)])
		for _, v := range list {
			if err := s.apply(ctx, v); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			if err := s.pairs[v.bridge].meet(ctx); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			for _, t := range traffics() {
				rate, err := t.run(s, ctx, s.pairs[v.bridge])
				if err != nil {
					return fmt.Errorf("%s, %s: %w", v.name, t.name, err)
				}
				rates[t.name][v.name] = append(rates[t.name][v.name], rate)
			}
		}
	}
	for _, t := range traffics() {
		base, ovn := rates[t.name][bare], rates[t.name]["OVN"]
		for _, v := range variants() {
			if v.checks == "" {
				continue
			}
			own := rates[t.name][v.name]
			ratio := median(ratios(own, base))
			value, peer, reach, ok := fmt.Sprintf("%.2f", ratio), fmt.Sprintf("bare %.3g", median(base)), fmt.Sprintf(">= %.2f", t.reach), ratio >= t.reach
			if t.ovn {
				besides := median(ratios(own, ovn))
				value, peer, reach, ok = value+fmt.Sprintf(", %.2f", besides), peer+fmt.Sprintf(", OVN %.3g", median(ovn)), reach+", >= 1", ok && besides >= 1
			}
			b.add(row{
				measure: t.name + ", " + v.name, own: fmt.Sprintf("%.3g %s", median(own), t.unit),
				peer: peer, value: value, reach: reach, ok: ok,
			})
		}
	}
	return nil
}

// inside runs this program in a guest.
func (s *site) inside(ctx context.Context, g *lab.Guest, what, where string) (float64, error) {
	out, exit, err := g.Run(ctx, s.self, guestMode, what, where, s.burst.String())
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit status %d: %s", exit, out)
	}
	if err != nil {
		return 0, fmt.Errorf("%s in %s: %w", what, g.Name, err)
	}
	return parseCount(out)
}

// address returns a guest's IPv4 address and a port.
func address(g *lab.Guest, port int) string {
	return fmt.Sprintf("%s:%d", vifOf(g).ip4(), port)
}

// vifOf returns the VIF that a guest is named after.
func vifOf(g *lab.Guest) (v vif) {
	if _, err := fmt.Sscanf(g.Name, "p%d", &v); err != nil {
		panic(err) // every guest was named by addGuest
	}
	return v
}

func (s *site) smallPackets(ctx context.Context, p pair) (float64, error) {
	return s.received(p.to, func() error { _, err := s.inside(ctx, p.from, "blast", address(p.to, 9)); return err })
}

func (s *site) shortFlows(ctx context.Context, p pair) (float64, error) {
	return s.received(p.to, func() error { _, err := s.inside(ctx, p.from, "sources", address(p.to, 9)); return err })
}

// received returns how many thousand packets a second arrived at a guest.
func (s *site) received(g *lab.Guest, f func() error) (float64, error) {
	before, err := packetsAt(g)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return 0, err
	}
	elapsed := time.Since(begin).Seconds()
	after, err := packetsAt(g)
	return float64(after-before) / elapsed / 1e3, err
}

// packetsAt returns the number of packets that a guest's interface has received.
func packetsAt(g *lab.Guest) (n uint64, err error) {
	err = g.Netns().Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			name, counters, _ := strings.Cut(line, ":")
			if strings.TrimSpace(name) == g.Device {
				n, err = strconv.ParseUint(strings.Fields(counters)[1], 10, 64)
				return err
			}
		}
		return fmt.Errorf("guest %s has no counters of %s", g.Name, g.Device)
	})
	return n, err
}

// throughput returns Gbit/s of TCP, as received.
func (s *site) throughput(ctx context.Context, p pair) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.burst+20*time.Second)
	server := make(chan struct{})
	defer func() { cancel(); <-server }()
	host, port, _ := strings.Cut(address(p.to, 5201), ":")
	go func() {
		defer close(server)
		// It is ended by cancel, and whether it worked shows at the client.
		_, _, _ = p.to.Run(ctx, "iperf3", "--server", "--port", port)
	}()
	args := []string{"--client", host, "--port", port, "--json", "--time", fmt.Sprint(max(1, int(s.burst.Seconds())))}
	var result struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	err := lab.WaitUntil(ctx, "iperf3 has run", func() (bool, error) {
		result.Error = ""
		out, _, err := p.from.Run(ctx, "iperf3", args...)
		if err == nil {
			err = json.Unmarshal([]byte(out), &result)
		}
		return result.Error == "", err // the server may not listen yet
	})
	if err != nil {
		return 0, fmt.Errorf("iperf3: %w %s", err, result.Error)
	}
	return result.End.Received.Rate / 1e9, nil
}

func (s *site) connections(ctx context.Context, p pair) (float64, error) {
	server := make(chan error, 1)
	go func() {
		_, err := s.inside(ctx, p.to, "accept", address(p.to, 5202))
		server <- err
	}()
	n, err := s.inside(ctx, p.from, "connect", address(p.to, 5202))
	return n / s.burst.Seconds() / 1e3, errors.Join(err, <-server)
}

// megaflows sends every packet to another unknown Ethernet destination, which costs an
// upcall and a megaflow each, whatever the policy. OVN delivers no such packets.
func (s *site) megaflows(ctx context.Context, p pair) (float64, error) {
	frame := lab.UDPFrame(lab.MustMAC("02:00:00:00:00:00"), p.from.MAC,
		netip.AddrPortFrom(vifOf(p.from).ip4(), 1), netip.AddrPortFrom(vifOf(p.to).ip4(), 9))
	rate, err := s.received(p.to, func() error {
		return flood(ctx, p.from.NIC, s.burst, unlimited, func(i uint32) []byte {
			binary.BigEndian.PutUint32(frame[2:], i)
			return frame
		})
	})
	return rate, errors.Join(err, s.sw.Purge())
}
