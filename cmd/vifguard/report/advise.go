package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/advice"
	"github.com/vifguard/vifguard/model"
)

// Advice is the JSON output of advise. Its schema is stable.
type Advice struct {
	Since   time.Time   `json:"since"`
	Decided bool        `json:"decided"`
	Next    []string    `json:"next"`
	VIFs    []AdviceVIF `json:"vifs"`
}

// AdviceVIF is what is advised on one VIF.
type AdviceVIF struct {
	Bridge   string            `json:"bridge"`
	Port     string            `json:"port"`
	VM       string            `json:"vm,omitempty"`
	Action   string            `json:"action"`
	Decided  bool              `json:"decided"`
	Drops    map[string]uint64 `json:"drops"`
	Findings []advice.Finding  `json:"findings"`
	Together string            `json:"together,omitempty"`
}

// Rank orders VIFs: by their most important finding, then those without any.
func (v *AdviceVIF) Rank() int {
	if len(v.Findings) == 0 {
		return len(advice.Verdicts())
	}
	rank := slices.Index(advice.Verdicts(), v.Findings[0].Verdict)
	if !v.Decided { // what isn't known stands last of what is to be decided
		rank = min(rank, slices.Index(advice.Verdicts(), advice.Unknown))
	}
	return rank
}

// Left says how many VIFs there are to decide on.
func (r *Advice) Left() string {
	n := 0
	for i := range r.VIFs {
		if !r.VIFs[i].Decided {
			n++
		}
	}
	if n == 1 {
		return "1 VIF is"
	}
	return fmt.Sprintf("%d VIFs are", n)
}

// Print writes a block for each VIF with findings, and the sum.
func (r *Advice) Print(out *term.Writer) {
	clean, quiet := 0, 0
	for i := range r.VIFs {
		v := &r.VIFs[i]
		switch {
		case len(v.Findings) == 0:
			clean++
			continue
		case v.Decided:
			quiet++
		}
		v.print(out)
	}
	out.Printf("VIFs: %d clean, %d with nothing to decide, %d to decide; claims since %s.\n",
		clean, quiet, len(r.VIFs)-clean-quiet, r.Since.UTC().Format(time.RFC3339))
	for _, command := range r.Next {
		note := ""
		if strings.HasSuffix(command, " 1h") {
			note = "  (an hour from now, if nothing new comes)"
		} else if strings.HasSuffix(command, " --force") {
			note = "  (--force: what is counted is harmless)"
		}
		out.Printf("Next: %s%s\n", command, note)
	}
	if r.Decided && len(r.Next) == 0 && len(r.VIFs) > 0 {
		out.Printf("Nothing is left to decide, and everything is enforced.\n")
	}
}

const adviceIndent = "    "

func (v *AdviceVIF) print(out *term.Writer) {
	head := v.Port + " on " + v.Bridge
	if v.VM != "" {
		head += ", VM " + v.VM
	}
	if text := ReasonsText(v.Drops, len(v.Drops)); text != "" {
		what := "dropped"
		if v.Action == model.Observe.String() {
			what = "would have been dropped"
		}
		head += ": " + what + ": " + text
	}
	out.Paragraph(term.Plain, head, "  ")
	for _, f := range v.Findings {
		line := "  " + string(f.Verdict) + ": " + f.What
		if f.Samples > 0 {
			line += fmt.Sprintf(" (%s, samples: %d)", f.Reason, f.Samples)
		} else {
			line += fmt.Sprintf(" (%s)", f.Reason)
		}
		out.Styled(verdictStyle(f.Verdict), "  "+term.Wrap(term.Printable(line), out.Columns-2, adviceIndent))
		out.Printf("\n")
		out.Styled(term.Plain, adviceIndent+term.Wrap(term.Printable(f.Why), out.Columns-len(adviceIndent), adviceIndent)+"\n")
		if f.Command != "" {
			out.Styled(term.Plain, commandText(f.Command, out.Columns)+"\n")
		}
	}
	if v.Together != "" {
		out.Printf("  Commands that write the same key replace each other. For all that they allow (leave out what the\n  VIF shouldn't have):\n")
		out.Styled(term.Plain, commandText(v.Together, out.Columns)+"\n")
	}
	out.Printf("\n")
}

// commandText indents a command and breaks it, if it has to be, as a shell allows.
func commandText(command string, columns int) string {
	parts := strings.Split(term.Printable(command), " --")
	line, text := adviceIndent+parts[0], ""
	for _, p := range parts[1:] {
		if len(line)+len(" --")+len(p)+len(` \`) > columns {
			text += line + " \\\n"
			line = adviceIndent + "  --" + p
		} else {
			line += " --" + p
		}
	}
	return text + line
}

func verdictStyle(v advice.Verdict) term.Style {
	switch v {
	case advice.Suspicious:
		return term.Red
	case advice.Decide, advice.Allow, advice.Unknown:
		return term.Yellow
	case advice.Harmless, advice.Settled:
	}
	return term.Plain
}
