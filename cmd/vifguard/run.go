package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
)

func newRun(o *options) *cobra.Command {
	var level, format, metricsAddress string
	var check time.Duration
	var c agent.Config
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
			log, err := newLog(cmd.ErrOrStderr(), level, format)
			if err != nil {
				return err
			}
			if check < 100*time.Millisecond {
				return fmt.Errorf("--check-interval: %s is too short (want at least 100ms)", check)
			}
			if c.SampleRate < 0 || c.SampleRate > bridge.MaxSampleRate {
				return fmt.Errorf("--sample-rate: %d packets per second can't be used (want 0 to %d)", c.SampleRate, bridge.MaxSampleRate)
			}
			c.Endpoint, c.RunDir, c.CheckInterval, c.Version, c.Log = o.endpoint, o.runDir, check, version(), log
			notify := newNotifier(log)
			c.Health = notify.health
			agent, err := agent.New(c)
			if err != nil {
				return err
			}
			stop, err := serveMetrics(metricsAddress, agent.Metrics(), log)
			if err != nil {
				return err
			}
			defer stop()
			log.WithField("ovsdb", o.endpoint).Infof("vifguard %s", version())
			err = agent.Run(cmd.Context())
			notify.stopping()
			log.Info("stopped; flows stay in force")
			return err
		},
	}
	cmd.Flags().StringVar(&level, "log-level", "info", "error, warn, info or debug")
	cmd.Flags().StringVar(&format, "log-format", "auto", "text, json, journal (lines for systemd's journal), or auto: text on a terminal, journal when standard error is the journal, json elsewhere")
	cmd.Flags().DurationVar(&check, "check-interval", agent.DefaultCheckInterval, "time between two comparisons with the switch's real flows")
	cmd.Flags().StringVar(&metricsAddress, "metrics-address", "127.0.0.1:9479", "where Prometheus finds metrics: HOST:PORT or unix:PATH; empty for nowhere")
	cmd.Flags().IntVar(&c.SampleRate, "sample-rate", bridge.DefaultSampleRate, "dropped packets per second and VIF that the switch shows to the agent at most, for \"vifguard drops\"; 0 for none")
	cmd.Flags().StringVar(&c.ControlSocket, "control", control.DefaultPath, "path of the control socket that \"vifguard drops\" asks; \"\" for none")
	cmd.Flags().StringVar(&c.StateDir, "state-dir", drops.DefaultStateDir, "directory that keeps what VIFs claimed over restarts of the agent; \"\" for none")
	return cmd
}
