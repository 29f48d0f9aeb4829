package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/model"
)

// waitFor is what wait is asked for.
type waitFor struct {
	port   string
	seq    string
	hasSeq bool
	states []string
}

func newWait(o *options) *cobra.Command {
	var w waitFor
	var timeout time.Duration
	var format string
	cmd := &cobra.Command{
		Use:   "wait PORT",
		Short: "Wait until a port's policy is in force",
		Long: `Wait until a port's policy is in force: the agent reports a settled state that fits the
port's metadata, has echoed its port-security-seq (or --seq), and the switch has the
port's flows. The port, its keys and the agent may still be missing: it waits for them.

A port without any key of vifguard is trusted and has no policy, so there is nothing to
wait for until one is written. Metadata that is written while it waits counts; use --seq
to be sure that it is yours.

Exit codes: 0 the policy is in force; 1 it is, but its state isn't one of --state;
7 the port is blocked or quarantined, and --state doesn't name that; 8 its rules are in
force, but frames can pass around them (state exposed), and --state doesn't name that;
5 timeout. The message says what it was waiting for, what the state was, and why.`,
		Example: `  vifguard wait tap1                             in a hook, after the port was plugged
  vifguard set tap1 --address 192.0.2.10 --seq 7 && vifguard wait tap1 --seq 7
  vifguard wait tap1 --state enforced --timeout 1m
  vifguard wait tap1 --state blocked             to be sure that it is cut off`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.port, w.hasSeq = args[0], cmd.Flags().Changed("seq")
			if err := w.check(cmd, timeout); err != nil {
				return err
			}
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			s, err := o.openPort(cmd.Context(), w.port, timeout+commandTimeout)
			if err != nil {
				return err
			}
			defer s.close()
			r, err := s.wait(w, timeout)
			if format == "json" {
				if err := output(cmd).JSON(r); err != nil {
					return err
				}
			} else if err == nil {
				r.Print(output(cmd))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&w.seq, "seq", "", "sequence number to wait for (default: the port's port-security-seq)")
	cmd.Flags().StringSliceVar(&w.states, "state", []string{"enforced", "observed", "off"}, "states that will do: enforced, observed, off, blocked, quarantined, exposed")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long to wait, once connected to ovsdb-server")
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}

func (w *waitFor) check(cmd *cobra.Command, timeout time.Duration) error {
	var valid []string
	for _, s := range model.States() {
		if s != model.StatePending {
			valid = append(valid, string(s))
		}
	}
	for _, s := range w.states {
		if !slices.Contains(valid, s) {
			return usageError(cmd, "--state: %q is not a settled state (want %s)", s, strings.Join(valid, ", "))
		}
	}
	if timeout <= 0 {
		return usageError(cmd, "--timeout: %s is no time to wait (want e.g. 10s)", timeout)
	}
	return nil
}
