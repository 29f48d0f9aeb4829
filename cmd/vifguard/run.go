package main

import (
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/controller"
)

func newRun(o *options) *cobra.Command {
	var level, metricsAddress string
	var check time.Duration
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent",
		Long: `Run the agent: program every guarded bridge of this host as OVSDB asks, keep it that
way, and report in OVSDB. It waits for Open vSwitch when that isn't there yet.
SIGTERM and SIGINT end it; the flows stay, so protection goes on without it.`,
		Example: `  vifguard run
  vifguard run --log-level debug
  vifguard run --ovsdb unix:/usr/local/var/run/openvswitch/db.sock`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := logrus.New()
			log.SetOutput(cmd.ErrOrStderr())
			l, err := logrus.ParseLevel(level)
			if err != nil {
				return fmt.Errorf("--log-level: %q is not a level (want error, warn, info or debug)", level)
			}
			log.SetLevel(l)
			if check < 100*time.Millisecond {
				return fmt.Errorf("--check-interval: %s is too short (want at least 100ms)", check)
			}
			agent, err := controller.New(controller.Config{Endpoint: o.endpoint, RunDir: o.runDir, CheckInterval: check, Version: version(), Log: log})
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
			log.Info("stopped; flows stay in force")
			return err
		},
	}
	cmd.Flags().StringVar(&level, "log-level", "info", "error, warn, info or debug")
	cmd.Flags().DurationVar(&check, "check-interval", controller.DefaultCheckInterval, "time between two comparisons with the switch's real flows")
	cmd.Flags().StringVar(&metricsAddress, "metrics-address", "127.0.0.1:9479", "where Prometheus finds metrics: HOST:PORT or unix:PATH; empty for nowhere")
	return cmd
}
