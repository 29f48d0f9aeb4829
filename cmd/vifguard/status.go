package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

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
too. What lets frames pass around the checks (state exposed, docs/exposure.md) is found
anew; of one VIF the agent's word is shown, if one works here. On a terminal cells that
don't fit the width are cut.

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
			s, err := o.openFor(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			defer s.close()
			if watch {
				return s.watch(cmd.Context(), report.NewWatcher(output(cmd), format == "json"), interval, args)
			}
			list, notes, found, err := s.status(args)
			if err != nil {
				return err
			}
			if format == "json" {
				err = output(cmd).JSON(list)
			} else {
				report.PrintStatuses(output(cmd), list, nil)
				notes = append(notes, found...)
				if runs, err := ovsdb.AgentRuns(s.ctx, o.endpoint); err == nil && !runs {
					notes = append(notes, "no agent works on this Open vSwitch: flows stay in force, and what changes waits for one (vifguard run)")
				}
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
// port. notes are about bridges as a whole, found is what was found about them.
func (s *session) status(args []string) (list []report.Status, notes, found []string, err error) {
	host := s.Host()
	bridges := host.Bridges
	var only []*model.Interface
	if len(args) == 1 {
		if b := host.Bridge(args[0]); b != nil {
			bridges = []*model.Bridge{b}
		} else {
			b, i, err := findPort(host, args[0])
			if err != nil {
				return nil, nil, nil, err
			}
			bridges, only = []*model.Bridge{b}, []*model.Interface{i}
		}
	}
	list = []report.Status{}
	guarded := 0
	for _, b := range bridges {
		if !model.ResolveBridge(b).Guarded {
			continue
		}
		guarded++
		in := s.inspect(b, only...)
		s.judge(&in, only...)
		notes, found = append(notes, report.Notes(&in)...), append(found, report.FindingNotes(&in)...)
		for i := range in.Ports {
			if p := &in.Ports[i]; p.IsVIF() {
				list = append(list, report.NewStatus(&in, p))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b report.Status) int {
		return cmp.Or(report.Compare(a.Bridge, b.Bridge), report.Compare(a.Port, b.Port))
	})
	switch {
	case guarded == 0 && len(args) == 1:
		notes = append(notes, fmt.Sprintf("bridge %s isn't guarded (opt it in with: vifguard guard %s)", bridges[0].Name, bridges[0].Name))
	case guarded == 0:
		notes = append(notes, "no bridge is guarded (opt one in with: vifguard guard BRIDGE)")
	case only != nil && len(list) == 0:
		notes = append(notes, fmt.Sprintf("%s is a trusted port, not a VIF (vifguard explain %s says why)", only[0].Name, only[0].Name))
	}
	return list, notes, found, nil
}
