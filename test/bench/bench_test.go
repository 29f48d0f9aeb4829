package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// The control plane's rows come about, at sizes whose figures mean nothing.
func TestQuick(t *testing.T) {
	lab.Need(t, lab.Root, lab.OVS)
	program := filepath.Join(t.TempDir(), "vifguard")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/vifguard").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	r := &report{out: t.Output()}
	if err := run(t.Context(), r, options{program: program, only: "control,plug", quick: true, ovn: 1}); err != nil {
		t.Fatal(err)
	}
	table := r.table("about")
	for _, want := range []string{"cold start, N = 40", "restart with nothing to change", "plugged one by one"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no row %q:\n%s", want, table)
		}
	}
	for _, x := range r.rows {
		if x.reach == "0" && !x.ok {
			t.Errorf("%s: %s", x.measure, x.own)
		}
	}
}

func TestChosen(t *testing.T) {
	if list, err := chosen("plug,ovn"); err != nil || len(list) != 2 || list[0].name != "plug" {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := chosen("plug,oven"); err == nil || !strings.Contains(err.Error(), `"oven"`) {
		t.Errorf("error %v", err)
	}
	for _, sizes := range []string{"", "10", "10,x", "20,10", "0,10"} {
		if _, err := newBench(&report{}, options{sizes: sizes, ovn: 1}); err == nil {
			t.Errorf("-sizes %q is accepted", sizes)
		}
	}
}

func TestWriteInto(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(doc, []byte("head\n"+markBegin+"old\n"+markEnd+"tail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := writeInto(doc, "new\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(doc)
	if want := "head\n" + markBegin + "\nnew\n\n" + markEnd + "tail\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(doc, bytes.Replace(got, []byte(markEnd), nil, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeInto(doc, "new\n"); err == nil {
		t.Error("a document without an end marker is written")
	}
}

func TestStatistics(t *testing.T) {
	list := []time.Duration{4, 1, 3, 2}
	if got := percentile(list, 50); got != 3 {
		t.Errorf("median %d", got)
	}
	if got := percentile(list, 99); got != 4 {
		t.Errorf("99th percentile %d", got)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median %g", got)
	}
	if got := median(ratios([]float64{2, 9, 6}, []float64{1, 3, 6})); got != 2 {
		t.Errorf("median of the ratios %g", got)
	}
}
