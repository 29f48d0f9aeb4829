package bridge

import (
	"time"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// observation is what a worker has last read of its switch. It is immutable.
type observation struct {
	connected bool
	installed int // flows of ours
	foreign   int // flows of others that take precedence over the checks
	success   time.Time
	packets   map[uint64]uint64 // by cookie, of flows that count drops
}

// observe changes what the worker shows of its switch.
func (w *Worker) observe(change func(*observation)) {
	o := *w.observed.Load()
	change(&o)
	w.observed.Store(&o)
}

// Metrics returns what Prometheus sees of a guarded bridge; ok is false for another. It
// may be called from any goroutine.
func (w *Worker) Metrics() (_ metrics.BridgeState, ok bool) {
	t := w.want.Load()
	if t == nil || !t.Config.Guarded {
		return metrics.BridgeState{}, false
	}
	o := w.observed.Load()
	s := metrics.BridgeState{
		Name: t.Bridge.Name, Secure: t.Bridge.FailMode == model.FailSecure,
		Connected: o.connected, Installed: o.installed, Foreign: o.foreign, Success: o.success,
		UnknownPort: o.packets[flows.NewCookie(0, model.ReasonUnknownPort)],
		States:      make(map[string]int),
	}
	for _, state := range model.States() {
		s.States[string(state)] = 0
	}
	r := w.done.Load()
	if r == nil {
		r = &Report{}
	}
	s.Desired = r.shared
	if r.Unguarded != nil {
		s.Unguarded = r.Unguarded.Length
	}
	s.Findings = countFindings(r.Findings)
	outcomes := r.Outcomes(t.Bridge)
	for i, row := range t.Bridge.Interfaces {
		v := outcomes[i]
		if v == nil {
			if row.IsVIF() {
				s.States[string(model.StatePending)]++
			}
			continue
		}
		s.Desired += len(v.entries)
		v.count(&s, exposure.Of(r.Findings, row.Name) != nil)
		s.Drops = append(s.Drops, v.drops(o.packets)...)
	}
	return s, true
}

// countFindings counts findings, all kinds of which there may be included.
func countFindings(list []exposure.Finding) (counts []metrics.Finding) {
	for _, kind := range exposure.Kinds() {
		n := metrics.Finding{Kind: string(kind)}
		for i := range list {
			switch {
			case list[i].Kind != kind:
			case list[i].Severity == exposure.Exposed:
				n.Exposures++
			default:
				n.Notices++
			}
		}
		counts = append(counts, n)
	}
	return counts
}

// count adds a port's state.
func (v *VIF) count(s *metrics.BridgeState, exposed bool) {
	if len(v.Policy.Problems) > 0 {
		s.Errors++
	}
	switch {
	case v.Policy.Mode == model.Trusted:
	case v.Pending():
		s.States[string(model.StatePending)]++
	default:
		state := v.State()
		if exposed && state.Drops() {
			state = model.StateExposed
		}
		s.States[string(state)]++
	}
}

// drops returns a counter for each reason that the port's flows count.
func (v *VIF) drops(packets map[uint64]uint64) []metrics.Drop {
	var list []metrics.Drop
	var have [1 << 8]bool
	for _, e := range v.entries {
		_, reason, _ := flows.SplitCookie(e.Cookie)
		if reason == model.NoReason || have[reason] {
			continue
		}
		have[reason] = true
		list = append(list, metrics.Drop{
			Port: v.Row.Name, Reason: reason.String(),
			Observed: v.Policy.Action == model.Observe, Packets: packets[e.Cookie],
		})
	}
	return list
}
