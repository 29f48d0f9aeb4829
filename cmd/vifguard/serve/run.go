package serve

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/controller/drops"
)

// Defaults of a [Config].
const (
	DefaultCheckInterval = agent.DefaultCheckInterval
	DefaultSampleRate    = bridge.DefaultSampleRate
	DefaultStateDir      = drops.DefaultStateDir
)

// minCheckInterval is the shortest time between two comparisons that can be asked for.
const minCheckInterval = 100 * time.Millisecond

// Config is what the flags of "vifguard run" say.
type Config struct {
	agent.Config
	MetricsAddress string // HOST:PORT or unix:PATH; "" for nowhere
	LogLevel       string // a level of logrus
	LogFormat      string // one of [LogFormats]
	Stderr         io.Writer
}

// check returns an error that names the flag whose value can't be used.
func (c *Config) check() error {
	if c.CheckInterval < minCheckInterval {
		return fmt.Errorf("--check-interval: %s is too short (want at least %s)", c.CheckInterval, minCheckInterval)
	}
	if c.SampleRate < 0 || c.SampleRate > bridge.MaxSampleRate {
		return fmt.Errorf("--sample-rate: %d packets per second can't be used (want 0 to %d)", c.SampleRate, bridge.MaxSampleRate)
	}
	return nil
}

// Run runs the agent until ctx ends, which is no error. It serves its metrics, and reports to
// the service manager.
func Run(ctx context.Context, c Config) error {
	log, err := newLog(c.Stderr, c.LogLevel, c.LogFormat)
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	notify := newNotifier(log)
	c.Log, c.Health = log, notify.health
	a, err := agent.New(c.Config)
	if err != nil {
		return err
	}
	stop, err := serveMetrics(c.MetricsAddress, a.Metrics(), log)
	if err != nil {
		return err
	}
	defer stop()
	log.WithField("ovsdb", c.Endpoint).Infof("vifguard %s", c.Version)
	err = a.Run(ctx)
	notify.stopping()
	log.Info("stopped; flows stay in force")
	return err
}
