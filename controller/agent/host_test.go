package agent_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/vifguard/vifguard/controller/agent"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

// host is a private switch with an agent.
type host struct {
	*lab.T
	t     testing.TB
	log   *lab.Log
	agent *agent.Agent
	tune  func(*agent.Agent) // called before an agent runs
	stop  func()             // ends the agent and waits for it
}

// newHost starts a switch without an agent.
func newHost(t testing.TB) *host {
	t.Helper()
	return newHostOn(t, lab.Dummy)
}

// newHostOn starts a switch with another datapath.
func newHostOn(t testing.TB, d lab.Datapath) *host {
	t.Helper()
	h := &host{T: lab.New(t, lab.Options{Datapath: d}), t: t, log: &lab.Log{}, tune: func(*agent.Agent) {}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the agent's log:\n%s", h.log)
		}
	})
	return h
}

// newGuarded starts a switch and an agent that enforces what VIF tap1 of bridge br0 may be.
func newGuarded(t testing.TB, check time.Duration, settings ...string) *host {
	t.Helper()
	h := newHost(t)
	h.MustBridge("br0", settings...)
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.guard("br0")
	h.run(check)
	h.await("tap1", "state=enforced")
	return h
}

// run starts an agent that compares with the switch so rarely that it must notice
// everything by itself, unless check says otherwise.
func (h *host) run(check time.Duration) {
	h.t.Helper()
	h.start(agent.Config{CheckInterval: check})
}

// start starts an agent with this configuration, less what every host has.
func (h *host) start(c agent.Config) {
	h.t.Helper()
	log := logrus.New()
	log.SetOutput(h.log)
	log.SetLevel(logrus.InfoLevel)
	c.Endpoint, c.Version, c.Log = h.Endpoint(), "test", log
	h.agent, h.stop = labagent.Run(h.t, c, h.tune)
}

const never = time.Hour

// vif adds a VIF to a bridge.
func (h *host) vif(bridge, port string, number int, words ...string) {
	h.t.Helper()
	h.MustPort(bridge, port, lab.PortOptions{OFPort: number, ExternalIDs: pairs(words)})
}

func pairs(words []string) map[string]string {
	m := make(map[string]string)
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		m[k] = v
	}
	return m
}

// guard opts a bridge in.
func (h *host) guard(bridge string, keys ...string) {
	h.t.Helper()
	labagent.Guard(h.T, bridge, keys...)
}

// await waits until an interface's status keys are these; "" means absent.
func (h *host) await(port string, want ...string) {
	h.t.Helper()
	labagent.Await(h.t, h.T, port, want...)
}

// awaitPort waits until an interface has an OpenFlow port number.
func (h *host) awaitPort(port string, number int) {
	h.t.Helper()
	lab.Eventually(h.t, fmt.Sprintf("%s has the number %d", port, number), func() error {
		got, err := h.OFPort(port)
		if err == nil && got != number {
			err = fmt.Errorf("it has %d", got)
		}
		return err
	})
}

// inspect reads a bridge as the command line does.
func (h *host) inspect(bridge string) inspect.Inspection {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := ovsdb.Dial(ctx, h.Endpoint(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	b := c.Host().Bridge(bridge)
	if b == nil {
		h.t.Fatalf("no bridge %s", bridge)
	}
	return inspect.Bridge(ctx, b, c.Host().Profiles, h.Dir)
}

// mustBeInForce fails unless the switch has exactly what OVSDB asks for: every port's
// rules, the shared ones, and nothing else of ours.
func (h *host) mustBeInForce(bridge string) {
	h.t.Helper()
	if err := h.inForce(bridge); err != nil {
		h.t.Error(err)
	}
}

func (h *host) inForce(bridge string) error {
	return labagent.Exact(h.t.Context(), h.Switch, bridge)
}

func (h *host) ownFlows(bridge string) int {
	h.t.Helper()
	n, err := labagent.Flows(h.Switch, bridge)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mac1 = "attached-mac=52:54:00:00:00:01"
	mac2 = "attached-mac=52:54:00:00:00:02"
)

// awaitExact waits until the switch has exactly what OVSDB asks for.
func (h *host) awaitExact(bridge string) {
	h.t.Helper()
	lab.Eventually(h.t, "exactly the right flows on "+bridge, func() error { return h.inForce(bridge) })
}

// spoof sends one frame with a foreign MAC from a port, and expects it to be dropped.
func spoof(h *host, port string) {
	h.t.Helper()
	frame := lab.Ether(lab.MustMAC("ff:ff:ff:ff:ff:ff"), lab.MustMAC("52:54:00:ff:ff:ff"), 0x0800, make([]byte, 46))
	if got := h.MustReach(port, frame); len(got) != 0 {
		h.t.Errorf("a spoofed frame from %s reached %d ports", port, len(got))
	}
	h.MustPurge()
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func dropsOf(h *host, port string) map[model.Reason]uint64 {
	h.t.Helper()
	for _, p := range h.inspect("br0").Ports {
		if p.Row.Name == port {
			return p.Drops
		}
	}
	h.t.Fatalf("no port %s", port)
	return nil
}
