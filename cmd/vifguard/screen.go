package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxColumns is the width that tables keep to on every output.
const maxColumns = 100

// screen is what a command prints to.
type screen struct {
	io.Writer
	terminal bool // a person is looking
	colour   bool
	columns  int
	lines    int // of a terminal
}

// newScreen looks at what an output is. Colours need a terminal that isn't dumb and no
// NO_COLOR in the environment (no-color.org).
func newScreen(out io.Writer) *screen {
	s := &screen{Writer: out, columns: maxColumns}
	f, ok := out.(*os.File)
	if !ok {
		return s
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return s // no terminal
	}
	s.terminal = true
	s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if size.Col > 0 {
		s.columns = min(s.columns, int(size.Col))
		s.lines = int(size.Row)
	}
	return s
}

// Colours, as in ECMA-48. They repeat what a word says and never say anything alone.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours a text; an empty colour leaves it as it is.
func (s *screen) paint(colour, text string) string {
	if !s.colour || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// clear empties a terminal and goes to its first line.
func (s *screen) clear() error {
	_, err := io.WriteString(s, "\x1b[H\x1b[2J")
	return err
}
