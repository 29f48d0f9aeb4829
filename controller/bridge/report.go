package bridge

import (
	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/model"
)

// Report is what a worker achieved: the switch has confirmed it. It is immutable.
type Report struct {
	Target    *Target
	VIFs      []*VIF             // parallel to Target.Bridge.Interfaces; nil when the bridge isn't guarded
	Guarded   int                // how many of them are no trusted ports
	Released  bool               // nothing of vifguard's is on the switch
	Unguarded *Unguarded         // the last time without checks; nil if this agent has seen none
	Findings  []exposure.Finding // what decides about frames beside the tables, or is worth knowing
	Problem   string             // why the bridge couldn't be programmed; "" when it could

	shared int // number of shared flows
}

// Outcomes returns what the switch has confirmed, parallel to a bridge's interfaces; nil
// where it hasn't yet.
func (r *Report) Outcomes(b *model.Bridge) []*VIF {
	if r != nil && r.VIFs != nil && r.Target.Bridge == b {
		return r.VIFs
	}
	list := make([]*VIF, len(b.Interfaces))
	if r == nil {
		return list
	}
	known := r.VIFs
	for i, row := range b.Interfaces {
		for len(known) > 0 && model.Before(known[0].Row, row) {
			known = known[1:]
		}
		if len(known) > 0 && !model.Before(row, known[0].Row) {
			list[i], known = known[0], known[1:]
		}
	}
	return list
}
