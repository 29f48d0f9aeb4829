package main

import (
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table is text in columns. It is made to fit a width by cutting cells of the columns
// that may be cut; nothing that a script needs is only in a table.
type table struct {
	head []string
	rows [][]string
	// least is the width down to which a column may be cut, by its heading.
	least map[string]int
	// paint returns the colour of a cell, "" for none.
	paint func(heading, cell string) string

	widths []int // set by write
}

const columnGap = 2

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(orDash(c))
	}
	t.rows = append(t.rows, cells)
}

// section adds a line that isn't in columns.
func (t *table) section(text string) { t.rows = append(t.rows, []string{printable(text)}) }

// write prints the table on the screen.
func (t *table) write(out *screen) error {
	t.widths = t.fit(out.columns)
	var b strings.Builder
	for n, row := range append([][]string{t.head}, t.rows...) {
		if len(row) == 1 && len(t.head) > 1 {
			b.WriteString(row[0] + "\n")
			continue
		}
		for i, cell := range row {
			cell = shorten(cell, t.widths[i])
			pad := t.widths[i] - utf8.RuneCountInString(cell) + columnGap
			if n > 0 && t.paint != nil {
				cell = out.paint(t.paint(t.head[i], cell), cell)
			}
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", pad))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// width returns how wide a column was written, 0 for one that there isn't.
func (t *table) width(heading string) int {
	if i := slices.Index(t.head, heading); i >= 0 {
		return t.widths[i]
	}
	return 0
}

// fit returns the width of each column: that of its longest cell, and less of the
// widest that may be cut while the table doesn't fit.
func (t *table) fit(columns int) []int {
	widths := make([]int, len(t.head))
	total := (len(t.head) - 1) * columnGap
	for i, h := range t.head {
		widths[i] = utf8.RuneCountInString(h)
		for _, r := range t.rows {
			if len(r) == 1 && len(t.head) > 1 {
				continue
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
		total += widths[i]
	}
	for ; total > columns; total-- {
		widest := -1
		for i, h := range t.head {
			least, ok := t.least[h]
			if ok && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// printable replaces what would move the cursor or change the terminal: names and
// errors hold what others wrote.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// wrap breaks a text at spaces so that its lines fit; lines after the first are indented.
func wrap(text string, columns int, indent string) string {
	var b strings.Builder
	used := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > columns:
			b.WriteString("\n" + indent)
			used = utf8.RuneCountInString(indent)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}
