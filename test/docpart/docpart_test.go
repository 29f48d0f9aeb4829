package docpart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPart(t *testing.T) {
	p := Part{Path: filepath.Join(t.TempDir(), "doc.md"), Command: "make doc", Name: "b"}
	other := p
	other.Name = "a"
	document := "head\n" + other.begin() + "left\n" + end + "between\n" + p.begin() + "old\n" + end + "tail\n"
	write(t, p.Path, document)
	for range 2 {
		if err := p.Write("new\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(p.Path)
	if want := strings.Replace(document, "old", "new", 1); err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if text, err := p.Read(); text != "new\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := other.Read(); text != "left\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// A document that lacks a line is left as it is.
func TestMissingLines(t *testing.T) {
	p := Part{Path: filepath.Join(t.TempDir(), "doc.md"), Command: "make doc"}
	if err := p.Write("new\n"); err == nil {
		t.Error("a document that isn't there is written")
	}
	for _, document := range []string{"", p.begin() + "old\n", "old\n" + end, end + p.begin()} {
		write(t, p.Path, document)
		if err := p.Write("new\n"); err == nil {
			t.Errorf("%q is written", document)
		}
		if _, err := p.Read(); err == nil {
			t.Errorf("%q is read", document)
		}
		if got, err := os.ReadFile(p.Path); err != nil || string(got) != document {
			t.Errorf("%q became %q, %v", document, got, err)
		}
	}
}

func TestCheck(t *testing.T) {
	p := Part{Path: filepath.Join(t.TempDir(), "doc.md"), Command: "make doc"}
	write(t, p.Path, p.begin()+"old\n"+end)
	p.Check(t, "old\n", false)
	tb := &recorder{TB: t}
	p.Check(tb, "new\n", false)
	if !tb.failed {
		t.Error("a part that is out of date passes")
	}
	p.Check(t, "new\n", true)
	p.Check(t, "new\n", false)
}

// recorder is a test that remembers whether it failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
