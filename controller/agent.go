package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/metrics"
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
	SampleRate    int           // refused packets per second and VIF that the switch sends to the agent at most, up to MaxSampleRate; 0 for none
	ControlSocket string        // path of the control socket; "" for none
	StateDir      string        // directory of what survives a restart of the agent; "" for none
	Log           *logrus.Logger

	// Health is called at every turn of the main loop, at least every few seconds
	// while that turns. It must not block. nil: nobody wants to know.
	Health func(Health)
}

// ManagementSocket returns the path of a bridge's management socket.
func ManagementSocket(runDir, bridge string) string { return filepath.Join(runDir, bridge+".mgmt") }

// RunDir returns the directory of a unix endpoint, in which ovs-vswitchd puts the
// management sockets too.
func RunDir(endpoint string) (string, error) {
	path, ok := strings.CutPrefix(endpoint, "unix:")
	if !ok || path == "" {
		return "", fmt.Errorf("%q is not a unix socket, so the directory of the bridges' management sockets can't be derived from it (want e.g. unix:/run/openvswitch/db.sock, or name the directory)", endpoint)
	}
	return filepath.Dir(path), nil
}

// Agent keeps the guarded bridges of one host as OVSDB asks.
type Agent struct {
	config Config
	name   string // of this process, for whoever wonders which agent works here
	log    *logrus.Entry
	source *ovsdb.Source
	report chan struct{} // capacity 1: a worker has something to report

	metrics   *metrics.Metrics
	published atomic.Pointer[[]*worker] // sorted by name

	workers map[string]*running // by bridge name
	told    map[string]*told    // by bridge name
	retry   retry               // of writing status
	started bool                // everything was told once
	drops   *drops

	floodTimes floodTimes
}

// running is a worker and the means to end it.
type running struct {
	*worker
	target *target
	cancel context.CancelFunc
}

// New returns an agent that does nothing until Run.
func New(c Config) (*Agent, error) {
	if c.RunDir == "" {
		var err error
		if c.RunDir, err = RunDir(c.Endpoint); err != nil {
			return nil, err
		}
	}
	if c.CheckInterval == 0 {
		c.CheckInterval = DefaultCheckInterval
	}
	if c.Log == nil {
		return nil, errors.New("an agent needs a logger")
	}
	c.SampleRate = min(max(c.SampleRate, 0), MaxSampleRate)
	log := logrus.NewEntry(c.Log)
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	a := &Agent{
		config: c, log: log,
		name:    fmt.Sprintf("pid %d on %s", os.Getpid(), host),
		source:  ovsdb.NewSource(c.Endpoint, log),
		report:  make(chan struct{}, 1),
		workers: make(map[string]*running),
		told:    make(map[string]*told),
		drops:   newDrops(log),

		floodTimes: defaultFloodTimes,
	}
	a.metrics = metrics.New(c.Version, a.state)
	a.publishWorkers()
	return a, nil
}

// Run works until ctx ends, and returns nil then. The flows and what was reported stay
// as they are. It waits for Open vSwitch as long as that takes, but not for another
// agent that works there: then it returns an *ovsdb.LockedError.
func (a *Agent) Run(ctx context.Context) error {
	defer a.drops.open(a.config.ControlSocket, a.config.StateDir)()
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
		retry := a.look(ctx, &wg)
		if resynced { // which costs the more the more rows there are
			resync.Reset(max(a.config.CheckInterval, checkShare*time.Since(began)))
			resynced = false
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-a.source.Changed():
		case <-a.report:
		case <-retry:
		case <-beat.C:
		case <-resync.C:
			a.source.Resync() // an event may have been lost
			resynced = true
		}
	}
}

// look hands every bridge its target and writes back what the workers have achieved.
// It returns a channel that fires when writing should be tried again.
func (a *Agent) look(ctx context.Context, wg *sync.WaitGroup) <-chan time.Time {
	host, connected := a.source.Host()
	defer func() { a.beat(connected) }()
	if host == nil {
		return nil
	}
	seen := make(map[string]bool, len(host.Bridges))
	for _, b := range host.Bridges {
		seen[b.Name] = true
		a.aim(ctx, wg, newTarget(b, host.Profiles))
	}
	for name, r := range a.workers {
		if !seen[name] {
			r.cancel()
			delete(a.workers, name)
			a.metrics.Forget(name)
			a.publishWorkers()
		}
	}
	if !connected {
		return nil
	}
	return a.tell(ctx, host)
}

// aim gives a bridge's worker its target, and starts the worker where there is none.
func (a *Agent) aim(ctx context.Context, wg *sync.WaitGroup, t *target) {
	name := t.bridge.Name
	r := a.workers[name]
	if r != nil && t.same(r.target) {
		return
	}
	if r != nil && r.target.bridge.UUID != t.bridge.UUID {
		r.cancel() // another bridge of the same name, with another socket
		r = nil
	}
	if r == nil {
		workerCtx, cancel := context.WithCancel(ctx)
		w := newWorker(name, ManagementSocket(a.config.RunDir, name), a.config.CheckInterval, a.log, a.metrics.Bridge(name), func() { poke(a.report) })
		w.sampling = newSampling(a.config.SampleRate, w, a.drops)
		w.floods = newFloods(a.floodTimes, w)
		r = &running{worker: w, cancel: cancel}
		a.workers[name] = r
		a.publishWorkers()
		wg.Go(func() { w.run(workerCtx) })
	}
	a.announce(r.target, t)
	r.target = t
	r.set(t)
}

// announce logs what changes for a bridge as a whole.
func (a *Agent) announce(was, is *target) {
	log := a.log.WithField("bridge", is.bridge.Name)
	wasGuarded := was != nil && was.config.Guarded
	switch {
	case is.config.Guarded && !wasGuarded:
		log.WithField("default", is.bridge.ExternalIDs[model.KeyChecks]).Info("bridge is guarded")
	case !is.config.Guarded && wasGuarded:
		log.Info("bridge opted out")
	}
	if is.config.Guarded && is.bridge.FailMode != model.FailSecure && (!wasGuarded || was.bridge.FailMode == model.FailSecure) {
		log.Warnf("fail_mode isn't secure: after a restart of ovs-vswitchd the bridge forwards unchecked until the agent has programmed it again (to close that: vifguard guard --secure %s)", is.bridge.Name)
	}
	if text := is.config.Problems.String(); text != "" && (was == nil || was.config.Problems.String() != text) {
		log.WithField("error", text).Error("the bridge's own metadata can't be used as it is")
	}
}
