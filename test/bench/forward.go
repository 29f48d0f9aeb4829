package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

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
	x.peer += fmt.Sprintf("; bare it is busy for %.2f of the time", mid(bare, func(x sample) float64 { return x.busy }))
	b.add(x)
	if mid(bare, lookups) > 0 { // or all is found in the exact-match cache
		b.add(explain("subtables for each megaflow hit, by policy", lookups))
	}
}

// collect returns one figure of each sample.
func collect(list []sample, of func(sample) float64) (figures []float64) {
	for _, x := range list {
		figures = append(figures, of(x))
	}
	return figures
}
