package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vifguard/vifguard/model"
)

// plugging adds VIFs one by one, as a hypervisor that starts guests does. A VIF is
// enforced once another client of OVSDB has seen that. Part of that time Open vSwitch
// takes to make the port: another switch without an agent gets the same ports, and
// shows how long it takes until a port's number is seen.
func (b *bench) plugging(ctx context.Context) (err error) {
	h, err := b.newHost(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	alone, err := b.newHost(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alone.close()) }()
	if err := h.startAgent(); err != nil {
		return err
	}
	if _, err := h.waitFlows(ctx, len(rulesOf(0))); err != nil {
		return err
	}
	var total, own, peer []time.Duration
	for i := range b.plugs {
		begin, numbered, end, err := h.plug(ctx, vif(i), func(s seen) bool { return s.ids[model.KeyStatusState] == "enforced" })
		if err != nil {
			return err
		}
		total, own = append(total, end.Sub(begin)), append(own, end.Sub(numbered))
		begin, numbered, _, err = alone.plug(ctx, vif(i), func(seen) bool { return true })
		if err != nil {
			return err
		}
		peer = append(peer, numbered.Sub(begin))
		if err := rest(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	tail := percentile(total, 99)
	b.add(row{
		measure: fmt.Sprintf("%d VIFs plugged one by one, until enforced: 99th percentile", b.plugs), own: inMS(tail),
		peer: "without vifguard, until the port has its number " + inMS(percentile(peer, 99)), value: inMS(tail), reach: "<= 20 ms", ok: tail <= 20*time.Millisecond,
	})
	b.add(row{
		measure: "the same: median", own: inMS(percentile(total, 50)),
		peer: inMS(percentile(peer, 50)), value: fmt.Sprintf("%.2f", percentile(total, 50).Seconds()/percentile(peer, 50).Seconds()), noted: true,
	})
	b.add(row{
		measure: "the same, from the port's number on: 99th percentile", own: inMS(percentile(own, 99)),
		peer: "median " + inMS(percentile(own, 50)), value: inMS(percentile(own, 99)), noted: true,
	})
	return nil
}

// plug adds a VIF and returns when that was asked for, when its number was seen, and
// when its row was, with its number, as is wants it.
func (h *host) plug(ctx context.Context, v vif, is func(seen) bool) (begin, numbered, end time.Time, err error) {
	begin = time.Now()
	if err = h.db.transact(ctx, append(plug(v, dummy), attach(bridge, []any{namedUUID(fmt.Sprintf("port%d", int(v)))}))...); err != nil {
		return begin, numbered, end, err
	}
	end, err = h.await(ctx, v.name()+" is plugged", func(s seen) bool {
		if s.name != v.name() {
			return false
		}
		if numbered.IsZero() && string(s.row["ofport"]) == fmt.Sprint(v.ofport()) {
			numbered = s.at
		}
		return !numbered.IsZero() && is(s)
	})
	return begin, numbered, end, err
}
