package report

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

// Explanation is the JSON output of explain. Its schema is stable.
type Explanation struct {
	Bridge       string            `json:"bridge"`
	Port         string            `json:"port"`
	OpenFlowPort uint32            `json:"openflow_port,omitempty"`
	VM           string            `json:"vm,omitempty"`
	Guarded      bool              `json:"guarded"` // without, the rest is empty: everything passes
	Mode         string            `json:"mode"`    // trusted, off, checked or blocked
	Verdict      string            `json:"verdict"` // in words
	InForce      bool              `json:"in_force"`
	State        string            `json:"state,omitempty"` // as in status
	Error        string            `json:"error,omitempty"` // of state exposed: by what
	Findings     []Finding         `json:"findings,omitempty"`
	SwitchError  string            `json:"switch_error,omitempty"`
	Policy       PolicyParts       `json:"-"`             // written among the other fields
	For          string            `json:"for,omitempty"` // whom its keys were written for
	Quarantined  bool              `json:"quarantined"`
	Quarantine   string            `json:"quarantine,omitempty"` // the last one, as the agent reported it
	Bindings     []bindingResult   `json:"bindings"`
	Problems     []problemResult   `json:"problems"`
	Drops        map[string]uint64 `json:"drops"`
	Flows        []flowResult      `json:"flows"`
}

type bindingResult struct {
	Address string `json:"address"`
	MAC     string `json:"mac"`
	GoodFor string `json:"good_for"`
	From    string `json:"from"`
}

type problemResult struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Reason string `json:"reason"`
}

type flowResult struct {
	Table     uint8  `json:"table"`
	Stage     string `json:"stage"`
	Installed bool   `json:"installed"`
	Packets   uint64 `json:"packets"`
	Reason    string `json:"reason,omitempty"` // the drop reason that it counts
	Why       string `json:"why"`
	Flow      string `json:"flow"` // as ovs-ofctl writes it
}

// PolicyParts are the parts of a policy that have one value. Each is written as a field
// that is called like the key's word, and one with _from that says who gave it.
type PolicyParts []model.Part

// NoParts are those of a port of a bridge that isn't guarded.
func NoParts() PolicyParts {
	var parts PolicyParts
	for _, k := range model.Keys(model.OnInterface) {
		if k.Label == "" {
			continue
		}
		part := model.Part{Key: k}
		if !k.Optional {
			part.Value = k.None
		}
		parts = append(parts, part)
	}
	return parts
}

// MarshalJSON writes the policy's parts as fields of the Explanation.
func (e Explanation) MarshalJSON() ([]byte, error) {
	type plain Explanation
	text, err := marshal(plain(e))
	if err != nil {
		return nil, err
	}
	text = text[:len(text)-1]
	for _, part := range e.Policy {
		if part.Value != "" || !part.Key.Optional {
			text = appendField(text, part.Key.Word, part.Value)
		}
		if part.Value != "" || part.Key.HasDefault() {
			text = appendField(text, part.Key.Word+"_from", part.Origin)
		}
	}
	return append(text, '}'), nil
}

// marshal writes a value without escapes for HTML, which whoever encodes the explanation
// can't take back.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// appendField appends a field to an object that has some.
func appendField(text []byte, name, value string) []byte {
	field, err := marshal(map[string]string{name: value})
	if err != nil {
		panic(err) // every string can be written
	}
	return append(append(text, ','), field[1:len(field)-1]...)
}

// modeNames are the modes of a policy in JSON.
var modeNames = map[model.Mode]string{
	model.Trusted: "trusted", model.Off: "off", model.Checked: "checked", model.Blocked: "blocked",
}

// emptyExplanation has empty lists in place of missing ones.
func emptyExplanation(b *model.Bridge, row *model.Interface) Explanation {
	return Explanation{
		Bridge: b.Name, Port: row.Name, OpenFlowPort: row.OFPort, VM: row.VMID(),
		Bindings: []bindingResult{}, Problems: []problemResult{}, Drops: map[string]uint64{}, Flows: []flowResult{},
	}
}

// Unguarded explains a port of a bridge that isn't guarded.
func Unguarded(b *model.Bridge, row *model.Interface) Explanation {
	e := emptyExplanation(b, row)
	e.Verdict, e.Policy = "The bridge isn't guarded: everything passes.", NoParts()
	return e
}

// NewExplanation explains a port of a guarded bridge.
func NewExplanation(in *inspect.Inspection, p *inspect.PortInspection) Explanation {
	e := emptyExplanation(in.Bridge, p.Row)
	policy := &p.Policy
	e.Guarded, e.Mode, e.Verdict = true, modeNames[policy.Mode], strings.ReplaceAll(Verdict(policy), "\n", " ")
	state, why := in.State(p)
	if e.InForce, e.State = p.InForce, string(state); state == model.StateExposed {
		e.Error = why
	}
	if in.Judged {
		e.Findings = NewFindings(in.Concerning(p))
	}
	if in.Switch != nil {
		e.SwitchError = in.Switch.Error()
	}
	e.Policy, e.For = policy.Parts(), p.Row.ExternalIDs[model.KeyFor]
	e.Quarantined, e.Quarantine = p.Quarantined, p.Row.ExternalIDs[model.KeyStatusFlood]
	for _, b := range policy.Bindings {
		e.Bindings = append(e.Bindings, bindingResult{model.FormatPrefix(b.Prefix), b.MAC.String(), goodFor(b), b.Origin})
	}
	for _, problem := range append(append(model.Problems{}, policy.Problems...), in.Config.Problems...) {
		e.Problems = append(e.Problems, problemResult{problem.Key, problem.Value, problem.Text()})
	}
	for _, r := range model.Reasons() {
		if n, ok := p.Drops[r]; ok {
			e.Drops[r.String()] = n
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		e.Flows = append(e.Flows, flowResult{
			Table: in.Pipeline().Table(r.Stage), Stage: r.Stage.String(), Installed: r.Installed, Packets: r.Packets,
			Reason: r.Counts.String(), Why: r.Why, Flow: r.Text(in.Pipeline()),
		})
	}
	return e
}
