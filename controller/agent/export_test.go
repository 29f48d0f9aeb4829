package agent

import (
	"time"

	"github.com/vifguard/vifguard/controller/bridge"
)

// SetFloodTimes makes an agent that doesn't run yet measure floods more often and
// quarantine for shorter, so that a test can wait for it.
func (a *Agent) SetFloodTimes(interval, first, most, calm time.Duration) {
	a.floods = &bridge.FloodTimes{Interval: interval, First: first, Most: most, Calm: calm, Spare: 5 * time.Second}
}
