package inspect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/exposure/probe"
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
	Exposed    Kind = "exposed"    // something decides about frames beside the tables
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

	Finding *exposure.Finding // of kind exposed, else nil
}

// Verification is the outcome of [Verify].
type Verification struct {
	Config      model.BridgeConfig
	Flows       int // that OVSDB asks for
	Ports       int
	Differences []Difference
	Notices     []exposure.Finding // worth knowing, and no difference
}

// Verify compares one bridge's switch, flow by flow, and its ports' status keys with
// what OVSDB asks for, and judges what decides about frames beside them. Of a bridge that
// isn't guarded it expects that nothing of vifguard's is left. It changes nothing and needs
// no agent.
func Verify(ctx context.Context, h *model.Host, b *model.Bridge, runDir string) (*Verification, error) {
	v := &verifier{bridge: b, Verification: Verification{Config: model.ResolveBridge(b), Ports: len(b.Interfaces)}}
	v.read = newReader(b, &v.Config, h.Profiles)
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
	findings := (&probe.Reader{RunDir: runDir, Bridge: b.Name}).Judge(ctx, h, b, openflow.Foreign(have), nil)
	v.exposure(findings)
	list := v.asked(have)
	v.flows(list, have)
	if v.read.err != nil {
		return nil, v.read.err
	}
	if !v.Config.Guarded {
		v.leftovers()
	}
	for i := range list {
		if list[i].Row != nil {
			v.status(&list[i], findings)
		}
	}
	return &v.Verification, nil
}

// leftovers finds what vifguard has written on a bridge, and on its ports' rows, that it
// doesn't guard.
func (v *verifier) leftovers() {
	for _, key := range model.OpenBridge(v.bridge).Delete {
		v.add(Difference{Kind: Reported, Have: key + "=" + v.bridge.ExternalIDs[key], Why: "left on the bridge, which isn't guarded"})
	}
	for _, row := range v.bridge.Interfaces {
		if c := model.OpenPort(row); !c.Empty() {
			v.add(Difference{Kind: Reported, Port: row, Have: model.KeyClosed + "=" + row.Facts.Closed, Why: "left on its Port, whose bridge isn't guarded"})
		}
	}
}

// verifier collects what differs on one bridge.
type verifier struct {
	Verification
	bridge *model.Bridge
	read   *reader
}

func (v *verifier) add(d Difference) { v.Differences = append(v.Differences, d) }

// exposure adds what was found: what exposes VIFs is a difference, as nothing is asked for
// that lets frames pass around the tables.
func (v *verifier) exposure(findings []exposure.Finding) {
	for i := range findings {
		f := &findings[i]
		if f.Severity != exposure.Exposed {
			v.Notices = append(v.Notices, *f)
			continue
		}
		v.add(Difference{Kind: Exposed, Why: f.Words(), Finding: f})
	}
}

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

// asked returns what OVSDB asks for: of all ports together, and of each. Of a bridge that
// isn't guarded that is no flows.
func (v *verifier) asked(have []openflow.Flow) []asked {
	owners := byOwner(have)
	list := []asked{v.read.shared(owners[0])}
	for _, row := range v.bridge.Interfaces {
		list = append(list, v.read.port(row, owners[flows.ParseVIFID(row.UUID)]))
	}
	if !v.Config.Guarded {
		for i := range list {
			list[i].rules = nil
		}
	}
	return list
}

// wanted is a flow that OVSDB asks for.
type wanted struct {
	*askedRule
	port  *model.Interface // nil for shared ones
	found bool
}

// flows compares what there is with what is asked for.
func (v *verifier) flows(list []asked, have []openflow.Flow) {
	var all []*wanted
	byKey := make(map[flows.Key]*wanted)
	for i := range list {
		for j := range list[i].rules {
			w := &wanted{askedRule: &list[i].rules[j], port: list[i].Row}
			all, byKey[w.entry.Key] = append(all, w), w
		}
	}
	v.Flows = len(all)
	var extra []Difference
	for i := range have {
		f := &have[i]
		w := byKey[f.Key]
		_, reason, own := flows.SplitCookie(f.Cookie)
		switch {
		case w != nil:
			w.found = true
			if w.entry != f.Entry {
				v.add(w.differs(Changed, v.read.pipeline(), openflow.Text(&f.Entry)))
			}
		case own:
			d := Difference{Kind: Unexpected, Reason: reason, Table: f.Table, Have: openflow.Text(&f.Entry)}
			d.Port, d.Why = v.owner(f.Cookie)
			extra = append(extra, d)
		case v.Config.Guarded && v.read.pipeline().Shadows(f.Key):
			extra = append(extra, Difference{
				Kind: Foreign, Table: f.Table, Have: openflow.Text(&f.Entry),
				Why: "takes precedence over the checks (move it, or set " + model.KeyFirstTable + ")",
			})
		}
	}
	for _, w := range all {
		if !w.found {
			v.add(w.differs(Missing, v.read.pipeline(), ""))
		}
	}
	slices.SortFunc(extra, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Have, b.Have))
	})
	v.Differences = append(v.Differences, extra...)
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
func (v *verifier) status(a *asked, findings []exposure.Finding) {
	var want model.Status
	row := a.Row
	switch {
	case !v.Config.Guarded || a.Policy.Mode == model.Trusted:
	case a.Pending():
		want = model.PendingStatus(&a.Policy, row, v.Config.Problems)
	default:
		want = model.StatusOf(&a.Policy, row, v.Config.Problems)
		if a.quarantined() {
			want.State = model.StateQuarantined
		}
		if f := exposure.Of(findings, row.Name); f != nil {
			want.Expose(f.Words())
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
