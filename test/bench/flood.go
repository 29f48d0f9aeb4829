package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// floodRate is how many frames a second a flood has.
const floodRate = 10000

// spoof is a kind of frame that claims something else each time.
type spoof struct {
	name  string
	frame func(from, to vif, n uint32) []byte
}

func spoofs() []spoof {
	some4 := func(n uint32) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, scatter(n))))
	}
	some6 := func(n uint32) netip.Addr { // in the guests' own /64
		a := netip.MustParseAddr("2001:db8::").As16()
		binary.BigEndian.PutUint32(a[8:], scatter(n))
		binary.BigEndian.PutUint32(a[12:], scatter(n+1))
		return netip.AddrFrom16(a)
	}
	mac := func(v vif) lab.MAC { return lab.MustMAC(v.mac()) }
	at := netip.AddrPortFrom
	return []spoof{
		{"IPv4 sources", func(from, to vif, n uint32) []byte {
			return lab.UDPFrame(mac(to), mac(from), at(some4(n), 1000), at(to.ip4(), 9))
		}},
		{"IPv6 sources", func(from, to vif, n uint32) []byte {
			return lab.UDPFrame(mac(to), mac(from), at(some6(n), 1000), at(netip.MustParseAddr(to.ip6()), 9))
		}},
		{"MACs", func(from, to vif, n uint32) []byte {
			m := lab.MAC{2}
			binary.BigEndian.PutUint32(m[2:], scatter(n))
			return lab.UDPFrame(mac(to), m, at(from.ip4(), 1000), at(to.ip4(), 9))
		}},
		{"ARP senders", func(from, _ vif, n uint32) []byte { return lab.GratuitousARP(mac(from), some4(n)) }},
		{"ND targets", func(from, to vif, n uint32) []byte {
			src, dst := lab.LinkLocal(mac(from)), netip.MustParseAddr(to.ip6())
			return lab.IPFrame(mac(to), mac(from), lab.NA(src, dst, 0, some6(n), lab.TargetLL(mac(from))))
		}},
	}
}

// scatter spreads numbers over 32 bits, each to another one.
func scatter(n uint32) uint32 { return n * 2654435761 }

// floodVariants are the ways to meet a flood: vifguard's own, without and with quarantine,
// and all.
func floodVariants() (own, quarantine variant, all []variant) {
	own = policies[len(policies)-1]
	tries := own
	tries.name, tries.prefixes = "with a prefix trie for ipv6_src", "nw_src,ipv6_src"
	quarantine = own
	quarantine.name = "with " + model.KeyFlood
	quarantine.keys = map[string]string{model.KeyFlood: fmt.Sprint(floodRate / 10)}
	return own, quarantine, []variant{bare, own, besides, tries, quarantine}
}

// damage is what a flood did.
type damage struct {
	kept  []float64 // of the victims' throughput, by burst
	work  []float64 // of the victims' throughput for each second of ovs-vswitchd's CPU time
	cost  float64   // ovs-vswitchd's CPU time for each frame, in seconds
	rate  float64   // frames a second
	agent float64   // its use of a core
	cache megaflows
}

// flooding lets a third guest send what it may not, and looks at what that does to the
// other two, to the switch and to the agent.
func (b *bench) flooding(ctx context.Context) (err error) {
	s, err := b.newSite(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	own, quarantine, list := floodVariants()
	for _, kind := range spoofs() {
		b.logf("flood of %s", kind.name)
		all := map[string][]damage{}
		for i := range max(1, b.bursts/floodBursts/2) {
			for _, v := range slices.Concat(list[i:], list[:i]) {
				d, err := s.under(ctx, v, kind)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", kind.name, v.name, err)
				}
				all[v.name] = append(all[v.name], d)
			}
		}
		b.addFlood(kind, own, quarantine, list, all)
	}
	return nil
}

// addFlood adds the rows of one kind of flood.
func (b *bench) addFlood(kind spoof, own, quarantine variant, list []variant, all map[string][]damage) {
	bursts := func(v variant, of func(damage) []float64) interval {
		var list []float64
		for _, d := range all[v.name] {
			list = append(list, of(d)...)
		}
		return between(list)
	}
	kept := func(d damage) []float64 { return d.kept }
	work := func(d damage) []float64 { return d.work }
	mid := func(v variant, of func(damage) float64) float64 {
		var figures []float64
		for _, d := range all[v.name] {
			figures = append(figures, of(d))
		}
		return median(figures)
	}
	// figures are those of the variants that own is compared with.
	peers := func(figure func(variant) string) string {
		var words []string
		for _, v := range list {
			if v.name != own.name {
				words = append(words, v.name+" "+figure(v))
			}
		}
		return strings.Join(words, ", ")
	}
	add := func(what string, figure func(variant) string, x row) {
		x.measure, x.own, x.peer = fmt.Sprintf("flood of %s: %s", kind.name, what), figure(own), peers(figure)
		if x.value == "" {
			x.value = x.own
		}
		b.add(x)
	}
	keeps := bursts(own, kept)
	ok, unclear := keeps.reaches(0.9)
	add("victims keep", func(v variant) string { return fmt.Sprintf("%.2f", bursts(v, kept).mid) },
		row{value: keeps.String(), reach: ">= 0.9", ok: ok, unclear: unclear})
	keeps = bursts(quarantine, kept)
	ok, unclear = keeps.reaches(0.9)
	b.add(row{
		measure: fmt.Sprintf("flood of %s: victims keep, %s=%s", kind.name, quarantine.name, quarantine.keys[model.KeyFlood]),
		own:     fmt.Sprintf("%.2f", keeps.mid), value: keeps.String(), reach: ">= 0.9", ok: ok, unclear: unclear,
	})
	add("the same for each second of ovs-vswitchd's CPU", func(v variant) string { return fmt.Sprintf("%.2f", bursts(v, work).mid) },
		row{value: bursts(own, work).String(), noted: true})
	add("ovs-vswitchd's time for each frame", func(v variant) string {
		return fmt.Sprintf("%.2f us", mid(v, func(d damage) float64 { return d.cost * 1e6 }))
	}, row{value: fmt.Sprintf("at %.0f/s", mid(own, func(d damage) float64 { return d.rate })), noted: true})
	add("megaflows, masks", func(v variant) string { return all[v.name][len(all[v.name])-1].cache.String() }, row{noted: true})
	agent := mid(own, func(d damage) float64 { return d.agent })
	b.add(row{
		measure: fmt.Sprintf("flood of %s: agent", kind.name), own: fmt.Sprintf("%.1f %% of a core", agent*100),
		value: fmt.Sprintf("%.1f %%", agent*100), reach: "< 5 %", ok: agent < 0.05,
	})
}

// floodBursts is how many bursts of the victims are measured before, in and after a flood.
const floodBursts = 3

// under floods a pair from the third guest. The victims are quiet while the flood comes
// to its steady state and its cost is measured, and send before, in and after it.
func (s *site) under(ctx context.Context, v variant, kind spoof) (d damage, err error) {
	if err := s.apply(ctx, v); err != nil {
		return d, err
	}
	victims := s.pairs[v.bridge]
	before, err := s.measure(ctx, tcp(), victims, floodBursts)
	if err != nil {
		return d, err
	}
	during, err := s.flooded(ctx, s.third[v.bridge], kind, victims, &d)
	if err == nil {
		err = s.apply(ctx, v) // as before the flood: nothing of it is left in the cache
	}
	if err != nil {
		return d, err
	}
	after, err := s.measure(ctx, tcp(), victims, floodBursts)
	beside := func(of func(sample) float64) (list []float64) {
		quiet := median(collect(append(before, after...), of))
		for _, x := range during {
			list = append(list, of(x)/quiet)
		}
		return list
	}
	if err == nil {
		d.kept = beside(func(x sample) float64 { return x.rate })
		d.work = beside(func(x sample) float64 { return x.rate / x.busy })
	}
	return d, err
}

// flooded floods from an attacker. It returns the bursts of the victims meanwhile, after
// it has measured what the flood alone does.
func (s *site) flooded(ctx context.Context, attacker *lab.Guest, kind spoof, victims pair, d *damage) (during []sample, err error) {
	flooding, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	g, err := s.newGauge(victims)
	if err != nil {
		stop()
		return nil, err
	}
	defer g.close()
	from, to := vifOf(attacker), vifOf(victims.to)
	go func() {
		ended <- flood(flooding, attacker.NIC, floodRate, &g.done, func(n uint32) []byte { return kind.frame(from, to, n) })
	}()
	defer func() { stop(); err = errors.Join(err, <-ended) }()
	d.agent, err = load(s.agent.PID(), func() error {
		if err := rest(ctx, s.flood*2/3); err != nil {
			return err
		}
		c, err := g.during(func() error { return rest(ctx, s.flood/3) })
		if err != nil {
			return err
		}
		d.rate = float64(c.done)
		d.cost = c.cpu.Seconds() / d.rate
		during, err = s.measure(ctx, tcp(), victims, 2*floodBursts)
		return err
	})
	if err == nil {
		d.cache, err = s.megaflowCount()
	}
	return during, err
}

// megaflows are the contents of the datapath's cache.
type megaflows struct{ flows, masks int }

func (m megaflows) String() string { return fmt.Sprintf("%d, %d", m.flows, m.masks) }

// exact is a value in a megaflow that isn't a mask, as in src=10.0.0.1 and in_port(2).
var exact = regexp.MustCompile(`=[^,()/]*|\([0-9a-fx]+\)`)

// megaflowCount counts the megaflows and their masks in the datapath.
func (s *site) megaflowCount() (megaflows, error) {
	out, err := s.sw.Appctl("dpctl/dump-flows")
	return countMegaflows(out), err
}

// countMegaflows counts what dpctl/dump-flows prints. The userspace datapath doesn't tell
// the masks, so it counts what differs in more than values.
func countMegaflows(dump string) (m megaflows) {
	masks := map[string]bool{}
	for line := range strings.Lines(dump) {
		match, _, ok := strings.Cut(line, ", packets:")
		if !ok {
			continue
		}
		m.flows++
		masks[exact.ReplaceAllString(match, "=")] = true
	}
	m.masks = len(masks)
	return m
}
