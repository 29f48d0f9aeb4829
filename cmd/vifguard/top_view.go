package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vifguard/vifguard/model"
)

const topHelp = `Up, Down, k, j    select a VIF, or scroll (also PageUp, PageDown, Home, End)
Enter             explain the VIF: what it may send, why, and its flows
s                 sort by drops per second, by total, by name
/                 filter by port, bridge, VM, state, reason or claim; Esc ends it
p                 pause, and go on
?                 this help
q, Esc            back, or quit

DROPS/S and TOTAL are of the switch's counters; of VIFs that are only observed they
count what would be dropped. LAST CLAIM is what the agent sampled last.`

// Ways to set a line off, as in ECMA-48.
const inverse = "7"

// render returns the lines of a screen, at most height, none wider than width. It
// remembers how many lines fit and where they begin.
func (t *top) render(out *screen, width, height int) []string {
	width = max(1, width)
	t.height = max(1, height-3-len(t.notes)) // title, heading and keys
	var lines []string
	switch t.view {
	case viewExplain:
		lines = t.renderText(t.selected, t.text, width, height)
	case viewHelp:
		lines = t.renderText("keys", topHelp, width, height)
	default:
		lines = t.renderList(out, width)
	}
	if len(lines) > height {
		lines = lines[:max(0, height)]
	}
	return lines
}

// renderText shows the part of a text that fits below its heading.
func (t *top) renderText(title, text string, width, height int) []string {
	var all []string
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		all = append(all, cutLine(printable(line), width)...)
	}
	t.height = max(1, height-2)
	t.offset = max(0, min(t.offset, len(all)-t.height))
	end := min(len(all), t.offset+t.height)
	head := fmt.Sprintf("vifguard top: %s, lines %d to %d of %d", printable(title), min(t.offset+1, end), end, len(all))
	lines := append([]string{shorten(head, width)}, all[t.offset:end]...)
	return append(lines, shorten("Up Down scroll, q back", width))
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

func (t *top) renderList(out *screen, width int) []string {
	shown := t.shown()
	current := t.current(shown)
	lines := []string{shorten(t.head(shown), width)}
	table := t.table(out, shown, width)
	lines = append(lines, table[0])
	t.offset = max(0, min(t.offset, len(shown)-t.height))
	if current >= 0 {
		t.offset = max(current-t.height+1, min(t.offset, current))
	}
	for i := t.offset; i < min(len(shown), t.offset+t.height); i++ {
		line := table[i+1]
		if i == current {
			line = ">" + strings.TrimPrefix(line, " ")
			line += strings.Repeat(" ", max(0, width-utf8.RuneCountInString(line)))
			line = "\x1b[" + inverse + "m" + line + "\x1b[0m"
		} else if shown[i].rate > 0 {
			line = out.paint(yellow, line)
		}
		lines = append(lines, line)
	}
	for _, n := range t.notes {
		lines = append(lines, shorten(printable(n), width))
	}
	foot := "Up Down select  Enter explain  s sort  / filter  p pause  ? help  q quit"
	if t.typing {
		foot = "filter: " + t.filter + "_   (Enter keeps it, Esc ends it)"
	}
	return append(lines, shorten(foot, width))
}

func (t *top) head(shown []topRow) string {
	dropping := 0
	for _, r := range t.rows {
		if r.rate > 0 {
			dropping++
		}
	}
	head := fmt.Sprintf("vifguard top: %s  %d VIFs, %d dropping, by %s", printable(t.title), len(t.rows), dropping, t.sort)
	if t.filter != "" {
		head += fmt.Sprintf(", filter %q: %d", t.filter, len(shown))
	}
	if t.paused {
		head += ", PAUSED"
	}
	return head
}

// table returns the heading and a line for each VIF, of the same columns.
func (t *top) table(out *screen, shown []topRow, width int) []string {
	w := table{
		head:  []string{" PORT", "BRIDGE", "VM", "STATE", "DROPS/S", "TOTAL", "REASON", "LAST CLAIM"},
		least: map[string]int{" PORT": 9, "BRIDGE": 4, "VM": 2, "STATE": 5, "REASON": 6, "LAST CLAIM": 10},
	}
	for _, r := range shown {
		rate := ""
		if r.known {
			rate = rateText(r.rate)
		}
		w.add(" "+r.Port, r.Bridge, shorten(r.VM, maxVM), r.State, rate, fmt.Sprint(sum(r.Drops)), topReason(r.Drops), r.claim)
	}
	var b strings.Builder
	_ = w.write(&screen{Writer: &b, columns: width}) // a Builder doesn't fail
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = shorten(lines[i], width)
	}
	return lines
}

// topReason is the reason for most drops.
func topReason(drops map[string]uint64) string {
	best, most := "", uint64(0)
	for _, r := range model.Reasons() {
		if n := drops[r.String()]; n > most {
			best, most = r.String(), n
		}
	}
	return best
}
