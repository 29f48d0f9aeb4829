// Package labagent runs vifguard's agent inside a test, beside a switch of package lab.
package labagent

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/controller/bridge"
)

// Start runs an agent on a private Open vSwitch until the test ends. Its log goes to the
// test's, and it compares with the switch only when it starts, so that whatever else
// happens is due to events. It samples as the agent does by default.
func Start(t testing.TB, endpoint string) *agent.Agent {
	t.Helper()
	return StartSampling(t, endpoint, bridge.DefaultSampleRate)
}

// StartSampling is Start with another sample rate.
func StartSampling(t testing.TB, endpoint string, rate int) *agent.Agent {
	t.Helper()
	log := logrus.New()
	log.SetOutput(t.Output())
	a, _ := Run(t, agent.Config{Endpoint: endpoint, CheckInterval: time.Hour, SampleRate: rate, Log: log}, nil)
	return a
}

// grace is how long an agent may take to end.
const grace = 20 * time.Second

// Run runs an agent until stop is called, or the test ends; prepare, unless nil, is called
// with it before. The test fails if the agent does, or doesn't end.
func Run(t testing.TB, c agent.Config, prepare func(*agent.Agent)) (a *agent.Agent, stop func()) {
	t.Helper()
	a, err := agent.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the agent: %v", err)
			}
		case <-time.After(grace):
			t.Errorf("the agent doesn't end within %s", grace)
		}
	})
	t.Cleanup(stop)
	return a, stop
}
