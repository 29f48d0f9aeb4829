package agent_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/test/lab"
)

// health is what an agent last said of itself.
type health struct {
	*host
	last  atomic.Pointer[agent.Health]
	turns atomic.Int64
}

// runWithHealth runs an agent that looks for management sockets in runDir; "" is where
// they are.
func (h *host) runWithHealth(runDir string) *health {
	h.t.Helper()
	is := &health{host: h}
	h.start(agent.Config{
		RunDir: runDir, CheckInterval: never,
		Health: func(now agent.Health) { is.last.Store(&now); is.turns.Add(1) },
	})
	return is
}

func (h *health) await(want agent.Health) {
	h.t.Helper()
	lab.Eventually(h.t, fmt.Sprintf("health %q", want), func() error {
		if d := cmp.Diff(&want, h.last.Load()); d != "" {
			return fmt.Errorf("health (-want +got):\n%s", d)
		}
		return nil
	})
}

func TestHealth(t *testing.T) {
	t.Run("as bridges are guarded and released", func(t *testing.T) {
		h := newHost(t)
		h.MustBridge("br0")
		h.vif("br0", "tap1", 1, mac1)
		h.vif("br0", "up", 2)
		is := h.runWithHealth("")
		is.await(agent.Health{Connected: true})
		h.guard("br0")
		is.await(agent.Health{Connected: true, Guarded: 1, VIFs: 1})
		h.guard("br0", "port-security-first-table=300")
		is.await(agent.Health{Connected: true, Guarded: 1, Unusable: []string{"br0"}})
		if now := *is.last.Load(); !now.Ready() {
			t.Errorf("%q isn't ready: metadata that an operator has to mend would hold up the whole host", now)
		}
		h.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security")
		is.await(agent.Health{Connected: true})
	})
	t.Run("a switch that doesn't answer", func(t *testing.T) {
		h := newHost(t)
		h.MustBridge("br0")
		h.guard("br0")
		is := h.runWithHealth(t.TempDir())
		is.await(agent.Health{Connected: true, Guarded: 1, Waiting: []string{"br0"}})
		if now := *is.last.Load(); now.Ready() {
			t.Errorf("%q is ready", now)
		}
		turns := is.turns.Load()
		lab.Eventually(h.t, "the loop to turn while it waits", func() error {
			if now := is.turns.Load(); now < turns+2 {
				return fmt.Errorf("%d turns", now-turns)
			}
			return nil
		})
	})
}
