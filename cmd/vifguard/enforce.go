package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

func newEnforce(o *options) *cobra.Command {
	var force, dryRun bool
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "enforce BRIDGE|PORT...",
		Short: "Drop what was only observed so far",
		Long: `Turn observed bridges or ports over: from now on, what was only counted is dropped.

It first lists the VIFs that this would hurt: those that sent what would be dropped, with
the counters by reason and when it last happened, and those that the agent hasn't begun
to observe. If there are any it refuses, and writes nothing, unless --force is given. The
counters begin when the VIF is first observed; --since leaves out what is longer ago, as
it is after the metadata was corrected. VIFs with port-security-action=observe of their
own, or by their profile, stay observed and are named.

Exit codes: 0 written, or nothing stands against it (--dry-run); 1 refused.`,
		Example: `  vifguard enforce br0 --dry-run       what would now be dropped?
  vifguard enforce br0                 if no VIF has sent any of that
  vifguard enforce br0 --since 24h     if no VIF has within a day
  vifguard enforce br0 --force         in any case
  vifguard enforce tap1                one VIF`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if since < 0 {
				return usageError(cmd, "--since: %s lies in the future (want e.g. 24h)", since)
			}
			s, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			return s.enforce(output(cmd), args, since, force, dryRun)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if VIFs sent what is dropped then")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only list the VIFs that it would hurt")
	cmd.Flags().DurationVar(&since, "since", 0, "only what was sent within this time counts (default: as long as there are counters)")
	return cmd
}

func (s *session) enforce(out *term.Writer, names []string, since time.Duration, force, dryRun bool) error {
	list, err := newTurns(s.Host(), names, model.Enforce)
	if err != nil {
		return err
	}
	var objections []string
	gathered := make(map[*model.Bridge]*evidence)
	for _, t := range list {
		e := gathered[t.bridge]
		if e == nil {
			e = s.gather(t.bridge)
			gathered[t.bridge] = e
		}
		for _, line := range e.against(t, s.Host().Profiles, since) {
			if !slices.Contains(objections, line) { // a port and its bridge can both be named
				objections = append(objections, line)
			}
		}
	}
	for _, line := range objections {
		out.Printf("%s\n", line)
	}
	switch {
	case len(objections) > 0 && !force:
		return exit.Errorf(exit.No, "nothing written: enforce would hurt the above; see vifguard explain PORT and trace, correct the metadata, and use --since, or --force")
	case dryRun:
		out.Printf("Nothing written (--dry-run).\n")
		return nil
	}
	if err := s.write(list); err != nil {
		return err
	}
	for _, t := range list {
		t.describe(out, s.Host().Profiles)
	}
	return nil
}

// evidence is what the switch has counted of a bridge's VIFs.
type evidence struct {
	inspect.Inspection
	last   map[string]time.Duration // by Interface row UUID
	noTime error                    // why last is missing
}

func (s *session) gather(b *model.Bridge) *evidence {
	e := &evidence{Inspection: s.inspect(b)}
	if e.Config.Guarded && e.Switch == nil {
		e.last, e.noTime = inspect.LastDrops(s.ctx, &e.Inspection, s.runDir)
	}
	return e
}

// against lists what speaks against a turn, a line each. Ports that are enforced
// already, or stay observed, don't.
func (e *evidence) against(t *turn, profiles map[string]string, since time.Duration) []string {
	after := model.ResolveBridge(t.after)
	if !after.Guarded {
		return nil
	}
	if e.Switch != nil {
		return []string{fmt.Sprintf("the counters can't be read: %v", e.Switch)}
	}
	var lines []string
	for _, row := range t.after.Interfaces {
		policy := model.Resolve(&after, profiles, row)
		p := e.Port(row)
		if p == nil || p.Policy.Action == policy.Action || policy.Mode == model.Trusted || policy.Mode == model.Off {
			continue
		}
		who := row.Name
		if vm := row.VMID(); vm != "" {
			who += " (VM " + vm + ")"
		}
		switch {
		case row.OFPort == 0: // it has sent nothing yet
		case !p.InForce:
			lines = append(lines, who+": isn't observed yet, the switch has other flows (is the agent running?)")
		case report.DropsText(p.Drops, len(p.Drops)) != "":
			ago, known := e.last[row.UUID]
			if known && since > 0 && ago > since {
				continue
			}
			line := fmt.Sprintf("%s: would have been dropped: %s", who, report.DropsText(p.Drops, len(p.Drops)))
			if known {
				line += ", last " + report.Roughly(int64(ago/time.Second)) + " ago"
			}
			lines = append(lines, line)
		}
	}
	if len(lines) > 0 && since > 0 && e.noTime != nil {
		lines = append(lines, fmt.Sprintf("--since has no effect: %v", exit.Times(t.bridge.Name, "", e.noTime)))
	}
	return lines
}
