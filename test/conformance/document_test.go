package conformance

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/test/docpart"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/verdicts.md")

// TestDocument keeps docs/verdicts.md the table that the other tests prove.
func TestDocument(t *testing.T) {
	part := docpart.Part{Path: "../../docs/verdicts.md", Command: "go test ./test/conformance -run Document -update"}
	part.Check(t, document(), *update)
}

// document writes the suite for a reader: a summary, every frame, and the limits.
func document() string {
	var b strings.Builder
	frames := Frames()
	var classes []string
	byClass := map[string][]Frame{}
	for _, f := range frames {
		if byClass[f.Class] == nil {
			classes = append(classes, f.Class)
		}
		byClass[f.Class] = append(byClass[f.Class], f)
	}
	fmt.Fprintf(&b, "%d frames in %d classes, each judged under %d policies.\n\n", len(frames), len(classes), len(Policies()))
	b.WriteString("| class | frames | pass, `mac` | pass, `mac,arp` | pass, `mac,arp,ip` |\n|---|---|---|---|---|\n")
	for _, c := range classes {
		var passing [3]int
		for _, f := range byClass[c] {
			for i, verdict := range []string{f.Verdicts.mac, f.Verdicts.arp, f.Verdicts.ip} {
				if verdict == Pass {
					passing[i]++
				}
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", c, len(byClass[c]), passing[0], passing[1], passing[2])
	}
	for _, c := range classes {
		fmt.Fprintf(&b, "\n### %s\n\n| frame | source | `mac` | `mac,arp` | `mac,arp,ip` | except |\n|---|---|---|---|---|---|\n", c)
		for _, f := range byClass[c] {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", f.Name, f.Source, f.Verdicts.mac, f.Verdicts.arp, f.Verdicts.ip, exceptions(f.Verdicts))
		}
	}
	b.WriteString("\n### What the switch can't see\n\n| frame | contract: `mac`, `mac,arp`, `mac,arp,ip` | switch | why that does no harm |\n|---|---|---|---|\n")
	for _, f := range frames {
		if l := f.Limit; l != nil {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.Name, levels(f.Verdicts), levels(l.Verdicts), l.Why)
		}
	}
	return b.String()
}

func levels(v Verdicts) string { return v.mac + ", " + v.arp + ", " + v.ip }

// exceptions writes the policies that judge otherwise, grouped by verdict.
func exceptions(v Verdicts) string {
	policies := map[string][]string{}
	for p, verdict := range v.exceptions {
		policies[verdict] = append(policies[verdict], p)
	}
	var words []string
	for _, verdict := range slices.Sorted(maps.Keys(policies)) {
		slices.Sort(policies[verdict])
		words = append(words, strings.Join(policies[verdict], ", ")+": "+verdict)
	}
	return strings.Join(words, "; ")
}
