package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

// An agent may be at work, so a difference counts only when it is still there.
const (
	verifyAttempts = 3                      // comparisons before a difference counts
	verifyPause    = 300 * time.Millisecond // between two of them
)

func newVerify(o *options) *cobra.Command {
	var format string
	var all bool
	cmd := &cobra.Command{
		Use:   "verify [BRIDGE...]",
		Short: "Compare the switch with what OVSDB asks for",
		Long: `Compare bridges with what OVSDB asks for, flow by flow: without arguments all of the
host, of which those that aren't guarded must hold nothing of vifguard's. It changes
nothing and works without the agent. A difference counts when it is still there after a
second, so that an agent at work doesn't make it fail.

It prints "-" for what is asked for and "+" for what there is, and whose it is:
  missing     a flow isn't there
  changed     a flow has other actions, or another owner
  unexpected  a flow of vifguard's that nothing asks for
  foreign     a flow of somebody else takes precedence over the checks
  exposed     something lets frames pass around the checks: each finding of
              docs/exposure.md, whom it concerns, and every command that closes it
  fragments   the switch's fragment mode blinds the guards
  status      a status key (vifguard-state, -checks, -error, -seq, -flood) says something else
  unusable    the bridge's own metadata can't be used

Notices, which are worth knowing and let nothing pass, are printed too and differ from
nothing.

Exit codes: 0 everything agrees; 1 something differs; 3, 4 or 5 a switch can't be read.`,
		Example: `  vifguard verify                      every bridge of the host
  vifguard verify br0 --all            every difference, however many
  vifguard verify -o json || alert     for monitoring`,
		Args: arguments(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			s, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			results, err := s.verify(args)
			if results == nil {
				return err
			}
			if format == "json" {
				if failed := output(cmd).JSON(results); failed != nil {
					return failed
				}
				return err
			}
			for i := range results {
				results[i].Print(output(cmd), all)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, fmt.Sprintf("print every difference, and not only the first %d of each bridge", report.ShownDifferences))
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}

// verify compares the named bridges, or all. The results are nil if a name is wrong;
// the error is that of the first switch that can't be read, or says that some differ.
func (s *session) verify(names []string) ([]report.Verification, error) {
	host := s.Host()
	named := len(names) > 0
	for _, name := range names {
		if _, err := findBridge(host, name); err != nil {
			return nil, err
		}
	}
	if !named {
		names = bridgeNames(host)
	}
	results := make([]report.Verification, 0, len(names))
	var unread error
	differ := 0
	for _, name := range names {
		r, err := s.verifyBridge(name)
		if err != nil {
			err = exit.Switch(name, s.runDir, err)
			if r.Guarded || named {
				r.Error = err.Error()
				if unread == nil {
					unread = err
				}
			}
		}
		r.Agrees = err == nil && len(r.Differences) == 0
		if len(r.Differences) > 0 {
			differ++
		}
		results = append(results, r)
	}
	switch {
	case unread != nil:
		return results, unread
	case differ > 0:
		return results, exit.Errorf(exit.No, "%d of %d bridges differ from what OVSDB asks for", differ, len(results))
	}
	return results, nil
}

// verifyBridge compares until a bridge agrees, or it has done so often enough.
func (s *session) verifyBridge(name string) (report.Verification, error) {
	r := report.Verification{Bridge: name, Differences: []report.Difference{}, Notices: []report.Finding{}}
	for attempt := 1; ; attempt++ {
		b := s.Host().Bridge(name)
		if b == nil {
			return r, nil // removed meanwhile
		}
		r.Guarded = model.ResolveBridge(b).Guarded
		v, err := inspect.Verify(s.ctx, s.Host(), b, s.runDir)
		if err != nil {
			return r, err
		}
		if len(v.Differences) == 0 || attempt == verifyAttempts {
			r.Flows, r.Notices = v.Flows, report.NewFindings(v.Notices)
			for i := range v.Differences {
				r.Differences = append(r.Differences, report.NewDifference(&v.Differences[i]))
			}
			return r, nil
		}
		if err := sleep(s.ctx, verifyPause); err != nil {
			return r, err
		}
	}
}
