package controller

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

// target is what a bridge's worker is to achieve.
type target struct {
	bridge   *model.Bridge
	config   model.BridgeConfig
	profiles map[string]string
}

// newTarget resolves a bridge's own metadata.
func newTarget(b *model.Bridge, profiles map[string]string) *target {
	return &target{bridge: b, config: model.ResolveBridge(b), profiles: profiles}
}

// same reports whether two targets ask for the same.
func (t *target) same(o *target) bool {
	return o != nil && t.bridge == o.bridge && maps.Equal(t.profiles, o.profiles)
}

func (t *target) pipeline() flows.Pipeline {
	return flows.Pipeline{First: t.config.FirstTable, Exit: t.config.ExitTable}
}

// vif is what is known of one port of a guarded bridge.
type vif struct {
	row     *model.Interface
	policy  *model.Policy
	entries []flows.Entry // the flows that the policy means; none without an OpenFlow port

	refused []flows.Entry  // entries that the switch refused, while they are still asked for
	refusal *model.Problem // why

	sampled bool   // entries that count send samples too
	meter   uint32 // that limits the samples; 0 for none

	quarantine *quarantine // nil for none
}

// ledger remembers, for one bridge, what each port's inputs lead to. Its contents are
// a function of the target, of the quarantines, and of what the switch refused: starting
// from an empty ledger gives the same flows.
type ledger struct {
	target  *target
	sampled bool                   // entries that count send samples too
	held    map[string]*quarantine // by Interface row UUID
	shared  []flows.Entry
	guarded int                         // ports that aren't trusted
	vifs    []*vif                      // parallel to target.bridge.Interfaces; never changed in place
	limits  map[flows.VIFID]model.Flood // how much may be refused, of ports that have a limit
}

// change is the flows that an update replaced, and what they were replaced by, with the
// meters that each of them used.
type change struct {
	old, new             []flows.Entry
	oldMeters, newMeters []uint32
	guarded              int                         // how many more ports aren't trusted
	limits               map[flows.VIFID]model.Flood // limits that changed; 0 for none any more
}

func (c *change) drop(v *vif) {
	c.old = append(c.old, v.entries...)
	if v.guarded() {
		c.guarded--
		c.limit(v, 0)
	}
	if v.meter != 0 {
		c.oldMeters = append(c.oldMeters, v.meter)
	}
}

func (c *change) add(v *vif) {
	c.new = append(c.new, v.entries...)
	if v.guarded() {
		c.guarded++
		c.limit(v, v.policy.FloodLimit())
	}
	if v.meter != 0 {
		c.newMeters = append(c.newMeters, v.meter)
	}
}

// limit notes the flood limit that a port has from now on, if that or the one it had is
// worth a note.
func (c *change) limit(v *vif, limit model.Flood) {
	if limit == 0 && v.policy.FloodLimit() == 0 {
		return
	}
	if c.limits == nil {
		c.limits = make(map[flows.VIFID]model.Flood)
	}
	c.limits[flows.ParseVIFID(v.row.UUID)] = limit
}

// update brings the ledger to a target, with these quarantines, and returns what changed.
func (l *ledger) update(t *target, sampled bool, held map[string]*quarantine) (change, error) {
	var c change
	all := l.target == nil || l.sampled != sampled || !sameConfig(l.target, t)
	if !all && l.target.bridge == t.bridge && maps.Equal(l.held, held) {
		l.target = t
		return c, nil
	}
	shared := &vif{entries: l.shared, meter: sharedMeter(l.sampled)}
	if all {
		entries, err := encode(flows.Shared(), t, sampled)
		if err != nil {
			return c, err
		}
		c.drop(shared)
		shared = &vif{entries: entries, meter: sharedMeter(sampled)}
		c.add(shared)
	}
	next := make([]*vif, len(t.bridge.Interfaces))
	var todo []job
	old := l.vifs
	for i, row := range t.bridge.Interfaces {
		for ; len(old) > 0 && model.Before(old[0].row, row); old = old[1:] {
			c.drop(old[0])
		}
		var was *vif
		if len(old) > 0 && !model.Before(row, old[0].row) {
			was, old = old[0], old[1:]
		}
		if was != nil && !all && model.SameInput(was.row, row) && was.quarantine == held[row.UUID] {
			next[i] = was.at(row)
			continue
		}
		todo = append(todo, job{i, was})
	}
	for _, gone := range old {
		c.drop(gone)
	}
	if err := compileAll(t, next, todo, sampled, held); err != nil {
		return c, err
	}
	for _, j := range todo {
		if j.was != nil {
			c.drop(j.was)
		}
		c.add(next[j.index])
	}
	l.shared, l.vifs, l.target, l.sampled, l.held = shared.entries, next, t, sampled, held
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

// guarded reports whether a port isn't trusted.
func (v *vif) guarded() bool { return v.policy != nil && v.policy.Mode != model.Trusted }

// quarantined reports whether nothing of a port passes because it floods. One whose
// flows the switch refused is blocked instead.
func (v *vif) quarantined() bool { return v.quarantine != nil && v.refused == nil }

// at returns what is known of a port with a row that asks for the same.
func (v *vif) at(row *model.Interface) *vif {
	if v.row == row {
		return v
	}
	is := *v
	is.row = row
	return &is
}

// sharedMeter returns the meter of the samples that shared flows send, 0 for none.
func sharedMeter(sampled bool) uint32 {
	if !sampled {
		return 0
	}
	return flows.SampleMeter(0)
}

// encode encodes rules, with samples of what they count or without.
func encode(rules []flows.Rule, t *target, sampled bool) ([]flows.Entry, error) {
	if sampled {
		rules = flows.Sampled(rules)
	}
	return openflow.EncodeAll(rules, t.pipeline())
}

// sameConfig reports whether two targets differ in single ports at most.
func sameConfig(a, b *target) bool {
	return a.config.Default == b.config.Default && a.config.Action == b.config.Action &&
		a.config.ActionSet == b.config.ActionSet && a.config.Flood == b.config.Flood && a.config.UnmarkedBlock == b.config.UnmarkedBlock &&
		a.config.Name == b.config.Name && a.pipeline() == b.pipeline() && maps.Equal(a.profiles, b.profiles)
}

// job is one port to compile.
type job struct {
	index int
	was   *vif // what it was; nil if it is new
}

// compileAll compiles ports into next. Each is a function of its own input, so they are
// shared out between the processors.
func compileAll(t *target, next []*vif, todo []job, sampled bool, held map[string]*quarantine) error {
	workers := max(min(runtime.GOMAXPROCS(0), len(todo)/minShare), 1)
	failed := make([]error, workers)
	work := func(worker int) {
		for n := worker; n < len(todo) && failed[worker] == nil; n += workers {
			j := todo[n]
			row := t.bridge.Interfaces[j.index]
			next[j.index], failed[worker] = compile(t, row, j.was, sampled, held[row.UUID])
		}
	}
	var others sync.WaitGroup
	for n := 1; n < workers; n++ {
		others.Go(func() { work(n) })
	}
	work(0)
	others.Wait()
	return errors.Join(failed...)
}

// minShare is how many ports are worth a goroutine.
const minShare = 64

// compile resolves and compiles one port. Flows that the switch refused before are
// not tried again: the port is blocked instead, until something else is asked for.
func compile(t *target, row *model.Interface, was *vif, sampled bool, q *quarantine) (*vif, error) {
	policy := model.Resolve(&t.config, t.profiles, row)
	v := &vif{row: row, policy: &policy, sampled: sampled, quarantine: q}
	if err := v.compile(t); err != nil {
		return nil, err
	}
	if was != nil && was.refused != nil && slices.Equal(was.refused, v.entries) {
		return v, v.refuse(t, was.refusal)
	}
	return v, nil
}

func (v *vif) compile(t *target) error {
	v.entries = nil
	if v.row.OFPort == 0 {
		return nil
	}
	port := flows.Port{VIF: flows.ParseVIFID(v.row.UUID), InPort: v.row.OFPort, Policy: v.policy}
	if v.quarantine != nil {
		port.Quarantine = v.quarantine.timeout
	}
	var err error
	v.entries, err = encode(flows.Compile(port), t, v.sampled)
	v.meter = 0
	if v.sampled && len(counting(v.entries)) > 0 {
		v.meter = flows.SampleMeter(v.row.OFPort)
	}
	return err
}

// refuse replaces a port's policy, which the switch wouldn't take, by one that blocks.
func (v *vif) refuse(t *target, why *model.Problem) error {
	v.refused, v.refusal = v.entries, why
	v.policy = &model.Policy{
		Mode: model.Blocked, Origins: model.Origins{Mode: "the switch refused its flows"},
		Problems: append(slices.Clone(v.policy.Problems), *why),
	}
	return v.compile(t)
}

// entries returns all flows that the bridge should have.
func (l *ledger) entries() []flows.Entry {
	all := slices.Clone(l.shared)
	for _, v := range l.vifs {
		all = append(all, v.entries...)
	}
	return all
}

// owner returns the index of the port that a cookie names, or -1 for shared flows.
func (l *ledger) owner(cookie uint64) int {
	id, _, _ := flows.SplitCookie(cookie)
	return slices.IndexFunc(l.vifs, func(v *vif) bool { return id != 0 && flows.ParseVIFID(v.row.UUID) == id })
}

// replace puts what is left of a port that the switch refused in its place.
func (l *ledger) replace(i int, v *vif) {
	l.vifs = slices.Clone(l.vifs) // reports show the old one
	l.vifs[i] = v
	delete(l.limits, flows.ParseVIFID(v.row.UUID))
}

// meters reports whether some port's flows use a meter.
func (l *ledger) meters(id uint32) bool {
	return id == sharedMeter(l.sampled) || slices.ContainsFunc(l.vifs, func(v *vif) bool { return v.meter == id })
}
