package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// restarts compares an agent that is started when nothing has changed with a plain
// dump of the flows. That it is done shows in a VIF's vifguard-seq.
func (h *host) restarts(ctx context.Context, n int) error {
	changed, err := h.monitorFlows(ctx)
	if err != nil {
		return err
	}
	defer changed.stop()
	var own, peer []float64
	for i := range h.rounds {
		seq := fmt.Sprintf("restart.%d", i)
		err := h.db.transact(ctx, map[string]any{
			"op": "mutate", "table": "Interface", "where": [][]any{{"name", "==", vif(0).name()}},
			"mutations": [][]any{
				{"external_ids", "delete", ovsSet([]string{"port-security-seq"})},
				{"external_ids", "insert", ovsMap(map[string]string{"port-security-seq": seq})},
			},
		})
		if err != nil {
			return err
		}
		if err := h.settle(ctx); err != nil {
			return err
		}
		begin := time.Now()
		if _, err := h.sw.Ofctl("dump-flows", bridge); err != nil {
			return err
		}
		peer = append(peer, time.Since(begin).Seconds())
		begin = time.Now()
		if err := h.startAgent(); err != nil {
			return err
		}
		end, err := h.await(ctx, "the restarted agent is done", func(s seen) bool {
			return s.name == vif(0).name() && s.ids[model.KeyStatusSeq] == seq
		})
		if err != nil {
			return err
		}
		own = append(own, end.Sub(begin).Seconds())
		h.stopAgent()
	}
	ratio := median(ratios(own, peer))
	h.add(row{
		measure: fmt.Sprintf("restart with nothing to change, N = %d", n), own: ms(median(own)),
		peer: "ovs-ofctl dump-flows " + ms(median(peer)), value: fmt.Sprintf("%.2f", ratio), reach: "<= 2", ok: ratio <= 2,
	})
	text, err := os.ReadFile(changed.log.Name())
	if err != nil {
		return err
	}
	events := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, flowEvent) && !strings.Contains(line, flowProbe) {
			events++
		}
	}
	h.add(row{
		measure: "the same: flows that were touched", own: fmt.Sprint(events),
		value: fmt.Sprint(events), reach: "0", ok: events == 0,
	})
	return nil
}

// What ovs-ofctl monitor prints of a changed flow, and of the flow that proves that it
// works.
const (
	flowEvent = " event="
	flowProbe = "table=200"
)

// monitorFlows starts a monitor of flow changes. It has proved to work when it returns:
// it has reported a flow that was added and deleted for that.
func (h *host) monitorFlows(ctx context.Context) (*daemon, error) {
	log := filepath.Join(h.sw.Dir, "monitor.log")
	d, err := startDaemon(log, []string{"OVS_RUNDIR=" + h.sw.Dir}, "ovs-ofctl", "monitor", h.sw.Mgmt(bridge), "watch:!initial")
	if err != nil {
		return nil, err
	}
	err = lab.WaitUntil(ctx, "changes of flows are reported", func() (bool, error) {
		for _, args := range [][]string{{"add-flow", bridge, flowProbe + ",actions=drop"}, {"del-flows", bridge, flowProbe}} {
			if _, err := h.sw.Ofctl(args...); err != nil {
				return false, err
			}
		}
		text, err := os.ReadFile(log)
		return strings.Contains(string(text), flowEvent), err
	})
	if err != nil {
		d.stop()
		return nil, fmt.Errorf("%w\n%s", err, d.tail())
	}
	return d, nil
}
