package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/controller"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// vifStatus is one VIF in the JSON output of status. Its schema is stable.
type vifStatus struct {
	Bridge    string            `json:"bridge"`
	Port      string            `json:"port"`
	VM        string            `json:"vm,omitempty"`
	State     string            `json:"state"` // as the agent reported it; "unknown" when it never did
	InForce   bool              `json:"in_force"`
	Checks    string            `json:"checks"`
	Action    string            `json:"action"`
	MAC       string            `json:"mac,omitempty"`
	Addresses []string          `json:"addresses"`
	Drops     map[string]uint64 `json:"drops"` // packets by reason; with action observe those that would have been dropped
	Error     string            `json:"error,omitempty"`
}

func newStatus(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status [PORT]",
		Short: "Show one line a VIF: state, checks, addresses, drops",
		Long: `Show every VIF of the guarded bridges, or one: what the agent reported, what the VIF
may be, and what was dropped. Everything is read from OVSDB and from the switch, so
it is true while the agent is down too.`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "table"); err != nil {
				return err
			}
			list, notes, err := o.status(cmd, args)
			if err != nil {
				return err
			}
			if format == "json" {
				err = printJSON(cmd.OutOrStdout(), list)
			} else {
				err = printStatus(cmd.OutOrStdout(), list)
			}
			for _, n := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), "vifguard:", n)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

// status reads all guarded bridges, or the one that holds the named port. notes are
// about bridges as a whole.
func (o *options) status(cmd *cobra.Command, args []string) (list []vifStatus, notes []string, err error) {
	s, err := o.open(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	host := s.Host()
	bridges := host.Bridges
	only := ""
	if len(args) == 1 {
		b, i, err := findPort(host, args[0])
		if err != nil {
			return nil, nil, err
		}
		bridges, only = []*model.Bridge{b}, i.Name
	}
	list = []vifStatus{}
	guarded := 0
	for _, b := range bridges {
		if !model.ResolveBridge(b).Guarded {
			continue
		}
		guarded++
		in := s.inspect(b)
		if in.Switch != nil {
			notes = append(notes, "no counters: "+in.Switch.Error())
		}
		if in.UnknownPort > 0 {
			notes = append(notes, fmt.Sprintf("bridge %s: dropped because their port wasn't programmed yet (unknown-port): %d", b.Name, in.UnknownPort))
		}
		if text := in.Config.Problems.String(); text != "" {
			notes = append(notes, fmt.Sprintf("bridge %s: %s", b.Name, text))
		}
		for i := range in.Ports {
			if p := &in.Ports[i]; isVIF(p) && (only == "" || p.Row.Name == only) {
				list = append(list, describe(&in, p))
			}
		}
	}
	switch {
	case guarded == 0 && only != "":
		notes = append(notes, fmt.Sprintf("%s is on a bridge that isn't guarded", only))
	case guarded == 0:
		notes = append(notes, "no bridge is guarded (opt one in with: vifguard guard BRIDGE)")
	case only != "" && len(list) == 0:
		notes = append(notes, fmt.Sprintf("%s is a trusted port, not a VIF (vifguard explain %s says why)", only, only))
	}
	return list, notes, nil
}

func describe(in *controller.Inspection, p *controller.PortInspection) vifStatus {
	s := vifStatus{
		Bridge: in.Bridge.Name, Port: p.Row.Name, VM: p.Row.VMID(),
		State: p.Row.ExternalIDs[model.KeyStatusState], InForce: p.InForce,
		Checks: p.Policy.Checks.String(), Action: p.Policy.Action.String(),
		Addresses: addresses(&p.Policy), Drops: map[string]uint64{},
		Error: p.Policy.Problems.String(),
	}
	if s.State == "" {
		s.State = "unknown"
	}
	if reported := p.Row.ExternalIDs[model.KeyStatusError]; s.Error == "" {
		s.Error = reported // what the agent alone knows, such as a flow that the switch refused
	}
	if p.Policy.MAC != (model.MAC{}) {
		s.MAC = p.Policy.MAC.String()
	}
	if s.Addresses == nil {
		s.Addresses = []string{}
	}
	for _, r := range flows.Reasons() {
		if n, ok := p.Drops[r]; ok {
			s.Drops[r.String()] = n
		}
	}
	if !p.InForce && in.Switch == nil && in.Config.Usable && s.Error == "" && p.Row.OFPort != 0 {
		s.Error = "the switch doesn't have this policy (is the agent running?)"
	}
	return s
}

// Widths to which cells of the status table are cut; JSON has them whole.
const (
	maxVM        = 13
	maxAddresses = 40
	maxReasons   = 3
)

// printStatus writes one line a VIF. The VM has a column only where somebody wrote one.
func printStatus(out io.Writer, list []vifStatus) error {
	named := slices.ContainsFunc(list, func(s vifStatus) bool { return s.VM != "" })
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(vm string, cells ...string) {
		if named {
			cells = slices.Insert(cells, 2, vm)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	row("VM", "BRIDGE", "PORT", "STATE", "CHECKS", "ADDRESSES", "DROPS", "ERROR")
	for _, s := range list {
		drops := make(map[flows.Reason]uint64)
		for _, r := range flows.Reasons() {
			drops[r] = s.Drops[r.String()]
		}
		row(orDash(shorten(s.VM, maxVM)), s.Bridge, s.Port, s.State, orDash(s.Checks),
			orDash(shorten(strings.Join(s.Addresses, " "), maxAddresses)), orDash(dropsText(drops, maxReasons)), orDash(s.Error))
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// shorten cuts a cell of a table; JSON has it whole.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
