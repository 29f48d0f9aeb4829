package bridge

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// facts are what a bridge's flows depend on beside the target: what its worker has found
// out. Together they are the runtime part of every port's input.
type facts struct {
	sampled     bool                     // rules that count send samples too
	quarantines map[string]*quarantine   // by Interface row UUID
	refusals    map[string]flows.Refusal // by Interface row UUID
	contested   map[uint32]bool          // OpenFlow ports that several rows claim
}

// of returns what is known of one row.
func (f *facts) of(row *model.Interface) flows.Runtime {
	r := flows.Runtime{Sampled: f.sampled}
	if len(f.quarantines) > 0 {
		if q := f.quarantines[row.UUID]; q != nil {
			r.Quarantine = q.timeout
		}
	}
	if len(f.refusals) > 0 {
		r.Refusal = f.refusals[row.UUID]
	}
	if len(f.contested) > 0 {
		r.Contested = f.contested[row.OFPort]
	}
	return r
}

// ledger remembers, for one bridge, what each port's input leads to. Its contents are a
// function of the target and the facts: starting from an empty ledger gives the same flows.
type ledger struct {
	target  *Target
	facts   facts
	shared  []flows.Entry
	guarded int                         // ports that aren't trusted
	vifs    []*VIF                      // parallel to target.Bridge.Interfaces; never changed in place
	limits  map[flows.VIFID]model.Flood // how much may be refused, of ports that have a limit
}

// update brings the ledger to a target, with these facts, and returns what changed.
func (l *ledger) update(t *Target, f facts) (change, error) {
	var c change
	sameSettings := l.target != nil && l.target.Config.Settings == t.Config.Settings
	if sameSettings && t.Same(l.target) && l.facts.same(&f) {
		l.target = t
		return c, nil
	}
	f.contested = model.ContestedPorts(t.Bridge)
	shared, err := l.updateShared(t, f.sampled, sameSettings, &c)
	if err != nil {
		return c, err
	}
	next, todo := l.carryOver(t, &f, sameSettings, &c)
	if err := compileAll(t, next, todo); err != nil {
		return c, err
	}
	for _, j := range todo {
		if j.was != nil {
			c.drop(j.was)
		}
		c.add(next[j.index])
	}
	l.shared, l.vifs, l.target, l.facts = shared, next, t, f
	l.guarded += c.guarded
	if l.limits == nil {
		l.limits = make(map[flows.VIFID]model.Flood)
	}
	for id, limit := range c.limits {
		if l.limits[id] = limit; limit == 0 {
			delete(l.limits, id)
		}
	}
	return c, nil
}

// same reports whether two collections of facts say the same, the contested ports aside,
// which follow from the target.
func (f *facts) same(o *facts) bool {
	return f.sampled == o.sampled && maps.Equal(f.quarantines, o.quarantines) && maps.Equal(f.refusals, o.refusals)
}

// updateShared returns the flows that don't depend on a port.
func (l *ledger) updateShared(t *Target, sampled, sameSettings bool, c *change) ([]flows.Entry, error) {
	if sameSettings && l.facts.sampled == sampled {
		return l.shared, nil
	}
	rules := flows.Shared()
	if sampled {
		rules = flows.Sampled(rules)
	}
	entries, err := openflow.EncodeAll(rules, t.pipeline())
	if err != nil {
		return nil, err
	}
	c.drop(&VIF{entries: l.shared, meter: sharedMeter(l.facts.sampled && l.target != nil)})
	c.add(&VIF{entries: entries, meter: sharedMeter(sampled)})
	return entries, nil
}

// carryOver returns the ports of the target, those whose input is the same as it was
// before as they were, and the others as what is to compile.
func (l *ledger) carryOver(t *Target, f *facts, sameSettings bool, c *change) (next []*VIF, todo []job) {
	sameProfiles := sameSettings && maps.Equal(l.target.Profiles, t.Profiles)
	next = make([]*VIF, len(t.Bridge.Interfaces))
	old := l.vifs
	for i, row := range t.Bridge.Interfaces {
		for ; len(old) > 0 && model.Before(old[0].Row, row); old = old[1:] {
			c.drop(old[0])
		}
		var was *VIF
		if len(old) > 0 && !model.Before(row, old[0].Row) {
			was, old = old[0], old[1:]
		}
		r := f.of(row)
		// Most rows are the same value as before, so that their keys needn't be read.
		if was != nil && sameProfiles && was.Row == row && was.input.Runtime == r {
			next[i] = was.at(row, f.quarantines[row.UUID])
			continue
		}
		in := flows.Input{Input: model.NewInput(&t.Config, t.Profiles, row), Runtime: r}
		if was != nil && was.input.Same(&in) {
			next[i] = was.at(row, f.quarantines[row.UUID])
			continue
		}
		todo = append(todo, job{index: i, was: was, input: in, quarantine: f.quarantines[row.UUID]})
	}
	for _, gone := range old {
		c.drop(gone)
	}
	return next, todo
}

// job is one port to compile.
type job struct {
	index      int
	was        *VIF // what it was; nil if it is new
	input      flows.Input
	quarantine *quarantine
}

// minShare is how many ports are worth a goroutine.
const minShare = 64

// compileAll compiles ports into next. Each is a function of its own input, so they are
// shared out between the processors.
func compileAll(t *Target, next []*VIF, todo []job) error {
	workers := max(min(runtime.GOMAXPROCS(0), len(todo)/minShare), 1)
	errs := make([]error, workers)
	work := func(worker int) {
		for n := worker; n < len(todo) && errs[worker] == nil; n += workers {
			next[todo[n].index], errs[worker] = compile(&todo[n], t.pipeline())
		}
	}
	var others sync.WaitGroup
	for n := 1; n < workers; n++ {
		others.Go(func() { work(n) })
	}
	work(0)
	others.Wait()
	return errors.Join(errs...)
}

func compile(j *job, p flows.Pipeline) (*VIF, error) {
	c := j.input.Compile()
	entries, err := openflow.EncodeAll(c.Rules, p)
	v := &VIF{Row: j.input.Row, Policy: &c.Policy, input: j.input, entries: entries, refused: c.Refused, quarantine: j.quarantine}
	if j.input.Sampled && len(counting(entries)) > 0 {
		v.meter = flows.SampleMeter(j.input.Row.OFPort)
	}
	return v, err
}

// entries returns all flows that the bridge should have. No key is in it twice: shared
// flows match no port, and a port belongs to one row.
func (l *ledger) entries() []flows.Entry {
	all := slices.Clone(l.shared)
	for _, v := range l.vifs {
		all = append(all, v.entries...)
	}
	return all
}

// owner returns the port that a cookie names, nil for shared flows.
func (l *ledger) owner(cookie uint64) *VIF {
	id, _, _ := flows.SplitCookie(cookie)
	i := slices.IndexFunc(l.vifs, func(v *VIF) bool { return id != 0 && flows.ParseVIFID(v.Row.UUID) == id })
	if i < 0 {
		return nil
	}
	return l.vifs[i]
}

// usesMeter reports whether some flow uses a meter.
func (l *ledger) usesMeter(id uint32) bool {
	return id == sharedMeter(l.facts.sampled) || slices.ContainsFunc(l.vifs, func(v *VIF) bool { return v.meter == id })
}

// sharedMeter returns the meter of the samples that shared flows send, 0 for none.
func sharedMeter(sampled bool) uint32 {
	if !sampled {
		return 0
	}
	return flows.SampleMeter(0)
}
