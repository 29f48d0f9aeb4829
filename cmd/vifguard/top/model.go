package top

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

// top is what vifguard top shows: a function of what was read and of the keys that were
// pressed. It knows no terminal and no clock.
type top struct {
	rows  []row    // all VIFs, as read last
	title string   // the bridge, and when it was read
	notes []string // what is to be known beside

	sort     order
	filter   string
	typing   bool   // keys are added to the filter
	selected string // port
	paused   bool
	offset   int // first line shown, of the view
	view     view
	text     string // of viewExplain
	height   int    // lines that fit, as rendered last
}

// row is one VIF.
type row struct {
	report.Status
	rate  float64 // drops per second
	known bool    // rate is
	claim string  // the last one that was sampled, in words
}

type order int

const (
	byRate order = iota
	byTotal
	byName
)

func (s order) String() string { return [...]string{"drops/s", "total", "name"}[s] }

type view int

const (
	viewList view = iota
	viewExplain
	viewHelp
)

// request is what a key asks the outside to do.
type request int

const (
	doNothing request = iota
	doExplain         // fetch the explanation of the selected VIF
	doQuit
)

// shown are the VIFs that the filter lets through, in order.
func (t *top) shown() []row {
	var list []row
	word := strings.ToLower(t.filter)
	for _, r := range t.rows {
		text := strings.Join([]string{r.Port, r.Bridge, r.VM, r.State, report.ReasonsText(r.Drops, len(r.Drops)), r.claim}, "\x00")
		if strings.Contains(strings.ToLower(text), word) {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b row) int {
		rate, total := cmp.Compare(b.rate, a.rate), cmp.Compare(report.Total(b.Drops), report.Total(a.Drops))
		name := cmp.Or(report.Compare(a.Port, b.Port), report.Compare(a.Bridge, b.Bridge))
		switch t.sort {
		case byTotal:
			return cmp.Or(total, name)
		case byName:
			return name
		default: // byRate
			return cmp.Or(rate, total, name)
		}
	})
	return list
}

// current is the place of the selected VIF among those shown: the first one if it isn't
// there; -1 if there is none.
func (t *top) current(shown []row) int {
	if len(shown) == 0 {
		return -1
	}
	return max(0, slices.IndexFunc(shown, func(r row) bool { return r.Port == t.selected }))
}

// key returns what is to be shown after a key, and what else is to be done.
func (t top) key(k string) (top, request) {
	switch {
	case k == term.KeyInterrupt:
		return t, doQuit
	case t.typing:
		return t.typed(k), doNothing
	case k == "?" && t.view != viewHelp:
		t.view, t.offset = viewHelp, 0
		return t, doNothing
	case t.view != viewList:
		return t.scrolled(k), doNothing
	}
	switch k {
	case "q":
		return t, doQuit
	case term.KeyEscape:
		if t.filter == "" {
			return t, doQuit
		}
		t.filter = ""
	case "s":
		t.sort = (t.sort + 1) % (byName + 1)
	case "p":
		t.paused = !t.paused
	case "/":
		t.typing = true
	case term.KeyEnter:
		if i := t.current(t.shown()); i >= 0 {
			t.selected = t.shown()[i].Port
			t.view, t.offset, t.text = viewExplain, 0, "..."
			return t, doExplain
		}
	default:
		t.move(k)
	}
	return t, doNothing
}

// typed changes the filter.
func (t top) typed(k string) top {
	switch k {
	case term.KeyEnter:
		t.typing = false
	case term.KeyEscape:
		t.typing, t.filter = false, ""
	case term.KeyBackspace:
		_, n := utf8.DecodeLastRuneInString(t.filter)
		t.filter = t.filter[:len(t.filter)-n]
	default:
		const longest = 40
		if utf8.RuneCountInString(k) == 1 && utf8.RuneCountInString(t.filter) < longest {
			t.filter += term.Printable(k)
		}
	}
	return t
}

// step is how far a key moves, among n lines of which page are shown.
func step(k string, n, page int) int {
	switch k {
	case term.KeyUp, "k":
		return -1
	case term.KeyDown, "j":
		return 1
	case term.KeyPageUp:
		return -max(1, page)
	case term.KeyPageDown, " ":
		return max(1, page)
	case term.KeyHome, "g":
		return -n
	case term.KeyEnd, "G":
		return n
	}
	return 0
}

// move selects another VIF.
func (t *top) move(k string) {
	shown := t.shown()
	if i := t.current(shown); i >= 0 {
		i = min(max(0, i+step(k, len(shown), t.height)), len(shown)-1)
		t.selected = shown[i].Port
	}
}

// scrolled moves a text, or goes back to the list.
func (t top) scrolled(k string) top {
	if k == "q" || k == term.KeyEscape || k == term.KeyEnter {
		t.view, t.offset, t.text = viewList, 0, ""
		return t
	}
	const most = 1 << 20 // render stops at the end
	t.offset = max(0, t.offset+step(k, most, t.height))
	return t
}
