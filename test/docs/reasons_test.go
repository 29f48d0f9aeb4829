package docs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/model"
)

// The documents list the drop reasons as package model has them.
func TestDocumentsListTheReasons(t *testing.T) {
	var meanings, numbers strings.Builder
	meanings.WriteString("| reason | the packet is | of VIFs with |\n|---|---|---|\n")
	for _, r := range model.Reasons() {
		fmt.Fprintf(&meanings, "| `%s` | %s | %s |\n", r, r.Meaning(), r.Whose())
	}
	checkPart(t, "../../README.md", "reasons", meanings.String())
	numbers.WriteString("| number | reason |\n|---|---|\n")
	for _, r := range slices.Sorted(slices.Values(model.Reasons())) {
		fmt.Fprintf(&numbers, "| %d | `%s` |\n", r, r)
	}
	checkPart(t, pipelineDoc, "numbers of reasons", numbers.String())
}
