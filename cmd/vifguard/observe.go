package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

func newObserve(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "observe BRIDGE|PORT...",
		Short: "Let everything pass, and count what would be dropped",
		Long: `Observe bridges or ports: everything passes, and what would be dropped is counted.

A bridge that isn't guarded is opted in, so this is how to start on a host that already
runs: observe a bridge, look at vifguard status for a while, correct the metadata, and
turn it over with vifguard enforce. VIFs whose own port-security-action, or whose profile,
says enforce stay enforced and are named. Of a bridge that enforces, protection is
lifted. Either all that is named is written, or nothing.`,
		Example: `  vifguard observe br0             opt br0 in, and drop nothing yet
  vifguard observe tap1 tap2       two VIFs, whatever their bridge says`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			list, err := newTurns(s.Host(), args, model.Observe)
			if err != nil {
				return err
			}
			if err := s.write(list); err != nil {
				return err
			}
			for _, t := range list {
				t.describe(output(cmd), s.Host().Profiles)
			}
			return nil
		},
	}
}

// turn is a bridge or a port whose action is changed.
type turn struct {
	bridge *model.Bridge
	port   *model.Interface // nil for the bridge as a whole
	set    map[string]string
	action model.Action
	after  *model.Bridge // the bridge as it will be
}

// newTurns finds what names mean, bridges before ports, and what is to be written.
func newTurns(h *model.Host, names []string, action model.Action) ([]*turn, error) {
	var list []*turn
	for _, name := range names {
		t := &turn{bridge: h.Bridge(name), action: action, set: map[string]string{model.KeyAction: action.String()}}
		if t.bridge == nil {
			if t.bridge, t.port = h.FindInterface(name); t.port == nil {
				return nil, noSuchName(h, name)
			}
		}
		if err := t.prepare(); err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// prepare completes what is to be written and refuses what must not be.
func (t *turn) prepare() error {
	after := *t.bridge
	t.after = &after
	if t.port != nil {
		if !t.port.IsVIF() {
			return exit.Errorf(exit.Usage, "%s has no key of vifguard, so it is trusted; an action alone would make it a VIF without a MAC (say what it may be first: vifguard set %s --mac ...)",
				t.port.Name, t.port.Name)
		}
		row := *t.port
		set, del := row.Stamp(t.set, nil)
		row.ExternalIDs = merged(row.ExternalIDs, set, del)
		after.Interfaces = []*model.Interface{&row}
		return nil
	}
	if !model.ResolveBridge(t.bridge).Guarded {
		if t.action == model.Enforce {
			return exit.Errorf(exit.Usage, "bridge %s isn't guarded (look first: vifguard observe %s; or enforce at once: vifguard guard %s)",
				t.bridge.Name, t.bridge.Name, t.bridge.Name)
		}
		t.set[model.KeyChecks] = "auto"
	}
	after.ExternalIDs = merged(t.bridge.ExternalIDs, t.set, nil)
	if config := model.ResolveBridge(&after); len(config.Problems) > 0 {
		return exit.Errorf(exit.Usage, "nothing written: bridge %s: %v", t.bridge.Name, config.Problems.Refused())
	}
	return nil
}

// write makes all changes at once.
func (s *session) write(list []*turn) error {
	var edits []ovsdb.Edit
	for _, t := range list {
		edit := ovsdb.Edit{Table: ovsdb.TableBridge, UUID: t.bridge.UUID, Set: t.set}
		if t.port != nil {
			edit.Table, edit.UUID = ovsdb.TableInterface, t.port.UUID
			edit.Set, edit.Delete = t.port.Stamp(t.set, nil)
		}
		edits = append(edits, edit)
	}
	_, err := s.Apply(s.ctx, edits)
	return err
}

// describe says what the turn means for the ports that it is about.
func (t *turn) describe(out *term.Writer, profiles map[string]string) {
	config := model.ResolveBridge(t.after)
	if t.port != nil {
		p := model.Resolve(&config, profiles, t.after.Interfaces[0])
		out.Printf("%s: %s\n", t.port.Name, report.Verdict(&p))
		if !config.Guarded {
			out.Printf("Bridge %s isn't guarded, so nothing is checked (start with: vifguard observe %s)\n", t.bridge.Name, t.bridge.Name)
		}
		return
	}
	var other []string
	count := 0
	for _, i := range t.after.Interfaces {
		p := model.Resolve(&config, profiles, i)
		switch {
		case p.Mode == model.Trusted || p.Mode == model.Off:
			continue
		case p.Action != t.action:
			other = append(other, fmt.Sprintf("%s stays on %s: %s says so", i.Name, p.Action, p.Origins.Of(model.KeyAction)))
			continue
		}
		count++
		if p.Mode == model.Blocked && t.action == model.Observe {
			other = append(other, fmt.Sprintf("%s would be blocked: %s", i.Name, p.Origins.Mode))
		}
	}
	if t.action == model.Observe {
		out.Printf("Bridge %s is guarded and only observed: nothing of %d VIFs is dropped, what would be is counted.\n", t.bridge.Name, count)
	} else {
		out.Printf("Bridge %s enforces: what %d VIFs may not send is dropped.\n", t.bridge.Name, count)
	}
	for _, line := range other {
		out.Printf("%s\n", line)
	}
	if t.action == model.Observe {
		out.Printf("See what would be dropped with: vifguard status; later, what to do about it: vifguard advise %s; and turn it over with: vifguard enforce %s\n", t.bridge.Name, t.bridge.Name)
	}
}
