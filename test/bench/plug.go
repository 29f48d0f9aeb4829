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
// takes to make the port: it is over when the port's number is seen.
func (b *bench) plugging(ctx context.Context) (err error) {
	h, err := b.newHost(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.startAgent(); err != nil {
		return err
	}
	if _, err := h.count.waitFlows(ctx, len(rulesOf(0))); err != nil {
		return err
	}
	var total, own []time.Duration
	for i := range b.plugs {
		v := vif(i)
		begin := time.Now()
		if err := h.db.transact(ctx, append(plug(v, dummy), attach(bridge, []any{namedUUID(fmt.Sprintf("port%d", i))}))...); err != nil {
			return err
		}
		var numbered time.Time
		end, err := h.await(ctx, v.name()+" is enforced", func(s seen) bool {
			if s.name != v.name() {
				return false
			}
			if numbered.IsZero() && string(s.row["ofport"]) == fmt.Sprint(v.ofport()) {
				numbered = s.at
			}
			return s.ids[model.KeyStatusState] == "enforced"
		})
		if err != nil {
			return err
		}
		total, own = append(total, end.Sub(begin)), append(own, end.Sub(numbered))
		if err := rest(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	tail := percentile(total, 99)
	b.add(row{
		measure: fmt.Sprintf("%d VIFs plugged one by one, until enforced: 99th percentile", b.plugs), own: inMS(tail),
		peer: "median " + inMS(percentile(total, 50)), value: inMS(tail), reach: "<= 20 ms", ok: tail <= 20*time.Millisecond,
	})
	b.add(row{
		measure: "the same, from the port's number on", own: inMS(percentile(own, 99)),
		peer: "median " + inMS(percentile(own, 50)), value: inMS(percentile(own, 99)), noted: true,
	})
	return nil
}
