package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// host is a private switch on the dummy datapath with the fleet on one bridge.
type host struct {
	*bench
	sw    *lab.Switch
	db    *database      // writes
	other *database      // sees what is written
	seen  chan seen      // what other saw of VIFs' external_ids
	count *openflow.Conn // counts flows
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
	if err := h.sw.AddBridge(bridge, "fail_mode=secure", "external_ids:port-security=auto"); err != nil {
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
	h.count, err = openflow.Dial(ctx, h.sw.Mgmt(bridge))
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
		h.count.Close()
	}
	return h.sw.Stop()
}

func (h *host) startAgent() (err error) {
	h.agent, err = h.bench.startAgent(h.sw)
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
	if _, err := h.waitFlows(ctx, 0); err != nil {
		return err
	}
	err := h.db.transact(ctx, map[string]any{
		"op": "mutate", "table": "Interface", "where": []any{},
		"mutations": [][]any{{"external_ids", "delete", ovsSet(model.StatusKeys())}},
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
		if err := addFleet(ctx, h.db, have, n, patched); err != nil {
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
	if len(cold) > 1 {
		first, last := cold[0], cold[len(cold)-1]
		b.add(row{
			measure: "cold start: time per VIF", own: fmt.Sprintf("%.0f us at N = %d", last*1e6, n),
			peer: fmt.Sprintf("%.0f us at N = %d", first*1e6, b.sizes[1]), value: fmt.Sprintf("%.2f", last/first), reach: "<= 1.2 (linear)", ok: last <= 1.2*first,
		})
	}
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
	for i := range h.rounds {
		if err := h.forget(ctx); err != nil {
			return 0, err
		}
		begin := time.Now()
		if _, err := h.sw.Ofctl("--bundle", "add-flows", bridge, file); err != nil {
			return 0, err
		}
		end, err := h.waitFlows(ctx, want)
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
		profiled := func() error { return nil }
		if i == h.rounds-1 {
			profiled = h.profile(ctx, fmt.Sprintf("cold-start-%d", n), time.Duration(median(peer)+1)*time.Second)
		}
		if end, err = h.waitFlows(ctx, want); err != nil {
			return 0, fmt.Errorf("%w\n%s", err, h.agent.tail())
		}
		own = append(own, end.Sub(begin).Seconds())
		if err := errors.Join(h.awaitState(ctx, n), profiled()); err != nil {
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
	profiled := h.profile(ctx, fmt.Sprintf("idle-%d", n), h.idle)
	used, err := load(h.agent.PID(), func() error { return rest(ctx, h.idle) })
	if err = errors.Join(err, profiled()); err != nil {
		return 0, err
	}
	if tell {
		h.add(row{
			measure: fmt.Sprintf("idle, N = %d", n), own: fmt.Sprintf("%.2f %% of a core", used*100),
			value: fmt.Sprintf("%.2f %%", used*100), reach: "< 1 %", ok: used < 0.01,
		})
	}
	m, err := memoryOf(h.agent.PID())
	return float64(m), err
}
