package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// secureHelp is what guard's help says of --secure.
const secureHelp = `
With --secure the bridge's fail_mode becomes secure, so that it forwards nothing
instead of everything after a restart of ovs-vswitchd, until the agent has programmed
it again. Open vSwitch clears a bridge's flows when its fail_mode changes: traffic
stops for the few milliseconds until the agent has put its own back. Flows of others
would be lost, so a bridge that has any is refused unless --force. "vifguard release"
gives the bridge its old fail_mode back.`

// secureEdit returns what guard --secure adds to the edit of a bridge: nothing if its
// fail_mode is secure already.
func secureEdit(b *model.Bridge, e *ovsdb.Edit) {
	if b.FailMode == model.FailSecure {
		return
	}
	mode, then := model.FailSecure, b.FailMode
	if then == "" {
		then = model.FailModeUnset
	}
	e.FailMode = &mode
	e.Set[model.KeyFailModeThen] = then
}

// checkSecure refuses what would cut the bridge off.
func (o *options) checkSecure(s *session, b *model.Bridge) error {
	if b.FailMode == model.FailSecure {
		return nil
	}
	runs, err := ovsdb.AgentRuns(s.ctx, o.endpoint)
	if err != nil {
		return err
	}
	if !runs {
		return fmt.Errorf("no agent works on this Open vSwitch: with fail_mode secure bridge %s would forward nothing until one does (start it with: vifguard run; or say --force)", b.Name)
	}
	n, err := inspect.ForeignFlows(s.ctx, s.runDir, b.Name)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("bridge %s has %d flows of others, which Open vSwitch would clear with the change of fail_mode (see them with: ovs-ofctl dump-flows %s; to lose them, say --force)", b.Name, n, b.Name)
	}
	return nil
}

// awaitSecured waits until the agent has programmed the bridge again, and says how long
// that took.
func awaitSecured(s *session, out io.Writer, name string) error {
	began := time.Now()
	for {
		if b := s.Host().Bridge(name); b != nil && b.FailMode == model.FailSecure {
			if in := s.inspect(b); in.InForce() {
				fmt.Fprintf(out, "Its fail_mode is secure now. The agent had its flows back after %s.\n", time.Since(began).Round(time.Millisecond))
				return nil
			}
		}
		if err := sleep(s.ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("bridge %s is secure, but the agent hasn't programmed it again: %w (see its log, and: vifguard status)", name, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
