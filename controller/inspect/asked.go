package inspect

import (
	"cmp"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// asked is what OVSDB asks for of one port, or of all together, given the flows that there
// are: they show whether the agent has rules send samples, and which VIFs it has
// quarantined. Neither means anything for what passes by OVSDB's will, so a switch is right
// with and without.
type asked struct {
	flows.Input // its row is nil for what all ports share
	flows.Compiled
	rules []askedRule
}

// askedRule is one of the rules, and the flow that there is at its place.
type askedRule struct {
	*flows.Rule
	entry flows.Entry
	have  *openflow.Flow // nil for none
}

func (r *askedRule) installed() bool { return r.have != nil && r.have.Entry == r.entry }

// quarantined reports whether nothing of the port passes because it floods: a policy without
// a flood limit has no quarantine.
func (a *asked) quarantined() bool { return a.Quarantine > 0 && a.Policy.FloodLimit() > 0 }

// reader finds out what OVSDB asks for on a bridge whose flows it is given, one owner's
// after the other's.
type reader struct {
	config    *model.BridgeConfig
	profiles  map[string]string
	contested map[uint32]bool
	sampled   bool  // whether the flows read last were explained by samples: all are alike
	err       error // of encoding, the first one
}

func newReader(b *model.Bridge, config *model.BridgeConfig, profiles map[string]string) *reader {
	return &reader{config: config, profiles: profiles, contested: model.ContestedPorts(b)}
}

func (r *reader) pipeline() flows.Pipeline { return flows.PipelineOf(&r.config.Settings) }

// shared returns what is asked for of all ports together.
func (r *reader) shared(have []*openflow.Flow) asked {
	return r.explain(have, func(sampled bool) asked {
		a := asked{Compiled: flows.Compiled{Rules: flows.Shared()}}
		if sampled {
			a.Rules = flows.Sampled(a.Rules)
		}
		return a
	})
}

// port returns what is asked for of one port.
func (r *reader) port(row *model.Interface, have []*openflow.Flow) asked {
	in := flows.Input{Input: model.NewInput(r.config, r.profiles, row)}
	in.Contested = r.contested[row.OFPort]
	for _, f := range have { // only of the flow of a quarantine the switch knows an end
		in.Quarantine = max(in.Quarantine, f.Timeout)
	}
	return r.explain(have, func(sampled bool) asked {
		in.Sampled = sampled
		return asked{Input: in, Compiled: in.Compile()}
	})
}

// explain compiles with samples or without, whichever explains more of the flows.
func (r *reader) explain(have []*openflow.Flow, compile func(sampled bool) asked) asked {
	byKey := make(map[flows.Key]*openflow.Flow, len(have))
	for _, f := range have {
		byKey[f.Key] = f
	}
	first, explained := compile(r.sampled), 0
	if explained = r.match(&first, byKey); explained == min(len(have), len(first.rules)) {
		return first
	}
	second := compile(!r.sampled)
	if r.match(&second, byKey) <= explained {
		return first
	}
	r.sampled = !r.sampled
	return second
}

// match finds the flows of rules, and counts those that are as asked for.
func (r *reader) match(a *asked, have map[flows.Key]*openflow.Flow) (explained int) {
	p := r.pipeline()
	a.rules = make([]askedRule, len(a.Rules))
	for i := range a.Rules {
		rule := askedRule{Rule: &a.Rules[i]}
		var err error
		if rule.entry, err = openflow.Encode(rule.Rule, p); err == nil {
			rule.have = have[rule.entry.Key]
		}
		r.err = cmp.Or(r.err, err)
		if rule.installed() {
			explained++
		}
		a.rules[i] = rule
	}
	return explained
}

// byOwner sorts vifguard's flows by the VIF whose they are, 0 for the shared ones.
func byOwner(have []openflow.Flow) map[flows.VIFID][]*openflow.Flow {
	owners := make(map[flows.VIFID][]*openflow.Flow)
	for i := range have {
		if owner, _, own := flows.SplitCookie(have[i].Cookie); own {
			owners[owner] = append(owners[owner], &have[i])
		}
	}
	return owners
}
