package main

import (
	"strings"

	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// explanation is the JSON output of explain. Its schema is stable.
type explanation struct {
	Bridge       string            `json:"bridge"`
	Port         string            `json:"port"`
	OpenFlowPort uint32            `json:"openflow_port,omitempty"`
	VM           string            `json:"vm,omitempty"`
	Guarded      bool              `json:"guarded"` // without, the rest is empty: everything passes
	Mode         string            `json:"mode"`    // trusted, off, checked or blocked
	Verdict      string            `json:"verdict"` // in words
	InForce      bool              `json:"in_force"`
	State        string            `json:"state,omitempty"` // as the agent reported it
	SwitchError  string            `json:"switch_error,omitempty"`
	Checks       string            `json:"checks"`
	ChecksFrom   string            `json:"checks_from"`
	Action       string            `json:"action"`
	ActionFrom   string            `json:"action_from"`
	MAC          string            `json:"mac,omitempty"`
	MACFrom      string            `json:"mac_from,omitempty"`
	Allow        string            `json:"allow,omitempty"` // guards lifted
	AllowFrom    string            `json:"allow_from"`
	Flood        string            `json:"flood"` // limit in refused frames per second, or off
	FloodFrom    string            `json:"flood_from"`
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

// modeNames are the modes of a policy in JSON.
var modeNames = map[model.Mode]string{
	model.Trusted: "trusted", model.Off: "off", model.Checked: "checked", model.Blocked: "blocked",
}

// emptyExplanation has empty lists in place of missing ones.
func emptyExplanation(b *model.Bridge, row *model.Interface) explanation {
	return explanation{
		Bridge: b.Name, Port: row.Name, OpenFlowPort: row.OFPort, VM: row.VMID(),
		Flood: model.Flood(0).String(), Bindings: []bindingResult{}, Problems: []problemResult{}, Drops: map[string]uint64{}, Flows: []flowResult{},
	}
}

// unguarded explains a port of a bridge that isn't guarded.
func unguarded(b *model.Bridge, row *model.Interface) explanation {
	e := emptyExplanation(b, row)
	e.Verdict = "The bridge isn't guarded: everything passes."
	return e
}

func newExplanation(in *inspect.Inspection, p *inspect.PortInspection) explanation {
	e := emptyExplanation(in.Bridge, p.Row)
	policy := &p.Policy
	e.Guarded, e.Mode, e.Verdict = true, modeNames[policy.Mode], strings.ReplaceAll(verdict(policy), "\n", " ")
	e.InForce, e.State = p.InForce, p.Row.ExternalIDs[model.KeyStatusState]
	if in.Switch != nil {
		e.SwitchError = in.Switch.Error()
	}
	e.Checks, e.ChecksFrom = policy.Checks.String(), policy.Origins.Mode
	e.Action, e.ActionFrom = policy.Action.String(), orDefault(policy.Origins.Action)
	if policy.MAC != (model.MAC{}) {
		e.MAC, e.MACFrom = policy.MAC.String(), policy.Origins.MAC
	}
	e.Allow, e.AllowFrom = policy.Allow.String(), orDefault(policy.Origins.Allow)
	e.Flood, e.FloodFrom = policy.Flood.String(), orDefault(policy.Origins.Flood)
	e.Quarantined, e.Quarantine = p.Quarantined, p.Row.ExternalIDs[model.KeyStatusFlood]
	for _, b := range policy.Bindings {
		e.Bindings = append(e.Bindings, bindingResult{model.FormatPrefix(b.Prefix), b.MAC.String(), goodFor(b), b.Origin})
	}
	for _, problem := range append(append(model.Problems{}, policy.Problems...), in.Config.Problems...) {
		e.Problems = append(e.Problems, problemResult{problem.Key, problem.Value, problem.Text()})
	}
	for _, r := range flows.Reasons() {
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
