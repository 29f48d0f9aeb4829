package bridge

import (
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// VIF is one port of a guarded bridge, trusted ones included, as the ledger remembers it.
// It is immutable.
type VIF struct {
	Row    *model.Interface
	Policy *model.Policy // what it may be; blocked if the switch refused its flows

	input   flows.Input
	entries []flows.Entry // what the input leads to
	refused bool          // the switch refused the flows that were asked for
	meter   uint32        // that limits its samples; 0 for none

	quarantine *quarantine // nil for none
}

// State returns the state of a port whose flows the switch has confirmed.
func (v *VIF) State() model.State {
	if v.Quarantined() {
		return model.StateQuarantined
	}
	return model.StateOf(v.Policy)
}

// Pending reports whether a port waits for an OpenFlow number, or for one of its own.
func (v *VIF) Pending() bool { return v.input.Pending() }

// Refused reports whether the switch refused the flows of a port, which is blocked since.
func (v *VIF) Refused() bool { return v.refused }

// Quarantined reports whether nothing of a port passes because it floods. One whose
// flows the switch refused is blocked instead.
func (v *VIF) Quarantined() bool { return v.quarantine != nil && !v.refused }

// Quarantine says until when and why a quarantined port is.
func (v *VIF) Quarantine() string { return v.quarantine.String() }

// guarded reports whether a port isn't trusted.
func (v *VIF) guarded() bool { return v.Policy != nil && v.Policy.Mode != model.Trusted }

// at returns what is known of a port with a row and a quarantine that lead to the same.
func (v *VIF) at(row *model.Interface, q *quarantine) *VIF {
	if v.Row == row && v.quarantine == q {
		return v
	}
	is := *v
	is.Row, is.input.Row, is.quarantine = row, row, q
	return &is
}

// change is the flows that an update replaced, and what they were replaced by, with the
// meters that each of them used.
type change struct {
	old, new             []flows.Entry
	oldMeters, newMeters []uint32
	guarded              int                         // how many more ports aren't trusted
	limits               map[flows.VIFID]model.Flood // limits that changed; 0 for none any more
}

func (c *change) drop(v *VIF) {
	c.old = append(c.old, v.entries...)
	if v.guarded() {
		c.guarded--
		c.limit(v, 0)
	}
	if v.meter != 0 {
		c.oldMeters = append(c.oldMeters, v.meter)
	}
}

func (c *change) add(v *VIF) {
	c.new = append(c.new, v.entries...)
	if v.guarded() {
		c.guarded++
		c.limit(v, v.Policy.FloodLimit())
	}
	if v.meter != 0 {
		c.newMeters = append(c.newMeters, v.meter)
	}
}

// limit notes the flood limit that a port has from now on, if that or the one it had is
// worth a note.
func (c *change) limit(v *VIF, limit model.Flood) {
	if limit == 0 && v.Policy.FloodLimit() == 0 {
		return
	}
	if c.limits == nil {
		c.limits = make(map[flows.VIFID]model.Flood)
	}
	c.limits[flows.ParseVIFID(v.Row.UUID)] = limit
}
