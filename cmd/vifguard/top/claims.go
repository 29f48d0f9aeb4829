package top

import (
	"context"
	"maps"
	"sync"

	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
)

// claims remembers what each port last claimed, out of the agent's events. Its methods may
// be called from several goroutines.
type claims struct {
	socket string

	mu        sync.Mutex
	byPort    map[string]string
	following bool
	problem   string // why no events come
}

func newClaims(socket string) *claims {
	return &claims{socket: socket, byPort: make(map[string]string)}
}

// follow follows the agent's events until ctx ends, unless it does already.
func (c *claims) follow(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.following {
		return
	}
	c.following = true
	go func() {
		err := control.Drops(ctx, c.socket, "", true, func(e *drops.Event) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if e.Frame != "" {
				c.byPort[e.Port] = e.Frame
			}
			return nil
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		c.following = false
		if err != nil {
			c.problem = err.Error()
		}
	}()
}

// last returns the claims, and why there are no new ones.
func (c *claims) last() (byPort map[string]string, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.following {
		return maps.Clone(c.byPort), ""
	}
	return maps.Clone(c.byPort), c.problem
}
