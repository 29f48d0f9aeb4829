package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/bridge"
	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/controller/metrics"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// DefaultCheckInterval is the time between two comparisons of a bridge's real flows
// with what OVSDB asks for.
const DefaultCheckInterval = 5 * time.Second

// Config is what an agent needs to know. Endpoint is mandatory.
type Config struct {
	Endpoint      string        // of ovsdb-server, e.g. unix:/run/openvswitch/db.sock
	RunDir        string        // directory of the bridges' management sockets; "" means that of Endpoint
	Version       string        // shown by Metrics
	CheckInterval time.Duration // 0 means DefaultCheckInterval
	SampleRate    int           // refused packets per second and VIF that the switch sends to the agent at most, up to bridge.MaxSampleRate; 0 for none
	ControlSocket string        // path of the control socket; "" for none
	StateDir      string        // directory of what survives a restart of the agent; "" for none
	Log           *logrus.Logger

	// Health is called at every turn of the main loop, at least every few seconds
	// while that turns. It must not block. nil: nobody wants to know.
	Health func(Health)
}

// Agent keeps the guarded bridges of one host as OVSDB asks.
type Agent struct {
	config  Config
	name    string // of this process, for whoever wonders which agent works here
	log     *logrus.Entry
	source  *ovsdb.Source
	changed chan struct{} // capacity 1: a worker has something to report
	journal *drops.Journal

	metrics   *metrics.Metrics
	published atomic.Pointer[[]*bridge.Worker] // sorted by bridge name, for other goroutines

	workers map[string]*running // by bridge name
	removed map[string]bool     // by name of a bridge that was removed: it was guarded
	written map[string]*written // by bridge name: what status was last compared with
	retry   bridge.Retry        // of writing status
	started bool                // every bridge's first report is written
	floods  *bridge.FloodTimes  // nil for the default
}

// running is a worker and the means to end it.
type running struct {
	*bridge.Worker
	target *bridge.Target
	cancel context.CancelFunc
}

// New returns an agent that does nothing until Run.
func New(c Config) (*Agent, error) {
	if c.RunDir == "" {
		var err error
		if c.RunDir, err = ovsdb.RunDir(c.Endpoint); err != nil {
			return nil, err
		}
	}
	if c.CheckInterval == 0 {
		c.CheckInterval = DefaultCheckInterval
	}
	if c.Log == nil {
		return nil, errors.New("an agent needs a logger")
	}
	c.SampleRate = min(max(c.SampleRate, 0), bridge.MaxSampleRate)
	log := logrus.NewEntry(c.Log)
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	a := &Agent{
		config: c, log: log,
		name:    fmt.Sprintf("pid %d on %s", os.Getpid(), host),
		source:  ovsdb.NewSource(c.Endpoint, log),
		changed: make(chan struct{}, 1),
		workers: make(map[string]*running),
		removed: make(map[string]bool),
		written: make(map[string]*written),
		journal: drops.NewJournal(log),
	}
	a.metrics = metrics.New(c.Version, a.state)
	a.publishWorkers()
	return a, nil
}

// Run works until ctx ends, and returns nil then. The flows and what was reported stay
// as they are. It waits for Open vSwitch as long as that takes, but not for another
// agent that works there: then it returns an *ovsdb.LockedError.
func (a *Agent) Run(ctx context.Context) error {
	defer a.openJournal()()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, 1)
	wg.Go(func() { failed <- a.source.Run(ctx) })
	resync := time.NewTimer(a.config.CheckInterval)
	defer resync.Stop()
	beat := time.NewTicker(beatInterval)
	defer beat.Stop()
	resynced := false
	for {
		began := time.Now()
		retry := a.turn(ctx, &wg)
		if resynced { // which costs the more the more rows there are
			resync.Reset(max(a.config.CheckInterval, bridge.CheckShare*time.Since(began)))
			resynced = false
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-a.source.Changed():
		case <-a.changed:
		case <-retry:
		case <-beat.C:
		case <-resync.C:
			a.source.Resync() // an event may have been lost
			resynced = true
		}
	}
}

// openJournal takes over the claims of the agent before and serves the control socket.
// Neither is needed to guard a host, so what fails is only logged. The returned function
// ends both and keeps the claims.
func (a *Agent) openJournal() (stop func()) {
	keep := func() {}
	if a.config.StateDir != "" {
		keep = a.journal.Keep(a.config.StateDir)
	}
	if a.config.ControlSocket == "" {
		return keep
	}
	server, err := control.Listen(a.config.ControlSocket, control.Handler(a.journal))
	if err != nil {
		a.log.WithError(err).Warn("no control socket; \"vifguard drops\" can't reach this agent")
		return keep
	}
	return func() {
		keep()
		server.Close()
	}
}

// turn hands every bridge its target and writes back what the workers have achieved.
// It returns a channel that fires when writing should be tried again.
func (a *Agent) turn(ctx context.Context, wg *sync.WaitGroup) <-chan time.Time {
	host, connected := a.source.Host()
	defer func() { a.beat(connected) }()
	if host == nil {
		return nil
	}
	present := make(map[string]bool, len(host.Bridges))
	for _, b := range host.Bridges {
		present[b.Name] = true
		a.aim(ctx, wg, bridge.NewTarget(host, b))
	}
	for name, r := range a.workers {
		if !present[name] {
			a.remove(name, r)
			a.metrics.Forget(name)
		}
	}
	if !connected {
		return nil
	}
	return a.writeStatus(ctx, host)
}

// aim gives a bridge's worker its target, and starts the worker where there is none.
func (a *Agent) aim(ctx context.Context, wg *sync.WaitGroup, t *bridge.Target) {
	name := t.Bridge.Name
	r := a.workers[name]
	if r != nil && t.Same(r.target) {
		r.Inform(t.Host)
		return
	}
	if r != nil && r.target.Bridge.UUID != t.Bridge.UUID {
		a.remove(name, r) // another bridge of the same name, with another socket
		r = nil
	}
	if r == nil {
		r = a.start(ctx, wg, name)
		a.announceRemade(t)
	}
	a.announce(r.target, t)
	a.noteLostKeys(r.target, t)
	r.target = t
	r.Aim(t)
}

// remove ends the worker of a bridge that isn't there any more.
func (a *Agent) remove(name string, r *running) {
	r.cancel()
	delete(a.workers, name)
	a.publishWorkers()
	if len(a.removed) < maxRemoved {
		a.removed[name] = r.target.Config.Guarded
	}
}

// maxRemoved bounds how many names of removed bridges are remembered.
const maxRemoved = 256

// start starts the worker of a bridge.
func (a *Agent) start(ctx context.Context, wg *sync.WaitGroup, name string) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, Worker: bridge.NewWorker(bridge.Config{
		Bridge: name, Socket: openflow.ManagementSocket(a.config.RunDir, name),
		CheckInterval: a.config.CheckInterval, SampleRate: a.config.SampleRate, Floods: a.floods,
		Log: a.log, Metrics: a.metrics.Bridge(name), Journal: a.journal, Changed: a.reported,
		Remade: a.removed[name],
	})}
	a.workers[name] = r
	a.publishWorkers()
	wg.Go(func() { r.Run(ctx) })
	return r
}

// reported says that a worker has something to report. Any goroutine may call it.
func (a *Agent) reported() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// announceRemade warns of a bridge that was guarded, was removed and is made anew with less
// protection than before.
func (a *Agent) announceRemade(t *bridge.Target) {
	name := t.Bridge.Name
	wasGuarded := a.removed[name]
	delete(a.removed, name)
	if wasGuarded && !t.Config.Guarded {
		a.log.WithField("bridge", name).Warnf("the bridge was made anew, and isn't guarded any more (to guard it again: vifguard guard --secure %s)", name)
	}
}

// announce logs what changes for a bridge as a whole.
func (a *Agent) announce(was, is *bridge.Target) {
	log := a.log.WithField("bridge", is.Bridge.Name)
	wasGuarded := was != nil && was.Config.Guarded
	switch {
	case is.Config.Guarded && !wasGuarded:
		log.WithField("default", is.Bridge.ExternalIDs[model.KeyChecks]).Info("bridge is guarded")
	case !is.Config.Guarded && wasGuarded:
		log.Info("bridge opted out")
	}
	if is.Config.Guarded && is.Bridge.FailMode != model.FailSecure && (!wasGuarded || was.Bridge.FailMode == model.FailSecure) {
		log.Warnf("fail_mode isn't secure: after a restart of ovs-vswitchd the bridge forwards unchecked until the agent has programmed it again (to close that: vifguard guard --secure %s)", is.Bridge.Name)
	}
	if text := is.Config.Problems.String(); text != "" && (was == nil || was.Config.Problems.String() != text) {
		log.WithField("error", text).Error("the bridge's own metadata can't be used as it is")
	}
}
