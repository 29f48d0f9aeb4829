package docs

import (
	"flag"
	"testing"

	"github.com/vifguard/vifguard/test/docpart"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the documents")

// checkPart compares the generated part of a document that has this name with what it
// should be, or writes it when asked to.
func checkPart(t *testing.T, path, name, now string) {
	t.Helper()
	docpart.Part{Path: path, Command: "go test ./test/docs -update", Name: name}.Check(t, now, *update)
}
