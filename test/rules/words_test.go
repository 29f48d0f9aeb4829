package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const wordsDoc = "../../docs/words.md"

// TestWords holds the names of the code to docs/words.md: no function, method, type or
// field outside of tests is named with a word that the document says isn't used.
func TestWords(t *testing.T) {
	unused := unusedWords(t)
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}|{{.Dir}}|{{range .GoFiles}}{{.}} {{end}}", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		name := strings.TrimPrefix(fields[0], module)
		if strings.HasPrefix(name, "test/") {
			continue
		}
		for _, file := range strings.Fields(fields[2]) {
			fset := token.NewFileSet()
			tree, err := parser.ParseFile(fset, filepath.Join(fields[1], file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range declared(tree) {
				checked++
				if word := badWord(id.Name, unused); word != "" {
					t.Errorf("%s/%s:%d: %s is named with %q, which docs/words.md doesn't use", name, file, fset.Position(id.Pos()).Line, id.Name, word)
				}
			}
		}
	}
	if checked < 1000 {
		t.Errorf("only %d names", checked)
	}
}

// unusedWords reads the first column of the document's last table.
func unusedWords(t *testing.T) []string {
	t.Helper()
	doc, err := os.ReadFile(wordsDoc)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(doc), "\n## Not used\n")
	if !ok {
		t.Fatalf("%s has no section %q", wordsDoc, "Not used")
	}
	var words []string
	rows := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		if rows++; rows <= 2 {
			continue // the head
		}
		for word := range strings.SplitSeq(cells[1], ",") {
			words = append(words, strings.TrimSpace(word))
		}
	}
	if len(words) < 10 || slices.Contains(words, "") {
		t.Fatalf("%s: the words %q", wordsDoc, words)
	}
	return words
}

// declared lists the names of the functions, methods, types and fields of a file that
// its author has chosen.
func declared(file *ast.File) []*ast.Ident {
	var names []*ast.Ident
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			names = append(names, n.Name)
		case *ast.TypeSpec:
			names = append(names, n.Name)
		case *ast.StructType:
			for _, f := range n.Fields.List {
				if f.Tag == nil { // what has a tag has its name from the contract
					names = append(names, f.Names...)
				}
			}
		case *ast.InterfaceType:
			for _, m := range n.Methods.List {
				names = append(names, m.Names...)
			}
		}
		return true
	})
	return names
}

// badWord returns the first word of a name that is one of these, or a form of one.
func badWord(name string, unused []string) string {
	for _, word := range split(name) {
		for _, u := range unused {
			stem := u
			if !strings.HasSuffix(u, "ee") {
				stem = strings.TrimSuffix(u, "e")
			}
			if word == u || word == u+"s" || word == stem+"ed" || word == stem+"ing" {
				return word
			}
		}
	}
	return ""
}

// split returns the words of a name, in lower case. "OFPortSeen" is of, port, seen: an
// upper-case letter begins a word unless it is inside an initialism.
func split(name string) []string {
	var words []string
	runes := []rune(name)
	begin := 0
	for i, r := range runes {
		ends := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if i > begin && (r == '_' || unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || ends)) {
			words = append(words, strings.ToLower(string(runes[begin:i])))
			begin = i
		}
	}
	return append(words, strings.ToLower(string(runes[begin:])))
}

func TestSplit(t *testing.T) {
	for name, want := range map[string]string{
		"look": "look", "topLook": "top look", "LastSeen": "last seen", "OFPortSeen": "of port seen",
		"seenMAC": "seen mac", "outlook": "outlook", "household": "household", "threshold": "threshold",
	} {
		if got := strings.Join(split(name), " "); got != want {
			t.Errorf("split(%q) = %q, want %q", name, got, want)
		}
	}
	unused := []string{"look", "see", "settle"}
	for name, want := range map[string]string{
		"topLook": "look", "SeesMAC": "sees", "looking": "looking", "settled": "settled", "settling": "settling",
		"outlook": "", "seed": "", "overseen": "",
	} {
		if got := badWord(name, unused); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
