package exposure

import (
	"os"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/controller/exposure"
)

// TestDocument: each kind of finding has its row.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/exposure.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := ""
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			kinds, _, _ := strings.Cut(line[2:], " |")
			rows += kinds + "\n"
		}
	}
	for _, kind := range exposure.Kinds() {
		if !strings.Contains(rows, "`"+string(kind)+"`") {
			t.Errorf("docs/exposure.md has no row of kind %s", kind)
		}
	}
}
