package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

// Status is one VIF in the JSON output of status. Its schema is stable.
type Status struct {
	Bridge     string            `json:"bridge"`
	Port       string            `json:"port"`
	VM         string            `json:"vm,omitempty"`
	State      string            `json:"state"` // as the agent reported it, but "exposed" if that was found; "unknown" when it never reported
	InForce    bool              `json:"in_force"`
	Checks     string            `json:"checks"`
	ChecksFrom string            `json:"checks_from"`
	Action     string            `json:"action"`
	ActionFrom string            `json:"action_from"`
	MAC        string            `json:"mac,omitempty"`
	Addresses  []string          `json:"addresses"`
	Drops      map[string]uint64 `json:"drops"` // packets by reason; with action observe those that would have been dropped
	Error      string            `json:"error,omitempty"`

	Quarantine string `json:"quarantine,omitempty"` // the last one, as the agent reported it

	Findings []Finding `json:"findings,omitempty"` // that concern it, where the command has judged by itself
}

// NewStatus says of an inspected port what status says of a VIF.
func NewStatus(in *inspect.Inspection, p *inspect.PortInspection) Status {
	s := Status{
		Bridge: in.Bridge.Name, Port: p.Row.Name, VM: p.Row.VMID(),
		InForce: p.InForce,
		Checks:  p.Policy.Checks.String(), ChecksFrom: p.Policy.Origins.Mode,
		Action: p.Policy.Action.String(), ActionFrom: orDefault(p.Policy.Origins.Of(model.KeyAction)),
		Addresses: addresses(&p.Policy), Drops: map[string]uint64{},
		Error: p.Policy.Problems.String(), Quarantine: p.Row.ExternalIDs[model.KeyStatusFlood],
	}
	state, why := in.State(p)
	if s.State = string(state); state == "" {
		s.State = "unknown"
	}
	// The agent alone knows of some errors, such as a flow that the switch refused.
	if s.Error == "" || state == model.StateExposed || len(in.Findings) > 0 && state == "" {
		s.Error = why
	}
	if in.Judged {
		s.Findings = NewFindings(in.Concerning(p))
	}
	if p.Policy.MAC != (model.MAC{}) {
		s.MAC = p.Policy.MAC.String()
	}
	if s.Addresses == nil {
		s.Addresses = []string{}
	}
	for _, r := range model.Reasons() {
		if n, ok := p.Drops[r]; ok {
			s.Drops[r.String()] = n
		}
	}
	if !p.InForce && in.Switch == nil && in.Config.Usable && s.Error == "" && p.Row.OFPort != 0 {
		s.Error = "the switch doesn't have this policy (is the agent running?)"
	}
	if s.Error == "" {
		s.Error = quarantineText(p)
	}
	return s
}

// Notes says what is to be known of a bridge as a whole.
func Notes(in *inspect.Inspection) (notes []string) {
	if in.Switch != nil {
		notes = append(notes, "no counters: "+in.Switch.Error())
	}
	if in.UnknownPort > 0 {
		notes = append(notes, fmt.Sprintf("bridge %s: dropped because their port wasn't programmed yet (unknown-port): %d", in.Bridge.Name, in.UnknownPort))
	}
	if text := in.Config.Problems.String(); text != "" {
		notes = append(notes, fmt.Sprintf("bridge %s: %s", in.Bridge.Name, text))
	}
	return notes
}

// FindingNotes says what was found about a bridge, a line each.
func FindingNotes(in *inspect.Inspection) (notes []string) {
	for i := range in.Findings {
		note := fmt.Sprintf("bridge %s: %s", in.Bridge.Name, in.Findings[i].Words())
		if last := in.Bridge.ExternalIDs[model.KeyUnguarded]; last != "" && in.Findings[i].Kind == exposure.FailMode {
			note += "; last time that took " + last
		}
		notes = append(notes, note)
	}
	return notes
}

// Limits of cells in the status table.
const (
	MaxVM      = 13
	maxReasons = 3
)

// PrintStatuses writes one line a VIF, with the drops per second where they are known.
// The VM has a column only where somebody wrote one. Errors that don't fit follow.
func PrintStatuses(out *term.Writer, list []Status, rates map[string]string) {
	if len(list) == 0 {
		return
	}
	named := slices.ContainsFunc(list, func(s Status) bool { return s.VM != "" })
	t := term.Table{
		Head:  []string{"BRIDGE", "PORT", "STATE", "CHECKS", "ADDRESSES", "DROPS", "ERROR"},
		Least: map[string]int{"BRIDGE": 6, "PORT": 8, "VM": 8, "ADDRESSES": 15, "DROPS": 14, "ERROR": 12},
		Style: stateStyle,
	}
	const vmColumn, rateColumn = 2, 5
	columns := func(vm, rate string, cells []string) []string {
		if rates != nil {
			cells = slices.Insert(cells, rateColumn, rate)
		}
		if named {
			cells = slices.Insert(cells, vmColumn, vm)
		}
		return cells
	}
	t.Head = columns("VM", "DROPS/S", t.Head)
	for _, s := range list {
		vm := s.VM
		if out.Terminal {
			vm = term.Cut(vm, MaxVM)
		}
		t.Add(columns(vm, rates[s.Port], []string{
			s.Bridge, s.Port, s.State, s.Checks, strings.Join(s.Addresses, " "), ReasonsText(s.Drops, maxReasons), s.Error,
		})...)
	}
	t.Write(out)
	for _, e := range errorsOf(list) {
		if utf8.RuneCountInString(e.text) > t.Width("ERROR") {
			out.Paragraph(term.Red, someOf(e.ports)+": "+e.text, "  ")
		}
	}
}

// sharedError is an error and the ports that have it.
type sharedError struct {
	text  string
	ports []string
}

// errorsOf returns the errors of VIFs, each once.
func errorsOf(list []Status) (all []*sharedError) {
	known := make(map[string]*sharedError)
	for _, s := range list {
		e := known[s.Error]
		if e == nil {
			e = &sharedError{text: s.Error}
			known[s.Error], all = e, append(all, e)
		}
		e.ports = append(e.ports, s.Port)
	}
	return all
}

// stateStyle sets off the state and the error.
func stateStyle(heading, cell string) term.Style {
	switch {
	case heading == "ERROR" && cell != "-":
		return term.Red
	case heading != "STATE":
		return term.Plain
	}
	switch model.State(cell) {
	case model.StateEnforced:
		return term.Green
	case model.StateBlocked, model.StateQuarantined, model.StateExposed:
		return term.Red
	case model.StateOff:
		return term.Plain
	case model.StateObserved, model.StatePending:
	}
	return term.Yellow
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// addresses lists what a VIF may use, that of its own MAC first, without the
// link-local addresses that every VIF has.
func addresses(p *model.Policy) []string {
	var own, others []string
	for _, b := range p.Bindings {
		if b.Origin == model.OriginLinkLocal {
			continue
		}
		if b.MAC == p.MAC {
			own = append(own, model.FormatPrefix(b.Prefix))
		} else {
			others = append(others, b.String())
		}
	}
	return append(own, others...)
}
