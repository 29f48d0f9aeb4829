package docs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/model"
)

func TestDocumentsListTheKeys(t *testing.T) {
	checkPart(t, "../../README.md", "keys of an Interface", table("key | value", model.OnInterface, func(k *model.Key) string {
		name := code(k.Name)
		if k.Alt != "" {
			name += " (or " + code(k.Alt) + ")"
		}
		return name + " | " + k.Doc
	}))
	checkPart(t, "../../README.md", "keys of a Bridge", table("key | value", model.OnBridge, func(k *model.Key) string {
		return code(k.Name) + " | " + k.BridgeDoc
	}))
	checkPart(t, "../../README.md", "words of a profile", fmt.Sprintf("On `Open_vSwitch.external_ids`: `%sNAME`, words such as\n`%s`.\n",
		model.ProfilePrefix, model.ExampleWords(model.InProfile)))
	checkPart(t, "../../docs/guides/libvirt.md", "attributes", table("attribute | key | like `vifguard set`", model.InLibvirt, func(k *model.Key) string {
		return code(k.Word) + " | " + code(k.Name) + " | " + code("--"+k.Flag)
	}))
}

// table is a Markdown table with a row for each key that can be given in a place.
func table(head string, at model.Place, row func(*model.Key) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", head, strings.Repeat("---|", strings.Count(head, "|")+1))
	for _, k := range model.Keys(at) {
		fmt.Fprintf(&b, "| %s |\n", row(k))
	}
	return b.String()
}

func code(s string) string { return "`" + s + "`" }
