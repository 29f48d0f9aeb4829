package inspect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Kind says in which way a switch differs from what OVSDB asks for.
type Kind string

// The kinds of differences.
const (
	Unusable   Kind = "unusable"   // the bridge's own metadata leaves nothing to compare with
	Missing    Kind = "missing"    // a flow isn't there
	Changed    Kind = "changed"    // a flow has another owner or other actions
	Unexpected Kind = "unexpected" // a flow of vifguard's that nothing asks for
	Foreign    Kind = "foreign"    // a flow of somebody else takes precedence over the checks
	Fragments  Kind = "fragments"  // the switch hides layer 4 of fragments from the checks
	Reported   Kind = "status"     // a status key doesn't say what is asked for
)

// Difference is one thing in which a switch, or what is reported of it, differs from
// what OVSDB asks for.
type Difference struct {
	Kind   Kind
	Port   *model.Interface // whose it is; nil for what all share or nobody owns
	Reason model.Reason     // the reason that the flow counts
	Table  uint8
	Why    string // what the flow is for, or what is wrong, in words
	Want   string // what is asked for, "" for nothing; flows as ovs-ofctl writes them
	Have   string // what there is, "" for nothing
}

// Verification is the outcome of [Verify].
type Verification struct {
	Config      model.BridgeConfig
	Flows       int // that OVSDB asks for
	Ports       int
	Differences []Difference
}

// Verify compares one bridge's switch, flow by flow, and its ports' status keys with
// what OVSDB asks for. Of a bridge that isn't guarded it expects that nothing of
// vifguard's is left. It changes nothing and needs no agent.
func Verify(ctx context.Context, b *model.Bridge, profiles map[string]string, runDir string) (*Verification, error) {
	v := &verifier{
		bridge: b, profiles: profiles, quarantined: make(map[*model.Interface]bool),
		Verification: Verification{Config: model.ResolveBridge(b), Ports: len(b.Interfaces)},
	}
	v.pipeline = flows.PipelineOf(&v.Config.Settings)
	if !v.Config.Usable {
		v.add(Difference{Kind: Unusable, Why: v.Config.Problems.String()})
		return &v.Verification, nil
	}
	conn, err := openflow.Dial(ctx, openflow.ManagementSocket(runDir, b.Name))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	have, err := conn.Flows(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	if v.Config.Guarded {
		mode, err := conn.FragmentMode(ctx)
		if err != nil {
			return nil, err
		}
		v.fragments(mode)
	}
	if err := v.flows(have); err != nil {
		return nil, err
	}
	if !v.Config.Guarded {
		left, _ := model.BridgeLeftovers(b)
		for _, key := range left {
			v.add(Difference{Kind: Reported, Have: key + "=" + b.ExternalIDs[key], Why: "left on the bridge, which isn't guarded"})
		}
	}
	for _, row := range b.Interfaces {
		v.status(row)
	}
	return &v.Verification, nil
}

// verifier collects what differs on one bridge.
type verifier struct {
	Verification
	bridge      *model.Bridge
	profiles    map[string]string
	pipeline    flows.Pipeline
	quarantined map[*model.Interface]bool
}

func (v *verifier) add(d Difference) { v.Differences = append(v.Differences, d) }

func (v *verifier) fragments(mode uint16) {
	if mode == openflow.FragNXMatch {
		return
	}
	have := fmt.Sprint(mode)
	if mode == openflow.FragNormal {
		have = "normal"
	}
	v.add(Difference{
		Kind: Fragments, Want: "nx-match", Have: have,
		Why: "the guards are blind to fragments",
	})
}

// wanted is a flow that OVSDB asks for.
type wanted struct {
	flows.Rule
	entry flows.Entry
	port  *model.Interface // nil for shared ones
	found bool
}

// wanted returns the flows that OVSDB asks for, in the order of ports and stages. Those
// that there are show which ports are quarantined.
func (v *verifier) wanted(have []openflow.Flow) ([]*wanted, error) {
	if !v.Config.Guarded {
		return nil, nil
	}
	var list []*wanted
	add := func(row *model.Interface, rules []flows.Rule) error {
		for _, r := range rules {
			e, err := openflow.Encode(&r, v.pipeline)
			if err != nil {
				return err
			}
			list = append(list, &wanted{Rule: r, entry: e, port: row})
		}
		return nil
	}
	if err := add(nil, flows.Shared()); err != nil {
		return nil, err
	}
	timed := make(map[flows.VIFID][]*openflow.Flow)
	for i := range have {
		if id, _, own := flows.SplitCookie(have[i].Cookie); own && have[i].Timeout > 0 {
			timed[id] = append(timed[id], &have[i])
		}
	}
	for _, row := range v.bridge.Interfaces {
		if row.OFPort == 0 {
			continue
		}
		policy := model.Resolve(&v.Config, v.profiles, row)
		port := flows.Port{VIF: flows.ParseVIFID(row.UUID), InPort: row.OFPort, Policy: &policy}
		rules, quarantined := compilePort(port, timed[port.VIF])
		v.quarantined[row] = quarantined
		if err := add(row, rules); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// flows compares what there is with what is asked for.
func (v *verifier) flows(have []openflow.Flow) error {
	list, err := v.wanted(have)
	if err != nil {
		return err
	}
	v.Flows = len(list)
	byKey := make(map[flows.Key]*wanted, len(list))
	for _, w := range list {
		byKey[w.entry.Key] = w
	}
	var extra []Difference
	for i := range have {
		f := &have[i]
		w := byKey[f.Key]
		_, reason, own := flows.SplitCookie(f.Cookie)
		switch {
		case w != nil:
			w.found = true
			if w.entry == f.Entry {
				continue
			}
			if _, ok := asSampled(&w.Rule, &f.Entry, v.pipeline); !ok {
				v.add(w.differs(Changed, v.pipeline, openflow.Text(&f.Entry)))
			}
		case own:
			d := Difference{Kind: Unexpected, Reason: reason, Table: f.Table, Have: openflow.Text(&f.Entry)}
			d.Port, d.Why = v.owner(f.Cookie)
			extra = append(extra, d)
		case v.Config.Guarded && v.pipeline.Shadows(f.Key):
			extra = append(extra, Difference{
				Kind: Foreign, Table: f.Table, Have: openflow.Text(&f.Entry),
				Why: "takes precedence over the checks (move it, or set " + model.KeyFirstTable + ")",
			})
		}
	}
	for _, w := range list {
		if !w.found {
			v.add(w.differs(Missing, v.pipeline, ""))
		}
	}
	slices.SortFunc(extra, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Have, b.Have))
	})
	v.Differences = append(v.Differences, extra...)
	return nil
}

func (w *wanted) differs(kind Kind, p flows.Pipeline, have string) Difference {
	return Difference{
		Kind: kind, Port: w.port, Reason: w.Counts, Table: w.entry.Table,
		Why: w.Why, Want: w.Text(p), Have: have,
	}
}

// owner returns the port that a cookie of vifguard's names, and in words why its flow
// isn't expected.
func (v *verifier) owner(cookie uint64) (*model.Interface, string) {
	id, _, _ := flows.SplitCookie(cookie)
	if !v.Config.Guarded {
		return nil, "the bridge isn't guarded"
	}
	if id == 0 {
		return nil, "no such shared flow"
	}
	for _, row := range v.bridge.Interfaces {
		if flows.ParseVIFID(row.UUID) == id {
			return row, "its policy doesn't ask for it"
		}
	}
	return nil, "its port isn't on the bridge any more"
}

// status compares a port's status keys with what they say once its policy is in force.
func (v *verifier) status(row *model.Interface) {
	var want model.Status
	policy := model.Resolve(&v.Config, v.profiles, row)
	switch {
	case !v.Config.Guarded || policy.Mode == model.Trusted:
	case row.OFPort == 0:
		want = model.PendingStatus(&policy, row, v.Config.Problems)
	default:
		want = model.StatusOf(&policy, row, v.Config.Problems)
		if v.quarantined[row] {
			want.State = model.StateQuarantined
		}
	}
	set, del := want.Changes(row)
	for _, key := range model.StatusKeys() {
		have, ok := row.ExternalIDs[key]
		d := Difference{Kind: Reported, Port: row, Why: "the agent hasn't reported it"}
		if ok {
			d.Have, d.Why = key+"="+have, "the agent reported something else"
		}
		if value, differs := set[key]; differs {
			d.Want = key + "=" + value
			v.add(d)
		} else if slices.Contains(del, key) {
			v.add(d)
		}
	}
}
