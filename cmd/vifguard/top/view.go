package top

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

const help = `Up, Down, k, j    select a VIF, or scroll (also PageUp, PageDown, Home, End)
Enter             explain the VIF: what it may send, why, and its flows
s                 sort by drops per second, by total, by name
/                 filter by port, bridge, VM, state, reason or claim; Esc ends it
p                 pause, and go on
?                 this help
q, Esc            back, or quit

DROPS/S and TOTAL are of the switch's counters; of VIFs that are only observed they
count what would be dropped. LAST CLAIM is what the agent sampled last.`

// render returns the lines of a screen, at most height, none wider than width. It
// remembers how many lines fit and where they begin.
func (t *top) render(width, height int) []term.Line {
	width = max(1, width)
	t.height = max(1, height-3-len(t.notes)) // title, heading and keys
	var lines []term.Line
	switch t.view {
	case viewExplain:
		lines = t.renderText(t.selected, t.text, width, height)
	case viewHelp:
		lines = t.renderText("keys", help, width, height)
	default:
		lines = t.renderList(width)
	}
	if len(lines) > height {
		lines = lines[:max(0, height)]
	}
	return lines
}

// renderText shows the part of a text that fits below its heading.
func (t *top) renderText(title, text string, width, height int) []term.Line {
	var all []term.Line
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		for _, part := range cutLine(line, width) {
			all = append(all, term.Line{Text: part})
		}
	}
	t.height = max(1, height-2)
	t.offset = max(0, min(t.offset, len(all)-t.height))
	end := min(len(all), t.offset+t.height)
	head := fmt.Sprintf("vifguard top: %s, lines %d to %d of %d", title, min(t.offset+1, end), end, len(all))
	lines := append([]term.Line{{Text: term.Cut(head, width)}}, all[t.offset:end]...)
	return append(lines, term.Line{Text: term.Cut("Up Down scroll, q back", width)})
}

// cutLine breaks a line where the screen ends, at a space if there is one near.
func cutLine(line string, width int) []string {
	runes := []rune(line)
	var lines []string
	for len(runes) > width {
		end := width
		for i := width; i > width/2; i-- {
			if runes[i] == ' ' {
				end = i
				break
			}
		}
		lines = append(lines, string(runes[:end]))
		runes = runes[end:]
		if runes[0] == ' ' {
			runes = runes[1:]
		}
	}
	return append(lines, string(runes))
}

func (t *top) renderList(width int) []term.Line {
	shown := t.shown()
	current := t.current(shown)
	table := t.table(shown, width)
	lines := []term.Line{{Text: term.Cut(t.head(shown), width)}, {Text: table[0]}}
	t.offset = max(0, min(t.offset, len(shown)-t.height))
	if current >= 0 {
		t.offset = max(current-t.height+1, min(t.offset, current))
	}
	for i := t.offset; i < min(len(shown), t.offset+t.height); i++ {
		line := term.Line{Text: table[i+1]}
		if i == current {
			line.Text = ">" + strings.TrimPrefix(line.Text, " ")
			line.Text += strings.Repeat(" ", max(0, width-utf8.RuneCountInString(line.Text)))
			line.Style = term.Inverse
		} else if shown[i].rate > 0 {
			line.Style = term.Yellow
		}
		lines = append(lines, line)
	}
	for _, n := range t.notes {
		lines = append(lines, term.Line{Text: term.Cut(n, width)})
	}
	foot := "Up Down select  Enter explain  s sort  / filter  p pause  ? help  q quit"
	if t.typing {
		foot = "filter: " + t.filter + "_   (Enter keeps it, Esc ends it)"
	}
	return append(lines, term.Line{Text: term.Cut(foot, width)})
}

func (t *top) head(shown []row) string {
	dropping := 0
	for _, r := range t.rows {
		if r.rate > 0 {
			dropping++
		}
	}
	head := fmt.Sprintf("vifguard top: %s  %d VIFs, %d dropping, by %s", t.title, len(t.rows), dropping, t.sort)
	if t.filter != "" {
		head += fmt.Sprintf(", filter %q: %d", t.filter, len(shown))
	}
	if t.paused {
		head += ", PAUSED"
	}
	return head
}

// table returns the heading and a line for each VIF, of the same columns.
func (t *top) table(shown []row, width int) []string {
	w := term.Table{
		Head:  []string{" PORT", "BRIDGE", "VM", "STATE", "DROPS/S", "TOTAL", "REASON", "LAST CLAIM"},
		Least: map[string]int{" PORT": 9, "BRIDGE": 4, "VM": 2, "STATE": 5, "REASON": 6, "LAST CLAIM": 10},
	}
	for _, r := range shown {
		rate := ""
		if r.known {
			rate = report.RateText(r.rate)
		}
		w.Add(" "+r.Port, r.Bridge, term.Cut(r.VM, report.MaxVM), r.State, rate, fmt.Sprint(report.Total(r.Drops)), report.MainReason(r.Drops), r.claim)
	}
	var b strings.Builder
	out := term.NewWriter(&b)
	out.Columns, out.Terminal = width, true
	w.Write(out)
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = term.Cut(lines[i], width)
	}
	return lines
}
