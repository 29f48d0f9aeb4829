package bridge

import (
	"fmt"
	"time"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// Unguarded is a time during which a guarded bridge forwarded without any check, because
// the switch had lost vifguard's flows and had others that forward: after a restart of
// ovs-vswitchd, a bridge whose fail_mode isn't secure.
type Unguarded struct {
	Length time.Duration
	end    time.Time
}

func (e *Unguarded) String() string {
	return fmt.Sprintf("%s until %s", e.Length.Round(time.Millisecond), e.end.UTC().Format(time.RFC3339))
}

// unguardedFor returns for how long a bridge has been forwarding unchecked, judged by the
// age of what the switch has in its first table. known is when it last had vifguard's
// flows; zero if it hadn't in this process' life. remade says that it replaces a bridge that
// was guarded.
func unguardedFor(t *Target, all []openflow.Flow, known time.Time, remade bool) time.Duration {
	if !remade && !wasProgrammed(t.Bridge) {
		return 0 // not guarded before
	}
	var oldest time.Duration
	for _, f := range all {
		if _, _, own := flows.SplitCookie(f.Cookie); own {
			return 0
		}
		if f.Table == 0 {
			oldest = max(oldest, f.Age)
		}
	}
	if !known.IsZero() {
		oldest = min(oldest, time.Since(known))
	}
	return oldest
}

// wasProgrammed reports whether an agent has said that some VIF of the bridge is in
// force.
func wasProgrammed(b *model.Bridge) bool {
	for _, i := range b.Interfaces {
		if s := model.State(i.ExternalIDs[model.KeyStatusState]); s != "" && s != model.StatePending {
			return true
		}
	}
	return false
}
