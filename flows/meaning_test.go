package flows_test

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/conformance"
	"github.com/vifguard/vifguard/test/conformance/oracle"
)

// pipeline evaluates rules as a switch would.
type pipeline struct {
	flows.Pipeline
	stages map[flows.Stage][]*entry // by priority, the highest first
}

// entry is a rule in the tables, with its match as fields.
type entry struct {
	*flows.Rule
	fields []flows.Field
}

func newPipeline(rules []flows.Rule) *pipeline {
	p := &pipeline{Pipeline: flows.Pipeline{Exit: -1}, stages: map[flows.Stage][]*entry{}}
	for i := range rules {
		r := &rules[i]
		p.stages[r.Stage] = append(p.stages[r.Stage], &entry{r, r.Match.Fields()})
	}
	for _, list := range p.stages {
		slices.SortStableFunc(list, func(a, b *entry) int { return cmp.Compare(b.Priority, a.Priority) })
	}
	return p
}

// matches reports whether a packet meets all conditions of a match.
func (e *entry) matches(k key) bool {
	for _, f := range e.fields {
		have := k[f.ID]
		for i, want := range f.Value {
			got := byte(0)
			if have != nil {
				got = have[i]
			}
			if f.Mask != nil {
				got &= f.Mask[i]
			}
			if got != want {
				return false
			}
		}
	}
	return true
}

// lookup returns the rule that a packet meets in a stage: the one of the highest
// priority, of which there must be one only, or several that do the same.
func (p *pipeline) lookup(s flows.Stage, k key) (*flows.Rule, error) {
	var found *flows.Rule
	for _, e := range p.stages[s] {
		switch {
		case found != nil && e.Priority < found.Priority:
			return found, nil
		case !e.matches(k):
		case found == nil:
			found = e.Rule
		case !reflect.DeepEqual(found.Actions, e.Actions):
			return nil, fmt.Errorf("either %q or %q", found.Why, e.Why)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no rule in stage %s", s)
	}
	return found, nil
}

// outcome is what becomes of a packet.
type outcome struct {
	passes bool
	reason model.Reason // that was counted
	singly bool         // it was judged by itself
}

// run sends a frame through the stages.
func (p *pipeline) run(inPort uint32, frame []byte) (o outcome, err error) {
	k, length := extract(inPort, frame)
	register, measured := uint32(0), false
	for s, steps := flows.StagePort, 0; ; steps++ {
		k[flows.FieldRegister] = binary.BigEndian.AppendUint32(nil, register)
		r, err := p.lookup(s, k)
		if err != nil {
			return o, err
		}
		if steps > 20 {
			return o, fmt.Errorf("it goes round in circles, at %q", r.Why)
		}
		for _, l := range r.Loads(p.Pipeline) {
			mask := uint32(1<<l.Bits-1) << l.Offset
			register = register&^mask | l.Value<<l.Offset
		}
		if n := r.Actions.Longer; n != 0 {
			register &^= 1 << flows.LongBit
			if length > int(n) {
				register |= 1 << flows.LongBit
			}
			measured = true
		}
		measured = measured && !r.Actions.Afresh
		o.singly = o.singly || r.Actions.Singly
		if r.Counts != model.NoReason {
			o.reason = r.Counts
		}
		if measured && r.Stage == flows.StageDrop {
			return o, fmt.Errorf("frames of any length are counted by %q", r.Why)
		}
		switch r.Actions.Next {
		case flows.Drop:
			return o, nil
		case flows.Leave:
			o.passes = true
			return o, nil
		case flows.Goto, flows.Again:
			s = r.Actions.Stage
		}
	}
}

// The rules mean what the conformance suite demands: every frame under every policy,
// judged by the rules as a switch would, without one.
func TestRulesMeanWhatTheSuiteSays(t *testing.T) {
	frames := conformance.Frames()
	for n, policy := range conformance.Policies() {
		vif := conformance.NewVIF(byte(n + 1))
		resolved := policy.Resolve(vif)
		const inPort = 7
		p := newPipeline(append(flows.Shared(), flows.Compile(flows.Port{VIF: 1, InPort: inPort, Policy: &resolved})...))
		for i := range frames {
			f := &frames[i]
			got, err := p.run(inPort, f.Bytes(vif))
			want := f.Seen(&policy)
			if err != nil || verdict(got.reason) != want || got.passes != (want == conformance.Pass || policy.Observe) {
				t.Errorf("%s: %s (%s)\npolicy %s: want %s, got %s, passes %v, %v\n%s", f.Class, f.Name, f.Source, policy.Name,
					want, verdict(got.reason), got.passes, err, hex.EncodeToString(f.Bytes(vif)))
			}
		}
	}
}

// Ports that aren't checked pass whatever they send; unknown, blocked and quarantined ones
// pass nothing. Each refusal has its one reason.
func TestRulesOfWholePorts(t *testing.T) {
	const inPort = 7
	checked := conformance.Policy{Keys: map[string]string{
		model.KeyAttachedMAC: "{MAC}", model.KeyChecks: "mac,arp,ip", model.KeyFlood: "100"}}
	vif := conformance.NewVIF(1)
	flooding := checked.Resolve(vif)
	for _, test := range []struct {
		name string
		port *flows.Port // nil: not programmed
		want outcome
	}{
		{"trusted", &flows.Port{Policy: &model.Policy{Mode: model.Trusted}}, outcome{passes: true}},
		{"off", &flows.Port{Policy: &model.Policy{Mode: model.Off}}, outcome{passes: true}},
		{"blocked", &flows.Port{Policy: &model.Policy{Mode: model.Blocked}}, outcome{reason: model.ReasonBlocked}},
		{"quarantined", &flows.Port{Policy: &flooding, Quarantine: 9}, outcome{reason: model.ReasonFlood}},
		{"unknown", nil, outcome{reason: model.ReasonUnknownPort}},
	} {
		rules := flows.Shared()
		if test.port != nil {
			test.port.VIF, test.port.InPort = 1, inPort
			rules = append(rules, flows.Compile(*test.port)...)
		}
		p := newPipeline(rules)
		for _, f := range conformance.Frames() {
			if got, err := p.run(inPort, f.Bytes(vif)); err != nil || got != test.want {
				t.Fatalf("%s: %s from a port that is %s: got %+v, %v", f.Class, f.Name, test.name, got, err)
			}
		}
	}
}

// The rules mean what the oracle says of random frames under random policies.
func TestRulesMeanWhatTheOracleSays(t *testing.T) {
	random := conformance.NewRandom(1)
	const policies, frames, inPort = 120, 300, 7
	for n := range policies {
		vif := conformance.NewVIF(byte(n%100 + 1))
		policy, ids := random.Policy(vif)
		p := newPipeline(append(flows.Shared(), flows.Compile(flows.Port{VIF: 1, InPort: inPort, Policy: &policy})...))
		for range frames {
			frame := random.Frame(vif)
			got, err := p.run(inPort, frame)
			passes, reason := oracle.JudgeSeen(&policy, frame)
			if err != nil || got.reason.String() != reason || got.passes != passes {
				t.Fatalf("%v: want %q, passes %v; got %q, passes %v, %v\n%x", ids, reason, passes, got.reason, got.passes, err, frame)
			}
			if policy.Mode == model.Checked && got.passes && got.reason == model.NoReason && ambiguous(frame) && !got.singly {
				t.Fatalf("%v: frames like this one can hide a link-layer option, and aren't judged one by one\n%x", ids, frame)
			}
		}
	}
}

// ambiguous reports whether a frame is a solicitation that shows no link-layer option,
// and is long enough to hold one.
func ambiguous(frame []byte) bool {
	k, length := extract(1, frame)
	return number(k[flows.FieldICMPv6Type]) == 135 && number(k[flows.FieldNDSLL]) == 0 && length > 85
}

// verdict writes a reason as the suite does.
func verdict(r model.Reason) string {
	if r == model.NoReason {
		return conformance.Pass
	}
	return r.String()
}
