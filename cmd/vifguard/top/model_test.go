package top

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/cmd/vifguard/report"
)

// someTop shows n VIFs, of which the last drops most per second and the first in total.
func someTop(n int) top {
	t := top{title: "br0"}
	for i := range n {
		t.rows = append(t.rows, row{
			Status: report.Status{Bridge: "br0", Port: fmt.Sprintf("tap%02d", i), State: "enforced", Drops: map[string]uint64{"arp": uint64(100 - i), "ip": 1}},
			rate:   float64(i), known: true, claim: "ARP \x1b[2J probe",
		})
	}
	return t
}

// press is the state after keys.
func press(t top, keys ...string) (top, request) {
	do := doNothing
	t.render(100, 10)
	for _, k := range keys {
		t, do = t.key(k)
		t.render(100, 10)
	}
	return t, do
}

func ports(rows []row) (names []string) {
	for _, r := range rows {
		names = append(names, r.Port)
	}
	return names
}

func TestTopKeys(t *testing.T) {
	for _, tc := range []struct {
		keys     string // separated by spaces
		selected string
		shown    string
		do       request
		view     view
	}{
		{"", "", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"down", "tap02", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"j j k", "tap02", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"end up", "tap01", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"up", "tap03", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"pgdn", "tap00", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"down s", "tap02", "tap00 tap01 tap02 tap03", doNothing, viewList},
		{"s s s", "", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"/ 0 2", "", "tap02", doNothing, viewList},
		{"/ 0 2 backspace enter", "", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"/ q s p", "", "", doNothing, viewList},
		{"/ z enter enter", "", "", doNothing, viewList},
		{"/ 0 2 esc", "", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"/ 0 2 enter esc", "", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"/ A R P enter", "", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"enter", "tap03", "tap03 tap02 tap01 tap00", doExplain, viewExplain},
		{"enter q", "tap03", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"enter ? esc", "tap03", "tap03 tap02 tap01 tap00", doNothing, viewList},
		{"?", "", "tap03 tap02 tap01 tap00", doNothing, viewHelp},
		{"q", "", "tap03 tap02 tap01 tap00", doQuit, viewList},
		{"esc", "", "tap03 tap02 tap01 tap00", doQuit, viewList},
		{"/ ctrl-c", "", "tap03 tap02 tap01 tap00", doQuit, viewList},
	} {
		got, do := press(someTop(4), strings.Fields(tc.keys)...)
		if got.selected != tc.selected || do != tc.do || got.view != tc.view {
			t.Errorf("%q: selected %q, do %d, view %d; want %+v", tc.keys, got.selected, do, got.view, tc)
		}
		if d := cmp.Diff(strings.Fields(tc.shown), ports(got.shown()), cmp.Transformer("nil", func(s []string) string { return strings.Join(s, " ") })); d != "" {
			t.Errorf("%q: shown (-want +got):\n%s", tc.keys, d)
		}
	}
}

// Whatever was seen and pressed, lines fit.
func TestTopFits(t *testing.T) {
	for _, keys := range []string{"", "end", "/ 1", "?", "enter", "enter end", "p"} {
		for _, size := range [][2]int{{100, 30}, {80, 24}, {40, 5}, {10, 3}, {1, 1}, {0, 0}} {
			m := someTop(50)
			m.notes = []string{"a note \x1b[31m" + strings.Repeat("x", 200)}
			m, _ = press(m, strings.Fields(keys)...)
			if m.view == viewExplain {
				m.text = strings.Repeat("word ", 100) + "\nend"
			}
			lines := m.render(size[0], size[1])
			if len(lines) > size[1] {
				t.Errorf("%q at %v: %d lines", keys, size, len(lines))
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line.Text); n > max(1, size[0]) {
					t.Errorf("%q at %v: %q", keys, size, line.Text)
				}
			}
		}
	}
}

// The selected VIF is always among those shown.
func TestTopScrolls(t *testing.T) {
	m := someTop(50)
	for i, k := range strings.Fields("end pgup up home down pgdn pgdn pgdn end home") {
		m, _ = press(m, k)
		marked := 0
		for _, line := range m.render(100, 10) {
			if strings.Contains(line.Text, ">"+m.selected) {
				marked++
			}
		}
		if marked != 1 {
			t.Errorf("after key %d, %s: %d marked lines", i, k, marked)
		}
	}
}
