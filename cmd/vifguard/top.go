package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/cmd/vifguard/top"
	"github.com/vifguard/vifguard/controller/control"
)

func newTop(o *options) *cobra.Command {
	var socket string
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "top [BRIDGE]",
		Short: "Watch which VIFs are dropping, most first",
		Long: `Show the VIFs of all guarded bridges, or of one, on a screen that renews itself: drops
per second, their total and main reason by the switch's counters, and the last claim that
the agent sampled. Enter explains a VIF; ? lists the keys.

It needs a terminal; for scripts and logs there is vifguard status --watch.`,
		Example: `  vifguard top
  vifguard top br0 --interval 5s`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if interval < minInterval {
				return usageError(cmd, "--interval: %s is too short (want at least %s)", interval, minInterval)
			}
			if !term.IsTerminal(os.Stdin) || !term.IsTerminal(cmd.OutOrStdout()) {
				return usageError(cmd, "top needs a terminal for input and output (use vifguard status --watch)")
			}
			s, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			if len(args) == 1 {
				if _, err := findBridge(s.Host(), args[0]); err != nil {
					return err
				}
			}
			return runTop(cmd.Context(), &topSource{session: s, args: args}, top.Config{Title: strings.Join(args, ""), Interval: interval, Control: socket})
		},
	}
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "time between two looks")
	cmd.Flags().StringVar(&socket, "control", control.DefaultPath, "the agent's control socket")
	return cmd
}

// runTop shows the screen.
func runTop(ctx context.Context, s *topSource, c top.Config) error {
	err := top.Run(ctx, s, c)
	if errors.Is(err, top.ErrLost) {
		return exit.Errorf(exit.NoSwitch, "%w", err)
	}
	return err
}

// topSource reads what top shows, with the time limit of a command each time.
type topSource struct {
	*session
	args []string
}

func (s *topSource) Status(ctx context.Context) ([]report.Status, []string, error) {
	return s.statusWithin(ctx, s.args)
}

func (s *topSource) Explain(ctx context.Context, port string) string {
	limited, cancel := s.within(ctx)
	defer cancel()
	bridge, row, err := findPort(s.Host(), port)
	if err != nil {
		return err.Error()
	}
	in := limited.inspect(bridge, row)
	limited.judge(&in, row)
	var text strings.Builder
	report.Explain(term.NewWriter(&text), &in, in.Port(row), false)
	return text.String()
}
