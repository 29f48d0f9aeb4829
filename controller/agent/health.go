package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// beatInterval is the longest time between two turns of a healthy agent's main loop.
const beatInterval = 5 * time.Second

// Health is how an agent is doing at one turn of its main loop.
type Health struct {
	Connected bool     // to ovsdb-server
	Guarded   int      // bridges that opted in
	VIFs      int      // their ports that aren't trusted, as the switch confirmed them
	Waiting   []string // guarded bridges whose flows weren't compared with the switch's yet
	Unusable  []string // guarded bridges whose own metadata can't be used, so that they stay as they are
}

// Ready reports whether every guarded bridge was compared with what OVSDB asks for, and
// repaired where it differed, since the agent started.
func (h Health) Ready() bool { return h.Connected && len(h.Waiting) == 0 }

// String sums it up in one line.
func (h Health) String() string {
	text := fmt.Sprintf("bridges guarded: %d, VIFs: %d", h.Guarded, h.VIFs)
	if len(h.Waiting) > 0 {
		text += "; waiting for the switch of " + strings.Join(h.Waiting, ", ")
	}
	if len(h.Unusable) > 0 {
		text += "; unusable metadata on " + strings.Join(h.Unusable, ", ")
	}
	if !h.Connected {
		text += "; waiting for ovsdb-server"
	}
	return text
}

// beat tells whoever wants to know that the main loop has turned, and how things are.
func (a *Agent) beat(connected bool) {
	if a.config.Health == nil {
		return
	}
	h := Health{Connected: connected}
	for name, r := range a.workers {
		if !r.target.Config.Guarded {
			continue
		}
		h.Guarded++
		done := r.Report()
		switch {
		case !r.target.Config.Usable:
			h.Unusable = append(h.Unusable, name)
		case done == nil || done.VIFs == nil:
			h.Waiting = append(h.Waiting, name)
		default:
			h.VIFs += done.Guarded
		}
	}
	slices.Sort(h.Waiting)
	slices.Sort(h.Unusable)
	a.config.Health(h)
}
