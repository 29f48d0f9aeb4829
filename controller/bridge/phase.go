package bridge

import "fmt"

// phase says how a worker stands with its bridge's switch.
//
//	                guarded
//	   idle -------------------------+
//	                                 v      cleaned (the bridge isn't guarded)
//	unreachable ---- due ------> comparing ---------------------> released
//	     ^                        |  ^  ^
//	     |              confirmed |  |  | stale, lost
//	     | failed                 v  |  |
//	     +---------------------- inForce --- disturbed ---> disturbed
//	       (from all that talk      ^                           |
//	        to the switch)          +-- what is asked for ------+ due, after a pause
//	                                    is applied as before       (to comparing)
//
// From every phase a target whose metadata can't be used leads to unusable, and one that
// opts out to comparing, where the worker removes its flows. Only released stays what it is
// then.
type phase uint8

const (
	idle        phase = iota // there is no target yet
	unusable                 // the bridge's own metadata can't be used: its flows stay as they are
	unreachable              // the last attempt failed: another follows after a pause
	comparing                // what the switch has isn't known: it is compared with the ledger
	inForce                  // the switch has what the ledger holds
	disturbed                // as inForce, but others have changed flows since: a comparison follows after a pause
	released                 // the bridge isn't guarded, and nothing of vifguard's is on its switch
	phases
)

// event is what happens to a worker.
type event uint8

const (
	guarded   event = iota // the target is a guarded bridge
	optedOut               // the target is a bridge that isn't guarded
	spoiled                // the target's metadata can't be used
	due                    // the phase's deadline has passed
	changed                // the switch tells that others have changed flows
	stale                  // what the switch has isn't known any more
	lost                   // the session has ended
	failed                 // an attempt has failed
	confirmed              // the switch has confirmed what the ledger holds
	cleaned                // nothing of vifguard's is on the switch of a bridge that isn't guarded
	events
)

// known reports whether the switch has what the ledger holds, as far as the worker itself
// has made it.
func (p phase) known() bool { return p == inForce || p == disturbed }

// next returns the phase that follows an event. What makes no difference leaves the phase.
func (p phase) next(e event) phase {
	switch e {
	case guarded:
		if !p.known() {
			return comparing
		}
	case optedOut:
		if p != released {
			return comparing
		}
	case spoiled:
		return unusable
	case due:
		if p == unreachable || p == disturbed {
			return comparing
		}
	case changed:
		if p == inForce {
			return disturbed
		}
	case stale, lost:
		if p.known() {
			return comparing
		}
	case failed:
		if p.known() || p == comparing {
			return unreachable
		}
	case confirmed:
		if p == comparing {
			return inForce
		}
	case cleaned:
		return released
	}
	return p
}

func (p phase) String() string {
	if p < phases {
		return [...]string{"idle", "unusable", "unreachable", "comparing", "in force", "disturbed", "released"}[p]
	}
	return fmt.Sprintf("phase-%d", uint8(p))
}
