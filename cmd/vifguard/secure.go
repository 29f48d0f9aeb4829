package main

import (
	"fmt"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
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

// awaitSecured waits until the agent has programmed a bridge again whose fail_mode was
// changed at the given time, and says how long that took.
func awaitSecured(s *session, out *term.Writer, name string, changed time.Time) error {
	var p pauses
	for {
		if b := s.Host().Bridge(name); b != nil && isProgrammedSince(s, b, changed) {
			out.Printf("Its fail_mode is secure now. The agent had its flows back after %s.\n", time.Since(changed).Round(time.Millisecond))
			return nil
		}
		if err := sleep(s.ctx, p.next()); err != nil {
			return fmt.Errorf("bridge %s is secure, but the agent hasn't programmed it again: %w (see its log, and: vifguard status)", name, err)
		}
	}
}

// isProgrammedSince reports whether the switch has what OVSDB asks for on a bridge, and
// cleared it before. The agent writes all flows at once, so those of one port decide: the
// switch isn't asked for more while it has them to write.
func isProgrammedSince(s *session, b *model.Bridge, changed time.Time) bool {
	one := b.Interfaces[:min(1, len(b.Interfaces))]
	if in := s.inspect(b, one...); !in.InForce() || in.Oldest() > time.Since(changed) {
		return false
	}
	in := s.inspect(b)
	return in.InForce()
}
