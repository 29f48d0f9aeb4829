package report

import (
	"encoding/hex"
	"fmt"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model/frame"
)

// Trace is one frame in the JSON output of trace. Its schema is stable.
type Trace struct {
	Frame    string      `json:"frame"`   // hexadecimal
	Summary  string      `json:"summary"` // what it claims
	Problems []string    `json:"problems"`
	Verdict  string      `json:"verdict"` // pass, drop, observe or around
	Reason   string      `json:"reason,omitempty"`
	Why      string      `json:"why"` // the rule that decided, in words
	Output   string      `json:"output,omitempty"`
	Steps    []TraceStep `json:"steps"`
}

// TraceStep is one flow that the frame met.
type TraceStep struct {
	Table    uint8  `json:"table"`
	Stage    string `json:"stage"`
	Priority uint32 `json:"priority"`
	Match    string `json:"match"`
	Owner    string `json:"owner"` // vifguard, other, or hidden: Open vSwitch's own
	Why      string `json:"why"`
}

func ownerOf(s *inspect.TraceStep) string {
	switch {
	case s.Own:
		return "vifguard"
	case s.IsHidden():
		return "hidden"
	}
	return "other"
}

// NewTrace says what the switch would do with a frame.
func NewTrace(b []byte, t *inspect.Trace) Trace {
	claims := frame.Parse(b)
	r := Trace{Frame: hex.EncodeToString(b), Summary: claims.String(), Problems: claims.Problems, Verdict: "drop", Steps: []TraceStep{}}
	if r.Problems == nil {
		r.Problems = []string{}
	}
	r.Reason, r.Output = t.Reason.String(), t.Output
	switch {
	case t.Observed:
		r.Verdict = "observe"
	case t.Passes:
		r.Verdict = "pass"
	}
	for i := range t.Steps {
		step := &t.Steps[i]
		r.Steps = append(r.Steps, TraceStep{
			Table: step.Table, Stage: step.Stage.String(), Priority: step.Priority, Match: string(step.Match), Owner: ownerOf(step), Why: step.Why,
		})
		if step.Stage < flows.StageDrop {
			r.Why = step.Why // the last stage that judges decides
		}
	}
	switch {
	case t.Around != "":
		r.Verdict, r.Why = "around", t.Around
	case t.Ignored != "":
		r.Why = t.Ignored
	}
	return r
}

// Print writes the frame, its way through the tables, and the verdict.
func (r *Trace) Print(out *term.Writer) {
	out.Printf("%s\n", r.Summary)
	for _, p := range r.Problems {
		out.Printf("malformed: %s\n", p)
	}
	var t term.Table
	for _, s := range r.Steps {
		t.Add(fmt.Sprintf("  table %d", s.Table), s.Stage, s.Why)
	}
	t.Write(out)
	switch r.Verdict {
	case "pass":
		out.Printf("passes: %s\n", r.Why)
	case "observe":
		out.Printf("would be dropped, reason %s: %s; it passes because the VIF is only observed\n", r.Reason, r.Why)
	case "around":
		out.Styled(term.Red, "passes around the checks")
		out.Printf(": %s\n", r.Why)
	default:
		out.Printf("dropped, reason %s: %s\n", orDash(r.Reason), r.Why)
	}
	if r.Verdict != "drop" {
		out.Printf("the bridge then does: %s\n", orDash(r.Output))
	}
}
