package report

import (
	"fmt"
	"strings"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/exposure"
)

// Finding is a way around the tables, or something to know about them, in the JSON output of
// several commands. Its schema is stable.
type Finding struct {
	Kind     string   `json:"kind"`
	Severity string   `json:"severity"` // exposed, or notice
	Words    string   `json:"words"`    // as vifguard-error says it
	All      bool     `json:"all"`      // every VIF of the bridge is concerned
	Ports    []string `json:"ports"`    // the VIFs that are concerned, unless all are
	Guest    string   `json:"guest"`    // what a guest can do
	Detail   string   `json:"detail,omitempty"`
	Close    []string `json:"close"` // commands, each of which is needed
	Guard    bool     `json:"guard"` // "vifguard guard BRIDGE" closes it, too
}

// NewFindings says what was found, in the order of importance. It is never nil.
func NewFindings(list []exposure.Finding) []Finding {
	all := []Finding{}
	for i := range list {
		f := &list[i]
		all = append(all, Finding{
			Kind: string(f.Kind), Severity: f.Severity.String(), Words: f.Words(), All: f.All, Ports: orEmpty(f.Ports),
			Guest: f.Guest, Detail: f.Detail, Close: orEmpty(f.Close), Guard: f.Guard,
		})
	}
	return all
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// IsExposed reports whether frames pass around the tables.
func (f *Finding) IsExposed() bool { return f.Severity == exposure.Exposed.String() }

// Print writes the finding's words, and below them whom it concerns, and what was found and
// the commands that are needed to close it as far as the words don't say it. bridge is "" where guard is no way to close it.
func (f *Finding) Print(out *term.Writer, bridge string) {
	style := term.Plain
	if f.IsExposed() {
		style = term.Red
	}
	out.Printf("  ")
	out.Styled(style, term.Printable(f.Words))
	out.Printf("\n")
	switch {
	case f.All && f.IsExposed():
		out.Printf("    concerns every VIF of the bridge\n")
	case len(f.Ports) > 0:
		out.Printf("    concerns %s\n", someOf(f.Ports))
	}
	if f.Detail != "" && !strings.Contains(f.Words, f.Detail) {
		out.Printf("    found: %s\n", f.Detail)
	}
	for _, command := range f.Close {
		if len(f.Close) > 1 || !strings.Contains(f.Words, command) {
			out.Printf("    close it: %s\n", command)
		}
	}
	if f.Guard && bridge != "" && len(f.Close) > 0 && !strings.HasPrefix(f.Close[0], "vifguard guard") {
		out.Printf("    or: vifguard guard %s%s\n", map[bool]string{true: "--secure "}[f.Kind == string(exposure.FailOpen)], bridge)
	}
}

// maxNames is how many names are printed of a list of ports.
const maxNames = 8

// someOf lists names, and how many more there are.
func someOf(names []string) string {
	if n := len(names) - maxNames; n > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), n)
	}
	return strings.Join(names, ", ")
}
