package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/inspect"
)

// ShownDifferences is how many differences of a bridge are printed when not all are wanted.
const ShownDifferences = 40

// Verification is one bridge in the JSON output of verify. Its schema is stable.
type Verification struct {
	Bridge      string       `json:"bridge"`
	Guarded     bool         `json:"guarded"`
	Agrees      bool         `json:"agrees"`
	Flows       int          `json:"flows"`           // that OVSDB asks for
	Error       string       `json:"error,omitempty"` // why the switch couldn't be read
	Differences []Difference `json:"differences"`
	Notices     []Finding    `json:"notices"` // worth knowing, and no differences
}

// Difference is one thing in which a switch, or what is reported of it, differs.
type Difference struct {
	Kind   string `json:"kind"` // missing, changed, unexpected, foreign, exposed, fragments, status or unusable
	Port   string `json:"port,omitempty"`
	VM     string `json:"vm,omitempty"`
	Reason string `json:"reason,omitempty"` // the drop reason that the flow counts
	Why    string `json:"why"`
	Want   string `json:"want,omitempty"` // what OVSDB asks for
	Have   string `json:"have,omitempty"` // what there is

	Finding *Finding `json:"finding,omitempty"` // of kind exposed
}

// NewDifference says what a difference is.
func NewDifference(d *inspect.Difference) Difference {
	r := Difference{Kind: string(d.Kind), Reason: d.Reason.String(), Why: d.Why, Want: d.Want, Have: d.Have}
	if d.Port != nil {
		r.Port, r.VM = d.Port.Name, d.Port.VMID()
	}
	if d.Finding != nil {
		r.Finding = &NewFindings([]exposure.Finding{*d.Finding})[0]
	}
	return r
}

// Print writes one line for a bridge that agrees, and the differences of one that
// doesn't.
func (r *Verification) Print(out *term.Writer, all bool) {
	switch {
	case r.Error != "":
		out.Printf("%s: can't be read\n", r.Bridge)
		return
	case !r.Guarded && len(r.Differences) == 0 && r.Agrees:
		out.Printf("%s: not guarded, and nothing of vifguard's on it\n", r.Bridge)
		return
	case !r.Guarded && len(r.Differences) == 0:
		out.Printf("%s: not guarded\n", r.Bridge)
		return
	case len(r.Differences) == 0:
		out.Printf("%s: ", r.Bridge)
		out.Styled(term.Green, "agrees")
		out.Printf(", %d flows as OVSDB asks for, and nothing decides beside them\n", r.Flows)
		r.printNotices(out)
		return
	}
	out.Printf("%s: ", r.Bridge)
	out.Styled(term.Red, "differs")
	out.Printf(": %s\n", r.summary())
	list := r.Differences
	if !all {
		list = r.digest(out)
	}
	for _, d := range list {
		d.print(out, r.Bridge)
	}
	if n := len(r.Differences) - len(list); n > 0 {
		out.Printf("  and %d more (--all shows them)\n", n)
	}
	r.printNotices(out)
}

func (r *Verification) printNotices(out *term.Writer) {
	for i := range r.Notices {
		r.Notices[i].Print(out, r.Bridge)
	}
}

// digest returns the differences to print where not all are wanted.
func (r *Verification) digest(out *term.Writer) []Difference {
	isMissing := func(d Difference) bool { return d.Kind == string(inspect.Missing) }
	rest := slices.DeleteFunc(slices.Clone(r.Differences), isMissing)
	if missing := len(r.Differences) - len(rest); r.Flows == 0 || missing < r.Flows {
		return r.Differences[:min(len(r.Differences), ShownDifferences)]
	}
	out.Printf("  none of the %d flows is there: is the agent (vifguard run) running?\n", r.Flows)
	return rest[:min(len(rest), ShownDifferences)]
}

// summary counts the differences by kind, in the order in which the kinds first come.
func (r *Verification) summary() string {
	var kinds []string
	count := make(map[string]int)
	for _, d := range r.Differences {
		if count[d.Kind] == 0 {
			kinds = append(kinds, d.Kind)
		}
		count[d.Kind]++
	}
	for i, k := range kinds {
		kinds[i] = fmt.Sprintf("%d %s", count[k], k)
	}
	return strings.Join(kinds, ", ")
}

func (d *Difference) print(out *term.Writer, bridge string) {
	if d.Finding != nil {
		d.Finding.Print(out, bridge)
		return
	}
	out.Printf("  %s: %s\n", d.Kind, d.headline())
	if d.Want != "" {
		out.Printf("    - %s\n", d.Want)
	}
	if d.Have != "" {
		out.Printf("    + %s\n", d.Have)
	}
}

// headline says whose a difference is, and what it is about.
func (d *Difference) headline() string {
	var who []string
	if d.Port != "" {
		who = append(who, d.Port)
	}
	if d.VM != "" {
		who = append(who, "VM "+d.VM)
	}
	if d.Reason != "" {
		who = append(who, "reason "+d.Reason)
	}
	if len(who) == 0 {
		return d.Why
	}
	return strings.Join(who, ", ") + ": " + d.Why
}
