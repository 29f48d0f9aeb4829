package labagent

import (
	"context"
	"fmt"
	"regexp"

	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/ovsdb"
	"github.com/vifguard/vifguard/test/lab"
)

// ownCookie matches the cookie of a flow of vifguard's in a dump.
var ownCookie = regexp.MustCompile(`cookie=0x7667[0-9a-f]{12},`)

// Exact returns nil when a bridge has exactly the flows that OVSDB asks for: every
// port's rules, the shared ones, and nothing else of vifguard's. What it compares with
// is computed afresh, as a newly started agent would.
func Exact(ctx context.Context, sw *lab.Switch, bridge string) error {
	c, err := ovsdb.Dial(ctx, sw.Endpoint(), nil)
	if err != nil {
		return err
	}
	defer c.Close()
	b := c.Host().Bridge(bridge)
	if b == nil {
		return fmt.Errorf("no bridge %s", bridge)
	}
	in := inspect.Bridge(ctx, b, c.Host().Profiles, sw.Dir)
	if in.Switch != nil {
		return in.Switch
	}
	want := len(in.Shared)
	for _, r := range in.Shared {
		if !r.Installed {
			return fmt.Errorf("shared rule missing: %s", r.Text(in.Pipeline()))
		}
	}
	for _, p := range in.Ports {
		want += len(p.Rules)
		if !p.InForce && p.Row.OFPort != 0 {
			return fmt.Errorf("port %s: the switch has other flows than asked for", p.Row.Name)
		}
	}
	got, err := Flows(sw, bridge)
	if err == nil && got != want {
		err = fmt.Errorf("%d flows of vifguard's, want %d", got, want)
	}
	return err
}

// Flows counts the flows of vifguard's that a bridge has.
func Flows(sw *lab.Switch, bridge string) (int, error) {
	dump, err := sw.Ofctl("dump-flows", bridge)
	return len(ownCookie.FindAllString(dump, -1)), err
}
