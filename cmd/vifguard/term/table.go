package term

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Table is text in columns. On a terminal it is made to fit the width by cutting cells of
// the columns that may be cut; elsewhere, where somebody may search for them, they are whole.
type Table struct {
	Head []string // headings; none for a table that has no line of them
	// Least is the width down to which a column may be cut, by its heading.
	Least map[string]int
	// Style returns the style of a cell; nil for tables without.
	Style func(heading, cell string) Style

	rows   [][]string
	widths []int // set by Write
}

const columnGap = 2

// Add adds a line of cells; an empty one is shown as a dash.
func (t *Table) Add(cells ...string) {
	for i, c := range cells {
		if c == "" {
			c = "-"
		}
		cells[i] = Printable(c)
	}
	t.rows = append(t.rows, cells)
}

// Section adds a line that isn't in columns.
func (t *Table) Section(text string) { t.rows = append(t.rows, []string{Printable(text)}) }

// Write prints the table.
func (t *Table) Write(w *Writer) {
	columns := math.MaxInt
	if w.Terminal {
		columns = w.Columns
	}
	t.widths = t.fit(columns)
	var b strings.Builder
	if len(t.Head) > 0 {
		t.line(&b, t.Head, func(_ int, cell string) string { return cell })
	}
	for _, row := range t.rows {
		t.line(&b, row, func(i int, cell string) string {
			if t.Style == nil {
				return cell
			}
			return w.styled(t.Style(t.Head[i], cell), cell)
		})
	}
	_ = w.write(b.String())
}

// line writes a row, with cells set off by style.
func (t *Table) line(b *strings.Builder, row []string, style func(i int, cell string) string) {
	if t.isSection(row) {
		b.WriteString(row[0] + "\n")
		return
	}
	for i, cell := range row {
		cell = Cut(cell, t.widths[i])
		pad := t.widths[i] - utf8.RuneCountInString(cell) + columnGap
		b.WriteString(style(i, cell))
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", pad))
		}
	}
	b.WriteByte('\n')
}

// isSection reports whether a row isn't in columns.
func (t *Table) isSection(row []string) bool { return len(row) == 1 && len(t.widths) > 1 }

// Width returns how wide a column was written, 0 for one that there isn't.
func (t *Table) Width(heading string) int {
	if i := slices.Index(t.Head, heading); i >= 0 {
		return t.widths[i]
	}
	return 0
}

// fit returns the width of each column: that of its longest cell, and less of the
// widest that may be cut while the table doesn't fit.
func (t *Table) fit(columns int) []int {
	widths := t.longest()
	total := (len(widths) - 1) * columnGap
	for _, n := range widths {
		total += n
	}
	for ; total > columns; total-- {
		widest := -1
		for i, h := range t.Head {
			least, ok := t.Least[h]
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

// longest returns the width of the longest cell of each column.
func (t *Table) longest() []int {
	n := len(t.Head)
	for _, r := range t.rows {
		n = max(n, len(r))
	}
	widths := make([]int, n)
	for _, r := range append([][]string{t.Head}, t.rows...) {
		if len(r) == 1 && n > 1 {
			continue
		}
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}
