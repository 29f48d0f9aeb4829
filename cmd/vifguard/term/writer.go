package term

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxColumns is the width that text keeps to on every output.
const MaxColumns = 100

// Writer is what a command prints text to. Names, values and errors come out of OVSDB and
// from guests, so whatever is written is made [Printable], but for line feeds and tabs; in
// what [Writer.Printf] is given as values these are replaced too. Escape sequences come
// from styles alone.
type Writer struct {
	Terminal bool // a person reads it
	Colours  bool // styles are shown
	Columns  int  // at most MaxColumns
	Lines    int  // of a terminal; 0 when that isn't known

	out io.Writer
	err error // the first one
}

// NewWriter finds out what an output is. Colours need a terminal that isn't dumb and no
// NO_COLOR in the environment (no-color.org). The output may be a Writer, whose terminal
// may have another size by now.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: Unwrap(out), Columns: MaxColumns}
	f, ok := w.out.(*os.File)
	if !ok {
		return w
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return w // no terminal
	}
	w.Terminal = true
	w.Colours = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if size.Col > 0 {
		w.Columns = min(w.Columns, int(size.Col))
		w.Lines = int(size.Row)
	}
	return w
}

// Unwrap returns what a Writer writes to, and any other output as it is.
func Unwrap(out io.Writer) io.Writer {
	if w, ok := out.(*Writer); ok {
		return w.out
	}
	return out
}

// IsTerminal reports whether an output, or what a Writer writes to, is a terminal.
func IsTerminal(out io.Writer) bool {
	f, ok := Unwrap(out).(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Write writes text. Each call must hold whole characters.
func (w *Writer) Write(text []byte) (int, error) {
	if err := w.write(printableLines(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// write writes what is known to be harmless.
func (w *Writer) write(text string) error {
	_, err := io.WriteString(w.out, text)
	if w.err == nil {
		w.err = err
	}
	return err
}

// Err returns the first error of writing: nobody reads any more, for example.
func (w *Writer) Err() error { return w.err }

// Printf formats text. Values that are strings, errors or have a String method are made
// [Printable] before, so that none of them can begin a line. Errors are those of [Writer.Err].
func (w *Writer) Printf(format string, values ...any) {
	_ = w.write(printableLines(fmt.Sprintf(format, Clean(values)...))) // Err has it
}

// Clean returns values of a format, made [Printable] where they are text.
func Clean(values []any) []any {
	clean := make([]any, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case string:
			clean[i] = Printable(v)
		case error:
			clean[i] = Printable(strings.ReplaceAll(v.Error(), "\n", "; ")) // as those of errors.Join
		case fmt.Stringer:
			clean[i] = Printable(v.String())
		default:
			clean[i] = v
		}
	}
	return clean
}

// Paragraph writes a text of one line in as many as it needs, in a style; those after the
// first are indented.
func (w *Writer) Paragraph(style Style, text, indent string) {
	w.Styled(style, Wrap(Printable(text), w.Columns, indent))
	_ = w.write("\n")
}

// Styled writes text in a style.
func (w *Writer) Styled(style Style, text string) {
	_ = w.write(w.styled(style, printableLines(text)))
}

// styled sets text that is printable off by a style.
func (w *Writer) styled(style Style, text string) string {
	if !w.Colours || style == Plain {
		return text
	}
	return style.on(text)
}

// Clear empties a terminal and goes to its first line.
func (w *Writer) Clear() { _ = w.write("\x1b[H\x1b[2J") }

// Style sets text off, as in ECMA-48 (SGR). It repeats what a word says and never says
// anything alone.
type Style string

// The styles.
const (
	Plain   Style = ""
	Red     Style = "31"
	Green   Style = "32"
	Yellow  Style = "33"
	Inverse Style = "7"
)

func (s Style) on(text string) string { return "\x1b[" + string(s) + "m" + text + "\x1b[0m" }
