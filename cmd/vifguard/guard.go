package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
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
ports are trusted unless --unmarked=block. A bridge that OVN, Neutron or another
OpenFlow controller programs is refused: its flows and vifguard's would defeat each
other.
` + secureHelp,
		Example: `  vifguard guard br0                       check MACs; ARP, ND, IP where addresses are declared
  vifguard guard br0 --checks mac          check only MACs unless a VIF says otherwise
  vifguard guard br0 --action observe      count, don't drop (or: vifguard observe br0)
  vifguard guard br0 --flood 1000          cut off VIFs while they flood
  vifguard guard br0 --unmarked block      block ports that say nothing
  vifguard guard br0 --secure              closed, not open, after a restart of ovs-vswitchd`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := givenKeys(cmd, model.OnBridge)
			if _, ok := set[model.KeyChecks]; !ok {
				set[model.KeyChecks] = "auto"
			}
			return o.guard(cmd, args[0], set, secure, force)
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
	if who := programmer(s.Host(), b); who != "" && !force {
		return fmt.Errorf("bridge %s is programmed by %s; accepted packets would go past its flows, so nothing was written (guard it nevertheless with --force; see docs/guides/ovn-neutron.md)", name, who)
	}
	after := *b
	after.ExternalIDs = merged(b.ExternalIDs, set, nil)
	config := model.ResolveBridge(&after)
	if len(config.Problems) > 0 {
		return exit.Errorf(exit.Usage, "nothing written: %v", config.Problems.Refused())
	}
	edit := ovsdb.Edit{Table: ovsdb.TableBridge, UUID: b.UUID, Set: set}
	if secure {
		if err := o.checkSecure(s, b); err != nil && !force {
			return fmt.Errorf("nothing written: %w", err)
		}
		secureEdit(b, &edit)
		after.FailMode = model.FailSecure
	}
	began := time.Now()
	if _, err := s.Apply(s.ctx, []ovsdb.Edit{edit}); err != nil {
		return err
	}
	report.Guarded(output(cmd), &after, &config, s.Host().Profiles)
	if edit.FailMode != nil && !force {
		return awaitSecured(s, output(cmd), name, began)
	}
	return nil
}

// programmer names what else programs a bridge's flows, or returns "". OVN needs no
// controller row: like vifguard it uses the management socket. Neutron's agent sets one
// on each of its bridges.
func programmer(h *model.Host, b *model.Bridge) string {
	if h.OVNBridge == b.Name {
		return "OVN (Open_vSwitch external_ids has ovn-remote)"
	}
	for _, k := range slices.Sorted(maps.Keys(b.ExternalIDs)) {
		// ovn-controller numbers its connection tracking zones there, whatever the
		// bridge's name is.
		if strings.HasPrefix(k, "ct-zone-") || k == "ovn-nb-cfg" {
			return "OVN (its external_ids has " + k + ")"
		}
	}
	if b.HasController {
		return "an OpenFlow controller (Neutron's agent, for example; ovs-vsctl get-controller " + b.Name + ")"
	}
	return ""
}

// bridgeKeys are the keys of a bridge that release removes.
func bridgeKeys() []string {
	var names []string
	for _, k := range model.Keys(model.OnBridge) {
		names = append(names, k.Names()...)
	}
	return names
}

func newRelease(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "release BRIDGE",
		Short: "Stop guarding a bridge",
		Long: `Stop guarding a bridge: its vifguard keys, the status keys of its ports and all of
vifguard's flows are removed, and it forwards as before. A fail_mode that "vifguard
guard --secure" has changed is set back, with which Open vSwitch clears all flows. The
keys of its VIFs stay. It works with and without a running agent.`,
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
	edit := ovsdb.Edit{Table: ovsdb.TableBridge, UUID: b.UUID, Delete: bridgeKeys()}
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
	if del, mode := model.BridgeLeftovers(b); len(del) > 0 {
		if _, err := s.Apply(s.ctx, []ovsdb.Edit{{Table: ovsdb.TableBridge, UUID: b.UUID, Delete: del, FailMode: mode}}); err != nil {
			return err
		}
	}
	if err := clearStatus(s.ctx, s.Client, name); err != nil {
		return err
	}
	output(cmd).Printf("Bridge %s is released; it forwards as before vifguard. Flows removed by this command: %d.\n", name, n)
	return nil
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
