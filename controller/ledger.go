package controller

import (
	"maps"
	"slices"

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
}

// ledger remembers, for one bridge, what each port's inputs lead to. Its contents are
// a function of the target and of what the switch refused: starting from an empty
// ledger gives the same flows.
type ledger struct {
	target  *target
	sampled bool // entries that count send samples too
	shared  []flows.Entry
	vifs    map[string]*vif // by Interface row UUID
}

// change is the flows that an update replaced, and what they were replaced by.
type change struct{ old, new []flows.Entry }

// update brings the ledger to a target and returns what changed.
func (l *ledger) update(t *target, sampled bool) (change, error) {
	var c change
	all := l.target == nil || l.sampled != sampled || !sameConfig(l.target, t)
	if all {
		shared, err := encode(flows.Shared(), t, sampled)
		if err != nil {
			return c, err
		}
		c.old, c.new = append(c.old, l.shared...), append(c.new, shared...)
		l.shared = shared
	}
	present := make(map[string]bool, len(t.bridge.Interfaces))
	next := make(map[string]*vif, len(t.bridge.Interfaces))
	for _, row := range t.bridge.Interfaces {
		present[row.UUID] = true
		was := l.vifs[row.UUID]
		if was != nil && was.row == row && !all {
			next[row.UUID] = was
			continue
		}
		is, err := compile(t, row, was, sampled)
		if err != nil {
			return c, err
		}
		next[row.UUID] = is
		if was != nil {
			c.old = append(c.old, was.entries...)
		}
		c.new = append(c.new, is.entries...)
	}
	for uuid, was := range l.vifs {
		if !present[uuid] {
			c.old = append(c.old, was.entries...)
		}
	}
	l.vifs, l.target, l.sampled = next, t, sampled
	return c, nil
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
		a.config.ActionSet == b.config.ActionSet && a.config.UnmarkedBlock == b.config.UnmarkedBlock &&
		a.config.Name == b.config.Name && a.pipeline() == b.pipeline() && maps.Equal(a.profiles, b.profiles)
}

// compile resolves and compiles one port. Flows that the switch refused before are
// not tried again: the port is blocked instead, until something else is asked for.
func compile(t *target, row *model.Interface, was *vif, sampled bool) (*vif, error) {
	policy := model.Resolve(&t.config, t.profiles, row)
	v := &vif{row: row, policy: &policy, sampled: sampled}
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

// owner returns the port that a cookie names, or nil for shared flows.
func (l *ledger) owner(cookie uint64) *vif {
	id, _, _ := flows.SplitCookie(cookie)
	if id == 0 {
		return nil
	}
	for _, v := range l.vifs {
		if flows.ParseVIFID(v.row.UUID) == id {
			return v
		}
	}
	return nil
}
