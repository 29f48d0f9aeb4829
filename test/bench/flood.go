package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// Rates of floods, in frames a second.
const (
	floodRate = 10000
	unlimited = 0
)

// flood sends frames from a guest for some time, at a steady rate. frame returns the
// frame with that number.
func flood(ctx context.Context, from *lab.NIC, d time.Duration, rate int, frame func(uint32) []byte) error {
	begin := time.Now()
	for n := uint32(0); ; n++ {
		elapsed := time.Since(begin)
		if elapsed >= d {
			return nil
		}
		if due := time.Duration(n) * time.Second / time.Duration(max(rate, 1)); rate != unlimited && due > elapsed {
			if err := rest(ctx, due-elapsed); err != nil {
				return err
			}
		}
		if err := from.Send(frame(n)); err != nil {
			return err
		}
	}
}

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

// flooding lets a third guest send what it may not, and looks at what that does to the
// other two, to the switch and to the agent.
func (b *bench) flooding(ctx context.Context) (err error) {
	s, err := b.newSite(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	all := variants()[3]
	tries := variant{name: "with a prefix trie for ipv6_src", bridge: all.bridge, checks: all.checks, prefixes: "nw_src,ipv6_src"}
	list := []variant{variants()[0], all, variants()[4], tries}
	for _, kind := range spoofs() {
		kept := map[string][]float64{}
		cache := map[string]megaflows{}
		var busy []float64
		for range max(1, b.rounds/2) {
			for _, v := range list {
				if err := s.apply(ctx, v); err != nil {
					return err
				}
				quiet, err := s.throughput(ctx, s.pairs[v.bridge])
				if err != nil {
					return err
				}
				var hit float64
				used, err := load(s.agent.pid(), func() (err error) {
					hit, cache[v.name], err = s.under(ctx, v, kind)
					return err
				})
				if err != nil {
					return fmt.Errorf("%s, %s: %w", kind.name, v.name, err)
				}
				kept[v.name] = append(kept[v.name], hit/quiet)
				if v == all {
					busy = append(busy, used)
				}
			}
		}
		own := all.name
		keeps, cpu := median(kept[own]), median(busy)
		b.add(row{
			measure: fmt.Sprintf("flood of %s, %d/s: victims keep", kind.name, floodRate), own: fmt.Sprintf("%.2f", keeps),
			peer:  fmt.Sprintf("OVN %.2f, bare %.2f", median(kept["OVN"]), median(kept[bare])),
			value: fmt.Sprintf("%.2f", keeps), reach: ">= 0.9", ok: keeps >= 0.9,
		})
		b.add(row{
			measure: fmt.Sprintf("flood of %s: megaflows, masks", kind.name), own: cache[own].String(),
			peer: fmt.Sprintf("OVN %s, bare %s, %s %s", cache["OVN"], cache[bare], tries.name, cache[tries.name]), value: cache[own].String(), noted: true,
		})
		b.add(row{
			measure: fmt.Sprintf("flood of %s: agent", kind.name), own: fmt.Sprintf("%.1f %% of a core", cpu*100),
			value: fmt.Sprintf("%.1f %%", cpu*100), reach: "< 5 %", ok: cpu < 0.05,
		})
	}
	return nil
}

// under returns the throughput of the victims while the third guest floods, and what
// the flood has left in the datapath.
func (s *site) under(ctx context.Context, v variant, kind spoof) (rate float64, m megaflows, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	attacker, pair := s.third[v.bridge], s.pairs[v.bridge]
	from, to := vifOf(attacker), vifOf(pair.to)
	flooded := make(chan error, 1)
	go func() {
		// Longer than the measurement, which ends it.
		err := flood(ctx, attacker.NIC, time.Minute, floodRate, func(n uint32) []byte { return kind.frame(from, to, n) })
		if ctx.Err() != nil {
			err = nil
		}
		flooded <- err
	}()
	rate, err = s.throughput(ctx, pair)
	if err == nil {
		m, err = s.megaflowCount()
	}
	cancel()
	return rate, m, errors.Join(err, <-flooded, s.sw.Purge())
}

// megaflows are the contents of the datapath's cache.
type megaflows struct{ flows, masks int }

func (m megaflows) String() string { return fmt.Sprintf("%d, %d", m.flows, m.masks) }

// exact is a value in a megaflow that isn't a mask.
var exact = regexp.MustCompile(`=[^,()/]*`)

// megaflowCount counts the megaflows and, as the userspace datapath doesn't tell, the
// different masks that they have.
func (s *site) megaflowCount() (m megaflows, err error) {
	out, err := s.sw.Appctl("dpctl/dump-flows")
	if err != nil {
		return m, err
	}
	masks := map[string]bool{}
	for line := range strings.Lines(out) {
		match, _, ok := strings.Cut(line, ", packets:")
		if !ok {
			continue
		}
		m.flows++
		masks[exact.ReplaceAllString(match, "=")] = true
	}
	m.masks = len(masks)
	return m, nil
}
