// Package metrics is what the agent tells Prometheus. Counters of events are kept here;
// everything that is a state is read from the agent at each scrape.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Result is how an attempt to bring a bridge to what OVSDB asks for ended.
type Result string

// The results of a reconciliation.
const (
	Unchanged Result = "unchanged" // compared, and nothing differed
	Changed   Result = "changed"   // something new was asked for, and is in force
	Drift     Result = "drift"     // the switch differed though nothing new was asked for; repaired
	Failed    Result = "error"     // not done
)

// Results returns all results.
func Results() []Result { return []Result{Unchanged, Changed, Drift, Failed} }

const namespace = "vifguard"

// Metrics is the registry of one agent.
type Metrics struct {
	registry  *prometheus.Registry
	results   *prometheus.CounterVec
	durations *prometheus.HistogramVec
	drift     *prometheus.CounterVec
	floods    *prometheus.CounterVec
	lostKeys  *prometheus.CounterVec
}

// New returns a registry. state is called at each scrape, from any goroutine.
func New(version string, state func() State) *Metrics {
	bridge := []string{"bridge"}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "reconciliations_total",
			Help: "Comparisons of a bridge's flows with what OVSDB asks for, and changes made, by result: unchanged, changed, drift (repaired) or error.",
		}, append(bridge, "result")),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "reconciliation_duration_seconds",
			Help:    "Time that a comparison or a change took until the switch confirmed it.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8), // 0.5 ms to 8 s
		}, bridge),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "drift_repaired_flows_total",
			Help: "Flows that somebody else had deleted, changed or added, and that were repaired.",
		}, bridge),
		floods: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "quarantines_total",
			Help: "Quarantines of VIFs that flooded with frames that are refused.",
		}, bridge),
		lostKeys: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "lost_keys_total",
			Help: "VIFs whose row lost all its keys, so that they became unmarked ports.",
		}, bridge),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.results, m.durations, m.drift, m.floods, m.lostKeys, build, collector{state},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Bridge counts the events of one bridge.
type Bridge struct {
	results  map[Result]prometheus.Counter
	duration prometheus.Observer
	drift    prometheus.Counter
	floods   prometheus.Counter
	lostKeys prometheus.Counter
}

// Bridge returns the counters of a bridge, whose series exist from then on.
func (m *Metrics) Bridge(name string) *Bridge {
	b := &Bridge{
		results:  make(map[Result]prometheus.Counter),
		duration: m.durations.WithLabelValues(name),
		drift:    m.drift.WithLabelValues(name),
		floods:   m.floods.WithLabelValues(name),
		lostKeys: m.lostKeys.WithLabelValues(name),
	}
	for _, r := range Results() {
		b.results[r] = m.results.WithLabelValues(name, string(r))
	}
	return b
}

// Forget ends the series of a bridge that is gone.
func (m *Metrics) Forget(name string) {
	by := prometheus.Labels{"bridge": name}
	m.results.DeletePartialMatch(by)
	m.durations.DeletePartialMatch(by)
	m.drift.DeletePartialMatch(by)
	m.floods.DeletePartialMatch(by)
	m.lostKeys.DeletePartialMatch(by)
}

// Reconciled counts one reconciliation.
func (b *Bridge) Reconciled(r Result, took time.Duration) {
	b.results[r].Inc()
	b.duration.Observe(took.Seconds())
}

// Repaired counts flows that had drifted.
func (b *Bridge) Repaired(flows int) { b.drift.Add(float64(flows)) }

// Quarantined counts one quarantine of a VIF.
func (b *Bridge) Quarantined() { b.floods.Inc() }

// LostKeys counts a VIF whose row has lost all its keys.
func (b *Bridge) LostKeys() { b.lostKeys.Inc() }
