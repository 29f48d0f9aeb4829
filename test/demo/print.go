package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// width is that of the output, in columns.
const width = 100

// printer is the audience that reads: it writes a table, line by line.
type printer struct {
	out     io.Writer
	colours bool
	table   bool // the situation's table has its head
	err     error
}

// newPrinter writes colours to a terminal only, and not even there if NO_COLOR is
// set (no-color.org).
func newPrinter(out *os.File) *printer {
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	terminal := err == nil && os.Getenv("TERM") != "dumb"
	return &printer{out: out, colours: terminal && os.Getenv("NO_COLOR") == ""}
}

// style is the parameter of a terminal's "select graphic rendition".
type style string

const (
	bold      style = "1"
	dim       style = "2"
	underline style = "4"
	red       style = "31"
	green     style = "32"
)

func (p *printer) paint(s style, text string) string {
	if !p.colours {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// printf keeps the first error, which [printer.err] holds.
func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

// situation prints a heading.
func (p *printer) situation(number int, s *situation) {
	p.printf("\n%s\n", p.paint(bold, fmt.Sprintf("%d  %s", number, s.title)))
	p.printf("   %s\n", s.intro)
	p.table = false
}

// command prints what an operator, or somebody in a guest, would type.
func (p *printer) command(prompt, text string) {
	for i, line := range wrap(text, width-len("   $ ")-len(prompt)) {
		if i > 0 {
			prompt = strings.Repeat(" ", len(prompt)+2)
		}
		p.printf("   %s\n", p.paint(dim, prompt+" "+line))
	}
}

// wrap breaks a command, as a shell allows, preferably before a flag.
func wrap(text string, width int) []string {
	const end = ` \`
	var lines []string
	for utf8.RuneCountInString(text) > width {
		at := strings.LastIndex(text[:width-len(end)], " --")
		if at <= 0 {
			at = strings.LastIndex(text[:width-len(end)], " ")
		}
		if at <= 0 {
			break
		}
		lines = append(lines, text[:at]+end)
		text = text[at+1:]
	}
	return append(lines, text)
}

// outcome prints a line of the table.
func (p *printer) outcome(a *attempt, o outcome) {
	if !p.table {
		head := row("from", "sends", "should", "happened")
		if p.colours {
			head = p.paint(underline, pad(head, width-3))
		}
		p.printf("\n   %s\n", head)
		p.table = true
	}
	mark, colour := "✓", green
	if !o.ok {
		mark, colour = "✗", red
	}
	text := row(a.from.name, a.sends, a.want.String(), o.text(a))
	if !o.ok {
		text = p.paint(red, text)
	}
	p.printf(" %s %s\n", p.paint(colour, mark), text)
}

func row(from, sends, should, happened string) string {
	return pad(from, 8) + " " + pad(sends, 54) + " " + pad(should, 6) + " " + happened
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}
