// Package agent runs vifguard's agent inside a test, beside a switch of package lab.
package agent

import (
	"context"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller"
)

// Start runs an agent on a private Open vSwitch until the test ends. Its log goes to the
// test's, and it compares with the switch only when it starts, so that whatever else
// happens is due to events. It samples as the agent does by default.
func Start(t testing.TB, endpoint string) *controller.Agent {
	t.Helper()
	return StartSampling(t, endpoint, controller.DefaultSampleRate)
}

// StartSampling is Start with another sample rate.
func StartSampling(t testing.TB, endpoint string, rate int) *controller.Agent {
	t.Helper()
	log := logrus.New()
	log.SetOutput(t.Output())
	a, err := controller.New(controller.Config{Endpoint: endpoint, CheckInterval: time.Hour, SampleRate: rate, Log: log})
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
