// Package labagent runs vifguard's agent inside a test, beside a switch of package lab.
package labagent

import (
	"context"
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
	a, err := agent.New(agent.Config{Endpoint: endpoint, CheckInterval: time.Hour, SampleRate: rate, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the agent: %v", err)
		}
	})
	return a
}
