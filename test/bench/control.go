package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// host is a private switch on the dummy datapath with the fleet on one bridge.
type host struct {
	*bench
	sw    *lab.Switch
	db    *database // writes
	other *database // sees what is written
	seen  chan seen // what other saw of VIFs' external_ids
	count *prober
	agent *daemon
}

// seen is a change of a VIF's external_ids.
type seen struct {
	name string
	ids  map[string]string
	row  update
	at   time.Time
}

func (b *bench) newHost(ctx context.Context) (_ *host, err error) {
	h := &host{bench: b, seen: make(chan seen, 1<<20)}
	if h.sw, err = lab.StartSwitch(ctx, lab.Options{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if err := h.sw.AddBridge(bridge, "external_ids:port-security=auto"); err != nil {
		return nil, err
	}
	if h.db, err = dialDatabase(h.sw.Endpoint()); err != nil {
		return nil, err
	}
	if h.other, err = dialDatabase(h.sw.Endpoint()); err != nil {
		return nil, err
	}
	err = h.other.watch(ctx, func(u tableUpdates, at time.Time) {
		for _, r := range u["Interface"] {
			h.seen <- seen{r.New.text("name"), parseMap(r.New["external_ids"]), r.New, at}
		}
	}, "name", "external_ids", "ofport")
	if err != nil {
		return nil, err
	}
	h.count, err = newProber(h.sw.Mgmt(bridge))
	return h, err
}

func (h *host) close() error {
	h.agent.stop()
	for _, db := range []*database{h.db, h.other} {
		if db != nil {
			db.close()
		}
	}
	if h.count != nil {
		h.count.close()
	}
	return h.sw.Stop()
}

// startAgent starts the agent, as packaged but for its log.
func (h *host) startAgent() (err error) {
	h.agent, err = startDaemon(filepath.Join(h.sw.Dir, "agent.log"), nil,
		h.program, "run", "--ovsdb", h.sw.Endpoint(), "--log-level", "warn")
	return err
}

func (h *host) stopAgent() {
	h.agent.stop()
	h.agent = nil
}

// await waits until a VIF's external_ids satisfy a condition, and returns when that
// was seen.
func (h *host) await(ctx context.Context, what string, is func(seen) bool) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("no answer for a minute"))
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait until %s: %w\n%s", what, context.Cause(ctx), h.agent.tail())
		case s := <-h.seen:
			if is(s) {
				return s.at, nil
			}
		}
	}
}

// awaitState waits until n VIFs have said that they are enforced.
func (h *host) awaitState(ctx context.Context, n int) error {
	enforced := make(map[string]bool, n)
	_, err := h.await(ctx, fmt.Sprintf("%d VIFs are enforced", n), func(s seen) bool {
		if s.ids[model.KeyStatusState] == "enforced" {
			enforced[s.name] = true
		}
		return len(enforced) >= n
	})
	return err
}

// forget removes all flows, and the status of all VIFs, as on a host where the agent
// never ran.
func (h *host) forget(ctx context.Context) error {
	if _, err := h.sw.Ofctl("del-flows", bridge); err != nil {
		return err
	}
	if _, err := h.count.waitFlows(ctx, 0); err != nil {
		return err
	}
	keys := []string{model.KeyStatusState, model.KeyStatusChecks, model.KeyStatusError, model.KeyStatusSeq}
	err := h.db.transact(ctx, map[string]any{
		"op": "mutate", "table": "Interface", "where": []any{},
		"mutations": [][]any{{"external_ids", "delete", ovsSet(keys)}},
	})
	if err != nil {
		return err
	}
	return h.settle(ctx)
}

// settle waits until ovs-vswitchd has done what it does after a change of the
// database, and forgets what was seen.
func (h *host) settle(ctx context.Context) error {
	if err := h.db.applied(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-h.seen:
		default:
			return nil
		}
	}
}

// controlPlane measures the agent at every size on one growing host.
func (b *bench) controlPlane(ctx context.Context) (err error) {
	h, err := b.newHost(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	var cold []float64
	var small, memory float64
	have := 0
	for i, n := range b.sizes {
		b.logf("adding VIFs up to N = %d", n)
		if err := addFleet(ctx, h.db, have, n); err != nil {
			return err
		}
		have = n
		if i > 0 {
			c, err := h.coldStart(ctx, n)
			if err != nil {
				return fmt.Errorf("cold start: %w", err)
			}
			cold = append(cold, c/float64(n))
		}
		if err := h.forget(ctx); err != nil {
			return err
		}
		if err := h.startAgent(); err != nil {
			return err
		}
		if err := h.awaitState(ctx, n); err != nil {
			return err
		}
		used, err := h.idling(ctx, n, i > 0)
		if err != nil {
			return err
		}
		if i == 0 {
			memory = used
		} else if i == len(b.sizes)-1 {
			b.add(row{
				measure: fmt.Sprintf("memory of the agent, N = %d", n), own: fmt.Sprintf("%.0f MB", used/1e6),
				value: fmt.Sprintf("%.0f B per VIF", (used-memory)/float64(n-b.sizes[0])), noted: true,
			})
		}
		if small, err = h.changing(ctx, n, small); err != nil {
			return fmt.Errorf("one VIF's addresses: %w", err)
		}
		h.stopAgent()
	}
	n := b.sizes[len(b.sizes)-1]
	per := cold[len(cold)-1] / cold[0]
	b.add(row{
		measure: "cold start: time per VIF", own: fmt.Sprintf("%.0f us at N = %d", cold[len(cold)-1]*1e6, n),
		peer: fmt.Sprintf("%.0f us at N = %d", cold[0]*1e6, b.sizes[1]), value: fmt.Sprintf("%.2f", per), reach: "<= 1.2 (linear)", ok: per <= 1.2,
	})
	return h.restarts(ctx, n)
}

// coldStart compares the agent, started on a bridge without flows, with ovs-ofctl
// given the same flows in one bundle. It returns the agent's median in seconds.
func (h *host) coldStart(ctx context.Context, n int) (float64, error) {
	file, want, err := h.flowFile(n)
	if err != nil {
		return 0, err
	}
	var own, peer []float64
	for range h.rounds {
		if err := h.forget(ctx); err != nil {
			return 0, err
		}
		begin := time.Now()
		if _, err := h.sw.Ofctl("--bundle", "add-flows", bridge, file); err != nil {
			return 0, err
		}
		end, err := h.count.waitFlows(ctx, want)
		if err != nil {
			return 0, err
		}
		peer = append(peer, end.Sub(begin).Seconds())

		if err := h.forget(ctx); err != nil {
			return 0, err
		}
		begin = time.Now()
		if err := h.startAgent(); err != nil {
			return 0, err
		}
		if end, err = h.count.waitFlows(ctx, want); err != nil {
			return 0, fmt.Errorf("%w\n%s", err, h.agent.tail())
		}
		own = append(own, end.Sub(begin).Seconds())
		if err := h.awaitState(ctx, n); err != nil {
			return 0, err
		}
		h.stopAgent()
	}
	ratio := median(ratios(own, peer))
	h.add(row{
		measure: fmt.Sprintf("cold start, N = %d, %d flows", n, want), own: ms(median(own)),
		peer: "ovs-ofctl --bundle " + ms(median(peer)), value: fmt.Sprintf("%.2f", ratio), reach: "<= 1.2", ok: ratio <= 1.2,
	})
	return median(own), nil
}

// flowFile writes the flows of n VIFs for ovs-ofctl and returns how many there are.
func (h *host) flowFile(n int) (path string, count int, err error) {
	path = filepath.Join(h.sw.Dir, "flows")
	var text []byte
	rules := rulesOf(n)
	for i := range rules {
		text = append(append(text, rules[i].Text(flows.Pipeline{Exit: -1})...), '\n')
	}
	return path, len(rules), os.WriteFile(path, text, 0o644)
}

// idling measures an agent that has nothing to do, and returns its memory in bytes.
func (h *host) idling(ctx context.Context, n int, tell bool) (float64, error) {
	if err := h.settle(ctx); err != nil {
		return 0, err
	}
	used, err := load(h.agent.pid(), func() error { return rest(ctx, h.idle) })
	if err != nil {
		return 0, err
	}
	if tell {
		h.add(row{
			measure: fmt.Sprintf("idle, N = %d", n), own: fmt.Sprintf("%.2f %% of a core", used*100),
			value: fmt.Sprintf("%.2f %%", used*100), reach: "< 1 %", ok: used < 0.01,
		})
	}
	m, err := memoryOf(h.agent.pid())
	return float64(m), err
}

// changing changes one VIF's addresses again and again, and returns the median time in
// seconds until vifguard-seq says so. small is the median with the smallest fleet.
func (h *host) changing(ctx context.Context, n int, small float64) (float64, error) {
	if err := h.settle(ctx); err != nil {
		return 0, err
	}
	var took, echo []time.Duration
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
		if err := rest(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	restored := make([]any, min(n, h.changes))
	for i := range restored {
		restored[i] = h.readdress(vif(i*7%n), "", "")
	}
	if err := h.db.transact(ctx, restored...); err != nil {
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

// readdress gives a VIF a further address and a sequence number; empty ones take them
// away.
func (h *host) readdress(v vif, address, seq string) any {
	ids := map[string]string{"allowed-addresses": v.ids()["allowed-addresses"]}
	if address != "" {
		ids["allowed-addresses"] += "," + address
	}
	if seq != "" {
		ids["port-security-seq"] = seq
	}
	return map[string]any{
		"op": "mutate", "table": "Interface", "where": [][]any{{"name", "==", v.name()}},
		"mutations": [][]any{
			{"external_ids", "delete", ovsSet([]string{"allowed-addresses", "port-security-seq"})},
			{"external_ids", "insert", ovsMap(ids)},
		},
	}
}

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
	events := bytes.Count(text, []byte(flowEvent))
	h.add(row{
		measure: "the same: flows that were touched", own: fmt.Sprint(events),
		value: fmt.Sprint(events), reach: "0", ok: events == 0,
	})
	return nil
}

// flowEvent marks a changed flow in what ovs-ofctl monitor prints.
const flowEvent = " event="

// monitorFlows starts a monitor of flow changes. It has proved to work when it returns:
// it has reported a flow that was added and deleted for that.
func (h *host) monitorFlows(ctx context.Context) (*daemon, error) {
	log := filepath.Join(h.sw.Dir, "monitor.log")
	d, err := startDaemon(log, []string{"OVS_RUNDIR=" + h.sw.Dir}, "ovs-ofctl", "monitor", h.sw.Mgmt(bridge), "watch:!initial")
	if err != nil {
		return nil, err
	}
	err = lab.WaitUntil(ctx, "changes of flows are reported", func() (bool, error) {
		for _, args := range [][]string{{"add-flow", bridge, "table=200,actions=drop"}, {"del-flows", bridge, "table=200"}} {
			if _, err := h.sw.Ofctl(args...); err != nil {
				return false, err
			}
		}
		text, err := os.ReadFile(log)
		return bytes.Contains(text, []byte("event=DELETED")), err
	})
	if err == nil {
		err = os.Truncate(log, 0)
	}
	if err != nil {
		d.stop()
		return nil, fmt.Errorf("%w\n%s", err, d.tail())
	}
	return d, nil
}
