package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/exposure/probe"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

func newGuard(o *options) *cobra.Command {
	var secure, force bool
	cmd := &cobra.Command{
		Use:   "guard BRIDGE",
		Short: "Opt a bridge in",
		Long: `Opt a bridge in: its VIFs are checked from now on, those without a port-security key
of their own as --checks says. A port is a VIF when it has attached-mac, which
libvirt, Nova and xapi write by themselves, or any other vifguard key. All other
ports are trusted unless --unmarked=block. What isn't named stays as it is. A bridge
that OVN, Neutron or another OpenFlow controller programs is refused: its flows and
vifguard's would defeat each other.

What decides beside the checks is closed as far as it can be (docs/exposure.md), and
"vifguard release" gives it back: the bridge's other_config:disable-in-band becomes true,
since otherwise Open vSwitch lets guests speak as its controllers and as the host's
managers. These are named when there are any: one that is reached through this bridge
waits after a restart of ovs-vswitchd until the agent has programmed it again. The agent
takes VIFs out of the bridge's spanning trees where their Port says nothing. What remains
is printed, each with the command that closes it.
` + secureHelp,
		Example: `  vifguard guard br0                       check MACs; ARP, ND, IP where addresses are declared
  vifguard guard br0 --checks mac          check only MACs unless a VIF says otherwise
  vifguard guard br0 --action observe      count, don't drop (or: vifguard observe br0)
  vifguard guard br0 --flood 1000          cut off VIFs while they flood
  vifguard guard br0 --unmarked block      block ports that say nothing
  vifguard guard br0 --secure              closed, not open, after a restart of ovs-vswitchd`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.guard(cmd, args[0], givenKeys(cmd, model.OnBridge), secure, force)
		},
	}
	for _, k := range model.Keys(model.OnBridge) {
		switch {
		case k.Number:
			cmd.Flags().Int(k.Flag, 0, k.BridgeUsage)
		case k.List:
			cmd.Flags().StringArray(k.Flag, nil, k.BridgeUsage)
		case k.Name == model.KeyChecks:
			cmd.Flags().String(k.Flag, "auto", k.BridgeUsage)
		default:
			cmd.Flags().String(k.Flag, "", k.BridgeUsage)
		}
	}
	cmd.Flags().BoolVar(&secure, "secure", false, "set the bridge's fail_mode to secure")
	cmd.Flags().BoolVar(&force, "force", false, "even if something else programs the bridge; with --secure also if no agent runs or flows of others are lost")
	return cmd
}

func (o *options) guard(cmd *cobra.Command, name string, set map[string]string, secure, force bool) error {
	if set[model.KeyChecks] == "off" {
		return exit.Errorf(exit.Usage, "--checks: off would leave the bridge unguarded (to stop guarding it: vifguard release %s)", name)
	}
	s, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	defer s.close()
	b, err := findBridge(s.Host(), name)
	if err != nil {
		return err
	}
	if was := b.ExternalIDs[model.KeyChecks]; set[model.KeyChecks] == "" && (was == "" || was == "off") {
		set[model.KeyChecks] = "auto"
	}
	change := model.CloseBridge(b, secure)
	cut := report.CutOff(s.Host(), b, change.DisableInBand != nil)
	if who := inspect.Programmer(s.Host(), b); who != "" && !force {
		return fmt.Errorf("bridge %s is programmed by %s; accepted packets would go past its flows, so nothing was written (guard it nevertheless with --force; see docs/guides/ovn-neutron.md)%s", name, who, cut.Controllers())
	}
	after := *b
	after.ExternalIDs = merged(b.ExternalIDs, set, nil)
	config := model.ResolveBridge(&after)
	if len(config.Problems) > 0 {
		return exit.Errorf(exit.Usage, "nothing written: %v", config.Problems.Refused())
	}
	if secure {
		if err := o.checkSecure(s, b); err != nil && !force {
			return fmt.Errorf("nothing written: %w", err)
		}
	}
	edit := ovsdb.BridgeEdit(b, change)
	maps.Copy(edit.Set, set)
	began := time.Now()
	if _, err := s.Apply(s.ctx, []ovsdb.Edit{edit}); err != nil {
		return err
	}
	out := output(cmd)
	report.Guarded(out, &after, &config, s.Host().Profiles)
	cut.Print(out)
	if edit.FailMode != nil && !force {
		if err := awaitSecured(s, out, name, began); err != nil {
			return err
		}
	}
	found, err := s.remaining(name)
	if err != nil {
		return err
	}
	report.Remaining(out, found)
	return nil
}

// closing is how long Open vSwitch and the agent have to close what they do at once.
const closing = 2 * time.Second

// remaining returns what decides beside the checks of a bridge that is guarded, once what
// was closed for it is, or has had the time for that.
func (s *session) remaining(name string) ([]exposure.Finding, error) {
	var p pauses
	for end := time.Now().Add(closing); ; {
		b := s.Host().Bridge(name)
		if b == nil {
			return nil, exit.Errorf(exit.NotFound, "bridge %s has gone", name)
		}
		found := probe.Judge(s.ctx, s.Host(), b, s.runDir)
		open := slices.ContainsFunc(found, func(f exposure.Finding) bool {
			return f.Kind == exposure.InBand || f.Kind == exposure.STP || f.Kind == exposure.RSTP
		})
		if !open || time.Now().After(end) {
			return found, nil
		}
		if err := sleep(s.ctx, p.next()); err != nil {
			return nil, err
		}
	}
}

func newRelease(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "release BRIDGE",
		Short: "Stop guarding a bridge",
		Long: `Stop guarding a bridge: its vifguard keys, the status keys of its ports and all of
vifguard's flows are removed, and it forwards as before. What was closed is given back:
disable-in-band, spanning trees of its ports, and a fail_mode that "vifguard guard
--secure" has changed, with which Open vSwitch clears all flows. The keys of its VIFs
stay. It works with and without a running agent.`,
		Example: `  vifguard release br0
  ovs-ofctl dump-flows br0 cookie=0x7667000000000000/0xffff000000000000     none is left`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.release(cmd, args[0]) },
	}
}

func (o *options) release(cmd *cobra.Command, name string) error {
	s, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	defer s.close()
	b, err := findBridge(s.Host(), name)
	if err != nil {
		return err
	}
	edit := ovsdb.Edit{Table: ovsdb.TableBridge, UUID: b.UUID, Delete: model.KeyNames(model.OnBridge)}
	if _, err := s.Apply(s.ctx, []ovsdb.Edit{edit}); err != nil {
		return err
	}
	// A running agent reads the opt-out and removes the flows as well; whoever comes
	// second finds none.
	n, err := inspect.Release(s.ctx, s.runDir, name)
	if err != nil {
		err = exit.Switch(name, s.runDir, err)
		return exit.Errorf(exit.Code(err), "%s is opted out, but its flows couldn't be removed (a running agent removes them once it can): %w", name, err)
	}
	if err := s.giveBack(b); err != nil {
		return err
	}
	if err := clearStatus(s.ctx, s.Client, name); err != nil {
		return err
	}
	output(cmd).Printf("Bridge %s is released; it forwards as before vifguard. Flows removed by this command: %d.\n", name, n)
	return nil
}

// giveBack undoes what was closed of a bridge and of its ports.
func (s *session) giveBack(b *model.Bridge) error {
	var edits []ovsdb.Edit
	if c := model.OpenBridge(b); len(c.Delete) > 0 {
		edits = append(edits, ovsdb.BridgeEdit(b, c))
	}
	for _, row := range b.Interfaces {
		if c := model.OpenPort(row); !c.Empty() {
			edits = append(edits, ovsdb.PortEdit(row, c))
		}
	}
	if len(edits) == 0 {
		return nil
	}
	_, err := s.Apply(s.ctx, edits)
	return err
}

// clearStatus removes what an agent reported on the bridge's ports. An agent that was
// writing at that moment may write once more before it reads the opt-out, so it compares
// again until the keys stay away.
func clearStatus(ctx context.Context, c *ovsdb.Client, bridge string) error {
	quiet := time.NewTimer(200 * time.Millisecond)
	defer quiet.Stop()
	for {
		var edits []ovsdb.Edit
		if b := c.Host().Bridge(bridge); b != nil {
			for _, i := range b.Interfaces {
				if _, del := (model.Status{}).Changes(i); len(del) > 0 {
					edits = append(edits, ovsdb.Edit{Table: ovsdb.TableInterface, UUID: i.UUID, Delete: del})
				}
			}
		}
		if len(edits) > 0 {
			if _, err := c.Apply(ctx, edits); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-quiet.C:
			return nil
		case <-c.Changed():
		}
	}
}

// merged returns a copy of a map with keys set and deleted.
func merged(m, set map[string]string, del []string) map[string]string {
	all := make(map[string]string, len(m)+len(set))
	for k, v := range m {
		all[k] = v
	}
	for _, k := range del {
		delete(all, k)
	}
	for k, v := range set {
		all[k] = v
	}
	return all
}
