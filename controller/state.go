package controller

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// sight is what a worker last saw of its switch. It is immutable.
type sight struct {
	connected bool
	installed int // flows of ours
	foreign   int // flows of others that take precedence over the checks
	success   time.Time
	packets   map[uint64]uint64 // by cookie, of flows that count drops
}

// Metrics serves what Prometheus asks for.
func (a *Agent) Metrics() http.Handler { return a.metrics.Handler() }

// state is called at each scrape, by any goroutine.
func (a *Agent) state() metrics.State {
	_, connected := a.source.Host()
	s := metrics.State{Connected: connected}
	for _, w := range *a.published.Load() {
		if t := w.want.Load(); t != nil && t.config.Guarded {
			s.Bridges = append(s.Bridges, w.state(t))
		}
	}
	return s
}

// publishWorkers shows the workers to other goroutines.
func (a *Agent) publishWorkers() {
	list := make([]*worker, 0, len(a.workers))
	for _, r := range a.workers {
		list = append(list, r.worker)
	}
	slices.SortFunc(list, func(a, b *worker) int { return strings.Compare(a.name, b.name) })
	a.published.Store(&list)
}

func (w *worker) state(t *target) metrics.BridgeState {
	seen := w.seen.Load()
	s := metrics.BridgeState{
		Name: t.bridge.Name, Secure: t.bridge.FailMode == model.FailSecure,
		Connected: seen.connected, Installed: seen.installed, Foreign: seen.foreign, Success: seen.success,
		UnknownPort: seen.packets[flows.NewCookie(0, flows.UnknownPort)],
		States:      make(map[string]int),
	}
	for _, state := range model.States() {
		s.States[string(state)] = 0
	}
	r := w.done.Load()
	if r == nil {
		r = &report{}
	}
	s.Desired = r.shared
	if r.exposed != nil {
		s.Unguarded = r.exposed.length
	}
	outcomes := r.outcomes(t.bridge)
	for i, row := range t.bridge.Interfaces {
		v := outcomes[i]
		if v == nil {
			if row.IsVIF() {
				s.States[string(model.StatePending)]++
			}
			continue
		}
		s.Desired += len(v.entries)
		v.count(&s)
		s.Drops = append(s.Drops, v.drops(seen.packets)...)
	}
	return s
}

// count adds a port's state.
func (v *vif) count(s *metrics.BridgeState) {
	if len(v.policy.Problems) > 0 {
		s.Errors++
	}
	switch {
	case v.policy.Mode == model.Trusted:
	case v.row.OFPort == 0:
		s.States[string(model.StatePending)]++
	default:
		s.States[string(v.state())]++
	}
}

// state returns the state of a port whose flows the switch has confirmed.
func (v *vif) state() model.State {
	if v.quarantined() {
		return model.StateQuarantined
	}
	return model.StateOf(v.policy)
}

// drops returns a counter for each reason that the port's flows count.
func (v *vif) drops(packets map[uint64]uint64) []metrics.Drop {
	var list []metrics.Drop
	var have [1 << 8]bool
	for _, e := range v.entries {
		_, reason, _ := flows.SplitCookie(e.Cookie)
		if reason == flows.NoReason || have[reason] {
			continue
		}
		have[reason] = true
		list = append(list, metrics.Drop{
			Port: v.row.Name, Reason: reason.String(),
			Observed: v.policy.Action == model.Observe, Packets: packets[e.Cookie],
		})
	}
	return list
}
