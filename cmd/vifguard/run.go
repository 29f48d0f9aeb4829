package main

import (
	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/serve"
	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/control"
)

func newRun(o *options) *cobra.Command {
	var c serve.Config
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent",
		Long: `Run the agent: program every guarded bridge of this host as OVSDB asks, keep it that
way, and report in OVSDB. It waits for Open vSwitch when that isn't there yet.
SIGTERM and SIGINT end it; the flows stay, so protection goes on without it.

Started by systemd with Type=notify it says that it is ready once every guarded bridge
was compared with OVSDB, what it is waiting for, and, when a watchdog asks for that,
that its main loop turns.`,
		Example: `  vifguard run
  vifguard run --log-level debug
  vifguard run --ovsdb unix:/usr/local/var/run/openvswitch/db.sock`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Endpoint, c.RunDir, c.Version, c.Stderr = o.endpoint, o.runDir, version(), term.Unwrap(cmd.ErrOrStderr())
			return serve.Run(cmd.Context(), c)
		},
	}
	cmd.Flags().StringVar(&c.LogLevel, "log-level", "info", "error, warn, info or debug")
	cmd.Flags().StringVar(&c.LogFormat, "log-format", "auto", "text, json, journal (lines for systemd's journal), or auto: text on a terminal, journal when standard error is the journal, json elsewhere")
	cmd.Flags().DurationVar(&c.CheckInterval, "check-interval", serve.DefaultCheckInterval, "time between two comparisons with the switch's real flows")
	cmd.Flags().StringVar(&c.MetricsAddress, "metrics-address", "127.0.0.1:9479", "where Prometheus finds metrics: HOST:PORT or unix:PATH; empty for nowhere")
	cmd.Flags().IntVar(&c.SampleRate, "sample-rate", serve.DefaultSampleRate, "dropped packets per second and VIF that the switch shows to the agent at most, for \"vifguard drops\"; 0 for none")
	cmd.Flags().StringVar(&c.ControlSocket, "control", control.DefaultPath, "path of the control socket that \"vifguard drops\" asks; \"\" for none")
	cmd.Flags().StringVar(&c.StateDir, "state-dir", serve.DefaultStateDir, "directory that keeps what VIFs claimed over restarts of the agent; \"\" for none")
	return cmd
}
