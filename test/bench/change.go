package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vifguard/vifguard/model"
)

// changing changes one VIF's addresses again and again, and returns the median time in
// seconds until vifguard-seq says so. small is the median with the smallest fleet.
func (h *host) changing(ctx context.Context, n int, small float64) (float64, error) {
	if err := h.settle(ctx); err != nil {
		return 0, err
	}
	// What ovs-vswitchd does about one change takes it the longer the more ports it has.
	// The next one shall find it at rest.
	pause := 10*time.Millisecond + time.Duration(n)*10*time.Microsecond
	var took, echo, switched []time.Duration
	profiled := h.profile(ctx, fmt.Sprintf("changes-%d", n), 5*time.Second)
	for i := range h.changes {
		v := vif(i * 7 % n)
		seq := fmt.Sprintf("%d.%d", n, i)
		begin := time.Now()
		if _, err := h.db.call(ctx, "echo"); err != nil {
			return 0, err
		}
		echo = append(echo, time.Since(begin))
		begin = time.Now()
		if err := h.db.transact(ctx, h.readdress(v, fmt.Sprintf("198.51.%d.%d", i>>8, i&255), seq)); err != nil {
			return 0, err
		}
		end, err := h.await(ctx, "the change is in force", func(s seen) bool {
			return s.name == v.name() && s.ids[model.KeyStatusSeq] == seq
		})
		if err != nil {
			return 0, err
		}
		took = append(took, end.Sub(begin))
		if err := rest(ctx, pause); err != nil {
			return 0, err
		}
	}
	for i := range max(1, h.changes/4) {
		d, err := h.db.reconfigure(ctx, vif(i*7%n), fmt.Sprint(i))
		if err != nil {
			return 0, err
		}
		switched = append(switched, d)
		if err := rest(ctx, pause); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(profiled(), h.restore(ctx, n)); err != nil {
		return 0, err
	}
	mid, tail := percentile(took, 50), percentile(took, 99)
	h.add(row{
		measure: fmt.Sprintf("one VIF's addresses change, N = %d: median", n), own: inMS(mid),
		peer: "OVSDB echo " + inMS(percentile(echo, 50)), value: inMS(mid), reach: "<= 2 ms", ok: mid <= 2*time.Millisecond,
	})
	h.add(row{
		measure: fmt.Sprintf("one VIF's addresses change, N = %d: 99th percentile", n), own: inMS(tail),
		peer: "OVSDB echo " + inMS(percentile(echo, 99)), value: inMS(tail), reach: "<= 10 ms", ok: tail <= 10*time.Millisecond,
	})
	own := percentile(switched, 50)
	h.add(row{
		measure: fmt.Sprintf("the same, N = %d, beside what ovs-vswitchd takes to look at such a change", n), own: inMS(mid),
		peer: inMS(own), value: fmt.Sprintf("%.2f", mid.Seconds()/own.Seconds()), noted: true,
	})
	if small == 0 {
		return mid.Seconds(), nil
	}
	ratio := mid.Seconds() / small
	h.add(row{
		measure: fmt.Sprintf("the same, N = %d beside N = %d", n, h.sizes[0]), own: inMS(mid), peer: ms(small),
		value: fmt.Sprintf("%.2f", ratio), reach: "<= 1.2", ok: ratio <= 1.2 || n < h.sizes[len(h.sizes)-1], noted: n < h.sizes[len(h.sizes)-1],
	})
	return small, nil
}

// restore gives all VIFs their first addresses back, and returns when that is in force.
func (h *host) restore(ctx context.Context, n int) error {
	var ops []any
	seq := fmt.Sprintf("%d.restored", n)
	changed := make(map[vif]bool)
	for i := range h.changes {
		if v := vif(i * 7 % n); !changed[v] {
			changed[v] = true
			ops = append(ops, h.readdress(v, "", seq))
		}
	}
	if err := h.db.transact(ctx, ops...); err != nil {
		return err
	}
	in := make(map[string]bool)
	_, err := h.await(ctx, "the first addresses are in force", func(s seen) bool {
		if s.ids[model.KeyStatusSeq] == seq {
			in[s.name] = true
		}
		return len(in) == len(ops)
	})
	return err
}

// readdress gives a VIF a further address, unless that is empty, and a sequence number.
func (h *host) readdress(v vif, address, seq string) any {
	ids := map[string]string{"allowed-addresses": v.ids()["allowed-addresses"], "port-security-seq": seq}
	if address != "" {
		ids["allowed-addresses"] += "," + address
	}
	return map[string]any{
		"op": "mutate", "table": "Interface", "where": [][]any{{"name", "==", v.name()}},
		"mutations": [][]any{
			{"external_ids", "delete", ovsSet([]string{"allowed-addresses", "port-security-seq"})},
			{"external_ids", "insert", ovsMap(ids)},
		},
	}
}
