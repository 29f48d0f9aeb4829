package rules

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxLines is how long a package may be, without its tests: one that is longer answers
// more than one question.
const maxLines = 3000

// large lists packages that are longer, and how long they may get. None may be added.
var large = map[string]int{"test/lab": 3900, "test/bench": 3200}

func TestPackagesStaySmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}|{{.Dir}}", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 20 {
		t.Fatalf("%d packages", len(packages))
	}
	for _, line := range packages {
		path, dir, _ := strings.Cut(line, "|")
		name, limit := strings.TrimPrefix(path, module), maxLines
		if n, ok := large[name]; ok {
			limit = n
		}
		if n := linesOf(t, dir); n > limit {
			t.Errorf("%s has %d lines, of which %d are allowed", name, n, limit)
		}
	}
}

// linesOf counts the lines of a package's files, tests aside.
func linesOf(t *testing.T, dir string) (lines int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(text, []byte{'\n'})
	}
	return lines
}
