package term

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// hostile clears a screen, in two notations, and begins a line.
const hostile = "a\x1b[2J\u009b2J\x7f\u202e\r\nFORGED\xff"

func TestNothingHostileIsWritten(t *testing.T) {
	const text, line = "a?[2J?2J???\nFORGED?", "a?[2J?2J????FORGED?"
	for name, tc := range map[string]struct {
		write func(w *Writer)
		want  string
	}{
		"Write":     {func(w *Writer) { _, _ = w.Write([]byte("\t" + hostile)) }, "\t" + text},
		"Printf":    {func(w *Writer) { w.Printf("%s|%v|%q\n", hostile, errors.New("x\x1b"), hostile) }, line + "|x?|\"" + line + "\"\n"},
		"errors":    {func(w *Writer) { w.Printf("%v", errors.Join(errors.New("a"), errors.New("b"))) }, "a; b"},
		"Styled":    {func(w *Writer) { w.Styled(Red, hostile) }, "\x1b[31m" + text + "\x1b[0m"},
		"Paragraph": {func(w *Writer) { w.Paragraph(Plain, hostile, "") }, line + "\n"},
		"Table": {func(w *Writer) {
			t := Table{Head: []string{"A", "B"}, Style: func(heading, _ string) Style { return map[string]Style{"B": Green}[heading] }}
			t.Add(hostile, hostile)
			t.Section(hostile)
			t.Write(w)
		}, "A                    B\n" + line + "  \x1b[32m" + line + "\x1b[0m\n" + line + "\n"},
	} {
		var b bytes.Buffer
		w := NewWriter(&b)
		w.Colours = true
		tc.write(w)
		if b.String() != tc.want || w.Err() != nil {
			t.Errorf("%s: %q, %v; want %q", name, b.String(), w.Err(), tc.want)
		}
	}
}

// JSON says all that there is, and shows nothing hostile.
func TestJSONEscapesWhatATerminalObeys(t *testing.T) {
	const value = "a\x1b[2J\u009b2J\x7f\u202e\r\nFORGED \U000e0001 <b> & \u00e9"
	var b bytes.Buffer
	if err := NewWriter(&b).JSONLine(map[string]string{"k": value}); err != nil {
		t.Fatal(err)
	}
	const want = `{"k":"a\u001b[2J\u009b2J\u007f\u202e\r\nFORGED \udb40\udc01 <b> & \u00e9"}` + "\n"
	if got := b.String(); got != strings.ReplaceAll(want, `\u00e9`, "\u00e9") {
		t.Errorf("got %q, want %q", got, want)
	}
	var back map[string]string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back["k"] != value {
		t.Errorf("read back: %q, %v", back["k"], err)
	}
}

// Cells are cut only where that is allowed, and a table without a heading has columns too.
func TestTable(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	w.Columns, w.Terminal = 12, true
	cut := Table{Head: []string{"NAME", "WHAT"}, Least: map[string]int{"WHAT": 4}}
	cut.Add("abcdef", "0123456789")
	cut.Write(w)
	w.Terminal = false
	cut.Write(w)
	var bare Table
	bare.Add("a", "", "x")
	bare.Add("abc", "d", "y")
	bare.Write(w)
	if want := "NAME    WHAT\nabcdef  012…\nNAME    WHAT\nabcdef  0123456789\na    -  x\nabc  d  y\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("closed") }

func TestErrorsOfWritingStay(t *testing.T) {
	w := NewWriter(broken{})
	w.Printf("a")
	if w.Err() == nil {
		t.Error("no error")
	}
}
