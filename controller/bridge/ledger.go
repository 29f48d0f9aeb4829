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

// Target is what a bridge's worker is to achieve.
type Target struct {
	Bridge   *model.Bridge
	Config   model.BridgeConfig
	Profiles map[string]string
}

// NewTarget resolves a bridge's own metadata.
func NewTarget(b *model.Bridge, profiles map[string]string) *Target {
	return &Target{Bridge: b, Config: model.ResolveBridge(b), Profiles: profiles}
}

// Same reports whether two targets ask for the same.
func (t *Target) Same(o *Target) bool {
	return o != nil && t.Bridge == o.Bridge && maps.Equal(t.Profiles, o.Profiles)
}

func (t *Target) pipeline() flows.Pipeline {
	return flows.PipelineOf(&t.Config.Settings)
}

// VIF is what is known of one port of a guarded bridge.
type VIF struct {
	Row     *model.Interface
	Policy  *model.Policy // what it may be, blocked if the switch refused its flows
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
	target  *Target
	sampled bool                   // entries that count send samples too
	held    map[string]*quarantine // by Interface row UUID
	shared  []flows.Entry
	guarded int                         // ports that aren't trusted
	vifs    []*VIF                      // parallel to target.Bridge.Interfaces; never changed in place
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

func (c *change) drop(v *VIF) {
	c.old = append(c.old, v.entries...)
	if v.guarded() {
		c.guarded--
		c.limit(v, 0)
	}
	if v.meter != 0 {
		c.oldMeters = append(c.oldMeters, v.meter)
	}
}

func (c *change) add(v *VIF) {
	c.new = append(c.new, v.entries...)
	if v.guarded() {
		c.guarded++
		c.limit(v, v.Policy.FloodLimit())
	}
	if v.meter != 0 {
		c.newMeters = append(c.newMeters, v.meter)
	}
}

// limit notes the flood limit that a port has from now on, if that or the one it had is
// worth a note.
func (c *change) limit(v *VIF, limit model.Flood) {
	if limit == 0 && v.Policy.FloodLimit() == 0 {
		return
	}
	if c.limits == nil {
		c.limits = make(map[flows.VIFID]model.Flood)
	}
	c.limits[flows.ParseVIFID(v.Row.UUID)] = limit
}

// update brings the ledger to a target, with these quarantines, and returns what changed.
func (l *ledger) update(t *Target, sampled bool, held map[string]*quarantine) (change, error) {
	var c change
	all := l.target == nil || l.sampled != sampled || !sameConfig(l.target, t)
	if !all && l.target.Bridge == t.Bridge && maps.Equal(l.held, held) {
		l.target = t
		return c, nil
	}
	shared := &VIF{entries: l.shared, meter: sharedMeter(l.sampled)}
	if all {
		entries, err := encode(flows.Shared(), t, sampled)
		if err != nil {
			return c, err
		}
		c.drop(shared)
		shared = &VIF{entries: entries, meter: sharedMeter(sampled)}
		c.add(shared)
	}
	next := make([]*VIF, len(t.Bridge.Interfaces))
	var todo []job
	old := l.vifs
	for i, row := range t.Bridge.Interfaces {
		for ; len(old) > 0 && model.Before(old[0].Row, row); old = old[1:] {
			c.drop(old[0])
		}
		var was *VIF
		if len(old) > 0 && !model.Before(row, old[0].Row) {
			was, old = old[0], old[1:]
		}
		if was != nil && !all && model.SameInput(was.Row, row) && was.quarantine == held[row.UUID] {
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
func (v *VIF) guarded() bool { return v.Policy != nil && v.Policy.Mode != model.Trusted }

// Quarantined reports whether nothing of a port passes because it floods. One whose
// flows the switch refused is blocked instead.
func (v *VIF) Quarantined() bool { return v.quarantine != nil && v.refused == nil }

// Quarantine says since when and why a quarantined port is.
func (v *VIF) Quarantine() string { return v.quarantine.String() }

// Refused reports whether the switch refused the flows of a port, which is blocked since.
func (v *VIF) Refused() bool { return v.refused != nil }

// at returns what is known of a port with a row that asks for the same.
func (v *VIF) at(row *model.Interface) *VIF {
	if v.Row == row {
		return v
	}
	is := *v
	is.Row = row
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
func encode(rules []flows.Rule, t *Target, sampled bool) ([]flows.Entry, error) {
	if sampled {
		rules = flows.Sampled(rules)
	}
	return openflow.EncodeAll(rules, t.pipeline())
}

// sameConfig reports whether two targets differ in single ports at most.
func sameConfig(a, b *Target) bool {
	return a.Config.Default == b.Config.Default && a.Config.Action == b.Config.Action &&
		a.Config.ActionSet == b.Config.ActionSet && a.Config.Flood == b.Config.Flood && a.Config.UnmarkedBlock == b.Config.UnmarkedBlock &&
		a.Config.Name == b.Config.Name && a.pipeline() == b.pipeline() && maps.Equal(a.Profiles, b.Profiles)
}

// job is one port to compile.
type job struct {
	index int
	was   *VIF // what it was; nil if it is new
}

// compileAll compiles ports into next. Each is a function of its own input, so they are
// shared out between the processors.
func compileAll(t *Target, next []*VIF, todo []job, sampled bool, held map[string]*quarantine) error {
	workers := max(min(runtime.GOMAXPROCS(0), len(todo)/minShare), 1)
	failed := make([]error, workers)
	work := func(worker int) {
		for n := worker; n < len(todo) && failed[worker] == nil; n += workers {
			j := todo[n]
			row := t.Bridge.Interfaces[j.index]
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
func compile(t *Target, row *model.Interface, was *VIF, sampled bool, q *quarantine) (*VIF, error) {
	policy := model.Resolve(&t.Config, t.Profiles, row)
	v := &VIF{Row: row, Policy: &policy, sampled: sampled, quarantine: q}
	if err := v.compile(t); err != nil {
		return nil, err
	}
	if was != nil && was.refused != nil && slices.Equal(was.refused, v.entries) {
		return v, v.refuse(t, was.refusal)
	}
	return v, nil
}

func (v *VIF) compile(t *Target) error {
	v.entries = nil
	if v.Row.OFPort == 0 {
		return nil
	}
	port := flows.Port{VIF: flows.ParseVIFID(v.Row.UUID), InPort: v.Row.OFPort, Policy: v.Policy}
	if v.quarantine != nil {
		port.Quarantine = v.quarantine.timeout
	}
	var err error
	v.entries, err = encode(flows.Compile(port), t, v.sampled)
	v.meter = 0
	if v.sampled && len(counting(v.entries)) > 0 {
		v.meter = flows.SampleMeter(v.Row.OFPort)
	}
	return err
}

// refuse replaces a port's policy, which the switch wouldn't take, by one that blocks.
func (v *VIF) refuse(t *Target, why *model.Problem) error {
	v.refused, v.refusal = v.entries, why
	v.Policy = &model.Policy{
		Mode: model.Blocked, Origins: model.Origins{Mode: "the switch refused its flows"},
		Problems: append(slices.Clone(v.Policy.Problems), *why),
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
	return slices.IndexFunc(l.vifs, func(v *VIF) bool { return id != 0 && flows.ParseVIFID(v.Row.UUID) == id })
}

// replace puts what is left of a port that the switch refused in its place.
func (l *ledger) replace(i int, v *VIF) {
	l.vifs = slices.Clone(l.vifs) // reports show the old one
	l.vifs[i] = v
	delete(l.limits, flows.ParseVIFID(v.Row.UUID))
}

// meters reports whether some port's flows use a meter.
func (l *ledger) meters(id uint32) bool {
	return id == sharedMeter(l.sampled) || slices.ContainsFunc(l.vifs, func(v *VIF) bool { return v.meter == id })
}
