package report

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

// Watcher prints status again and again.
type Watcher struct {
	out  *term.Writer
	json bool
	now  func() time.Time

	before map[string]Status // by port
	at     time.Time         // of before
}

// NewWatcher returns a watcher that prints tables, or JSON.
func NewWatcher(out *term.Writer, json bool) *Watcher {
	return &Watcher{out: out, json: json, now: time.Now}
}

// Show prints the status of VIFs as it is now. A terminal is redrawn; elsewhere only VIFs
// that have changed are printed.
func (w *Watcher) Show(list []Status, notes []string) error {
	now := w.now()
	rates := w.rates(list, now)
	changed := w.changed(list)
	w.before, w.at = make(map[string]Status, len(list)), now
	for _, s := range list {
		w.before[s.Port] = s
	}
	if w.json {
		return w.out.JSONLine(list)
	}
	out := term.NewWriter(w.out) // a terminal may have another size by now
	switch {
	case out.Terminal:
		out.Clear()
		// Two lines of heading, and one for what is left out.
		if room := out.Lines - 3 - len(notes); out.Lines > 0 && len(list) > max(1, room) {
			notes = append(notes, fmt.Sprintf("%d more VIFs (vifguard status shows all)", len(list)-max(1, room)))
			list = list[:max(1, room)]
		}
	case len(changed) == 0:
		return nil
	default:
		list = changed
	}
	out.Printf("%s\n", now.Format(time.RFC3339))
	PrintStatuses(out, list, rates)
	for _, n := range notes {
		out.Paragraph(term.Plain, n, "  ")
	}
	return out.Err()
}

// changed returns the VIFs that aren't as they were before.
func (w *Watcher) changed(list []Status) []Status {
	var changed []Status
	for _, s := range list {
		if before, ok := w.before[s.Port]; !ok || !reflect.DeepEqual(before, s) {
			changed = append(changed, s)
		}
	}
	for port, before := range w.before {
		if !slices.ContainsFunc(list, func(s Status) bool { return s.Port == port }) {
			before.State = "gone"
			changed = append(changed, before)
		}
	}
	return changed
}

// rates returns the drops per second since then, in words.
func (w *Watcher) rates(list []Status, now time.Time) map[string]string {
	texts := make(map[string]string, len(list))
	for port, r := range Rates(w.before, list, now.Sub(w.at)) {
		texts[port] = RateText(r)
	}
	return texts
}
