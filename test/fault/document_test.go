package fault

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/test/docpart"
	"github.com/vifguard/vifguard/test/lab"
)

var update = flag.Bool("update", false, "rewrite the table in docs/reliability.md with the figures of this run")

// document is the table.
var document = docpart.Part{Path: "../../docs/reliability.md", Command: "go test ./test/fault -update"}

// faults are all cases, in the order of the document.
var faults = slices.Concat(agentFaults, switchFaults, portFaults, ovsdbFaults)

// writeDocument puts the figures of a complete run into the document.
func writeDocument(t *testing.T, results []*result) {
	t.Helper()
	var b strings.Builder
	b.WriteString("| fault | what is promised | legitimate packets lost | spoofed packets delivered | recovery |\n|---|---|---|---|---|\n")
	for n, r := range results {
		if r == nil {
			t.Fatalf("no figures of %q: run all cases", faults[n].name)
		}
		legitimate, spoofed := r.tally.Sent()
		recovery := "-"
		if !r.steady {
			recovery = r.recovery().Round(time.Millisecond).String()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.name, r.promise,
			share(r.tally.Lost(), legitimate), share(r.tally.Leaked(), spoofed), recovery)
	}
	if err := document.Write(b.String()); err != nil {
		t.Fatal(err)
	}
}

// share says how many frames, and over which time they were sent.
func share(w lab.Window, of int) string {
	switch {
	case of == 0:
		return "none sent"
	case w.Frames == 0:
		return fmt.Sprintf("0 of %d", of)
	}
	return fmt.Sprintf("%d of %d, within %s", w.Frames, of, w.Last.Sub(w.First).Round(time.Millisecond))
}

// The document has a row for every case, with the promise that the case checks. The
// figures are those of one run.
func TestDocumentHasEveryCase(t *testing.T) {
	if *update {
		return // TestFaults writes it
	}
	table, err := document.Read()
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for n, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if cells := strings.Split(line, " | "); n > 1 && len(cells) == 5 {
			got = append(got, strings.TrimPrefix(cells[0], "| ")+": "+cells[1])
		}
	}
	for _, f := range faults {
		want = append(want, f.name+": "+f.promise)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-cases +document); to measure anew: %s\n%s", document.Path, document.Command, diff)
	}
}
