package bridge

import "testing"

// Every phase has an answer to every event: these change it, all others leave it.
func TestPhases(t *testing.T) {
	type row map[event]phase
	for p, want := range map[phase]row{
		idle:        {guarded: comparing, optedOut: comparing, spoiled: unusable, cleaned: released},
		unusable:    {guarded: comparing, optedOut: comparing, cleaned: released},
		unreachable: {guarded: comparing, optedOut: comparing, spoiled: unusable, due: comparing, cleaned: released},
		comparing:   {spoiled: unusable, failed: unreachable, confirmed: inForce, cleaned: released},
		inForce:     {optedOut: comparing, spoiled: unusable, changed: disturbed, stale: comparing, lost: comparing, failed: unreachable, cleaned: released},
		disturbed:   {optedOut: comparing, spoiled: unusable, due: comparing, stale: comparing, lost: comparing, failed: unreachable, cleaned: released},
		released:    {guarded: comparing, spoiled: unusable},
	} {
		for e := range events {
			then, ok := want[e]
			if !ok {
				then = p
			}
			if got := p.next(e); got != then {
				t.Errorf("%s, event %d: %s, want %s", p, e, got, then)
			}
		}
	}
}
