package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// vifStatus is one VIF in the JSON output of status. Its schema is stable.
type vifStatus struct {
	Bridge     string            `json:"bridge"`
	Port       string            `json:"port"`
	VM         string            `json:"vm,omitempty"`
	State      string            `json:"state"` // as the agent reported it; "unknown" when it never did
	InForce    bool              `json:"in_force"`
	Checks     string            `json:"checks"`
	ChecksFrom string            `json:"checks_from"`
	Action     string            `json:"action"`
	ActionFrom string            `json:"action_from"`
	MAC        string            `json:"mac,omitempty"`
	Addresses  []string          `json:"addresses"`
	Drops      map[string]uint64 `json:"drops"` // packets by reason; with action observe those that would have been dropped
	Error      string            `json:"error,omitempty"`

	Quarantine string `json:"quarantine,omitempty"` // the last one, as the agent reported it
}

func newStatus(o *options) *cobra.Command {
	var format string
	var watch bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "status [BRIDGE|PORT]",
		Short: "Show one line a VIF: state, checks, addresses, drops",
		Long: `Show every VIF of the guarded bridges, of one bridge, or one VIF: what the agent
reported, what the VIF may be, and what was dropped (by action observe: would have been).
Everything is read from OVSDB and from the switch, so it is true while the agent is down
too. Cells that don't fit the width are cut, and JSON has them whole.

With --watch it looks again and again, and adds drops per second. A terminal is redrawn;
on other outputs only VIFs that changed are printed, below the time; with -o json each
look is one line. Colours repeat what the words say, and NO_COLOR turns them off.`,
		Example: `  vifguard status                        every VIF
  vifguard status br0                    those of a bridge
  vifguard status tap1 -o json           one, for a script
  vifguard status --watch --interval 5s  who is dropping right now?`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "table"); err != nil {
				return err
			}
			if cmd.Flags().Changed("interval") && !watch {
				return usageError(cmd, "--interval: is only for --watch")
			}
			if interval < minInterval {
				return usageError(cmd, "--interval: %s is too short (want at least %s)", interval, minInterval)
			}
			s, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			if watch {
				return s.watch(cmd.Context(), newWatcher(output(cmd), format, interval), args)
			}
			list, notes, err := s.status(args)
			if err != nil {
				return err
			}
			if format == "json" {
				err = output(cmd).JSON(list)
			} else {
				printStatus(output(cmd), list, nil)
				notes = append(notes, o.hints(s)...)
			}
			for _, n := range notes {
				remark(cmd, "%s", n)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table, or json (docs/json.md describes it)")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "look again and again")
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "time between two looks of --watch")
	return cmd
}

// status reads all guarded bridges, the named one, or the one that holds the named
// port. notes are about bridges as a whole.
func (s *session) status(args []string) (list []vifStatus, notes []string, err error) {
	host := s.Host()
	bridges := host.Bridges
	var only []*model.Interface
	if len(args) == 1 {
		if b := host.Bridge(args[0]); b != nil {
			bridges = []*model.Bridge{b}
		} else {
			b, i, err := findPort(host, args[0])
			if err != nil {
				return nil, nil, err
			}
			bridges, only = []*model.Bridge{b}, []*model.Interface{i}
		}
	}
	list = []vifStatus{}
	guarded := 0
	for _, b := range bridges {
		if !model.ResolveBridge(b).Guarded {
			continue
		}
		guarded++
		in := s.inspect(b, only...)
		notes = append(notes, notesOf(&in)...)
		for i := range in.Ports {
			if p := &in.Ports[i]; isVIF(p) {
				list = append(list, describe(&in, p))
			}
		}
	}
	switch {
	case guarded == 0 && len(args) == 1:
		notes = append(notes, fmt.Sprintf("bridge %s isn't guarded (opt it in with: vifguard guard %s)", bridges[0].Name, bridges[0].Name))
	case guarded == 0:
		notes = append(notes, "no bridge is guarded (opt one in with: vifguard guard BRIDGE)")
	case only != nil && len(list) == 0:
		notes = append(notes, fmt.Sprintf("%s is a trusted port, not a VIF (vifguard explain %s says why)", only[0].Name, only[0].Name))
	}
	return list, notes, nil
}

// notesOf says what is to be known of a bridge as a whole.
func notesOf(in *inspect.Inspection) (notes []string) {
	if in.Switch != nil {
		notes = append(notes, "no counters: "+in.Switch.Error())
	}
	if in.UnknownPort > 0 {
		notes = append(notes, fmt.Sprintf("bridge %s: dropped because their port wasn't programmed yet (unknown-port): %d", in.Bridge.Name, in.UnknownPort))
	}
	if text := in.Config.Problems.String(); text != "" {
		notes = append(notes, fmt.Sprintf("bridge %s: %s", in.Bridge.Name, text))
	}
	return notes
}

// hints says what a person should know beside the VIFs: which bridges aren't closed by
// their fail_mode, and whether nobody keeps the flows as OVSDB asks.
func (o *options) hints(s *session) (hints []string) {
	for _, b := range s.Host().Bridges {
		if !model.ResolveBridge(b).Guarded || b.FailMode == model.FailSecure {
			continue
		}
		last := ""
		if v := b.ExternalIDs[model.KeyUnguarded]; v != "" {
			last = "; last time that took " + v
		}
		hints = append(hints, fmt.Sprintf("bridge %s: after a restart of ovs-vswitchd everything passes until the agent is back%s (to close that: vifguard guard --secure %s)", b.Name, last, b.Name))
	}
	if runs, err := ovsdb.AgentRuns(s.ctx, o.endpoint); err == nil && !runs {
		hints = append(hints, "no agent works on this Open vSwitch: flows stay in force, and what changes waits for one (vifguard run)")
	}
	return hints
}

func describe(in *inspect.Inspection, p *inspect.PortInspection) vifStatus {
	s := vifStatus{
		Bridge: in.Bridge.Name, Port: p.Row.Name, VM: p.Row.VMID(),
		State: p.Row.ExternalIDs[model.KeyStatusState], InForce: p.InForce,
		Checks: p.Policy.Checks.String(), ChecksFrom: p.Policy.Origins.Mode,
		Action: p.Policy.Action.String(), ActionFrom: orDefault(p.Policy.Origins.Of(model.KeyAction)),
		Addresses: addresses(&p.Policy), Drops: map[string]uint64{},
		Error: p.Policy.Problems.String(), Quarantine: p.Row.ExternalIDs[model.KeyStatusFlood],
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
	for _, r := range model.Reasons() {
		if n, ok := p.Drops[r]; ok {
			s.Drops[r.String()] = n
		}
	}
	if !p.InForce && in.Switch == nil && in.Config.Usable && s.Error == "" && p.Row.OFPort != 0 {
		s.Error = "the switch doesn't have this policy (is the agent running?)"
	}
	if s.Error == "" {
		s.Error = quarantineText(p)
	}
	return s
}

// Limits of cells in the status table.
const (
	maxVM      = 13
	maxReasons = 3
)

// printStatus writes one line a VIF, with the drops per second where they are known.
// The VM has a column only where somebody wrote one. Errors that don't fit follow.
func printStatus(out *term.Writer, list []vifStatus, rates map[string]string) {
	if len(list) == 0 {
		return
	}
	named := slices.ContainsFunc(list, func(s vifStatus) bool { return s.VM != "" })
	t := term.Table{
		Head:  []string{"BRIDGE", "PORT", "STATE", "CHECKS", "ADDRESSES", "DROPS", "ERROR"},
		Least: map[string]int{"BRIDGE": 6, "PORT": 8, "VM": 8, "ADDRESSES": 15, "DROPS": 14, "ERROR": 12},
		Style: stateStyle,
	}
	const vmColumn, rateColumn = 2, 5
	columns := func(vm, rate string, cells []string) []string {
		if rates != nil {
			cells = slices.Insert(cells, rateColumn, rate)
		}
		if named {
			cells = slices.Insert(cells, vmColumn, vm)
		}
		return cells
	}
	t.Head = columns("VM", "DROPS/S", t.Head)
	for _, s := range list {
		t.Add(columns(term.Cut(s.VM, maxVM), rates[s.Port], []string{
			s.Bridge, s.Port, s.State, s.Checks, strings.Join(s.Addresses, " "), reasonsText(s.Drops, maxReasons), s.Error,
		})...)
	}
	t.Write(out)
	for _, s := range list {
		if utf8.RuneCountInString(s.Error) <= t.Width("ERROR") {
			continue
		}
		out.Paragraph(term.Red, s.Port+": "+s.Error, "  ")
	}
}

// reasonsText is dropsText of drops by name.
func reasonsText(drops map[string]uint64, most int) string {
	byReason := make(map[model.Reason]uint64)
	for _, r := range model.Reasons() {
		byReason[r] = drops[r.String()]
	}
	return dropsText(byReason, most)
}

// stateStyle sets off the state and the error.
func stateStyle(heading, cell string) term.Style {
	switch {
	case heading == "ERROR" && cell != "-":
		return term.Red
	case heading != "STATE":
		return term.Plain
	}
	switch model.State(cell) {
	case model.StateEnforced:
		return term.Green
	case model.StateBlocked, model.StateQuarantined:
		return term.Red
	case model.StateOff:
		return term.Plain
	}
	return term.Yellow
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
