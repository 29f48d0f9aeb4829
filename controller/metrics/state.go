package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what an agent knows at one moment.
type State struct {
	Connected bool // to ovsdb-server
	Bridges   []BridgeState
}

// BridgeState is the state of one guarded bridge.
type BridgeState struct {
	Name        string
	Connected   bool          // to its switch
	Secure      bool          // its fail_mode is secure
	Unguarded   time.Duration // how long it last forwarded unchecked, as far as this agent has seen
	Success     time.Time     // when it was last known to be as OVSDB asks; zero if never
	Desired     int           // flows
	Installed   int           // flows of vifguard's that the switch has
	Foreign     int           // flows of others that take precedence over the checks
	UnknownPort uint64        // packets dropped because their port wasn't programmed
	States      map[string]int
	Errors      int // VIFs with metadata that can't be used
	Drops       []Drop
	Findings    []Finding // one of each kind
}

// Finding counts what decides about frames beside the tables, of one kind.
type Finding struct {
	Kind      string
	Exposures int // frames pass around the tables, or may
	Notices   int // something to know
}

// Drop is a counter of one VIF for one reason.
type Drop struct {
	Port, Reason string
	Observed     bool // counted, but let pass
	Packets      uint64
}

// collector reads the state at each scrape.
type collector struct{ state func() State }

var (
	connected   = desc("ovsdb_connected", "1 while the agent is connected to ovsdb-server.")
	reachable   = desc("bridge_connected", "1 while the agent has an OpenFlow session with the bridge.", "bridge")
	secure      = desc("bridge_fail_mode_secure", "1 if the bridge's fail_mode is secure. Otherwise it forwards unchecked after a restart of ovs-vswitchd until the agent is back.", "bridge")
	unguarded   = desc("bridge_last_unguarded_seconds", "How long the bridge last forwarded unchecked after a restart of ovs-vswitchd, as far as this agent has seen; 0 if it hasn't.", "bridge")
	success     = desc("bridge_last_success_timestamp_seconds", "When the bridge was last known to be as OVSDB asks, as Unix time; 0 if never.", "bridge")
	desired     = desc("flows_desired", "Flows that the bridge should have.", "bridge")
	installed   = desc("flows_installed", "Flows of vifguard's that the bridge had at the last look.", "bridge")
	foreign     = desc("foreign_flows", "Flows of others that take precedence over the checks.", "bridge")
	exposures   = desc("bridge_exposures", "What lets frames of the bridge's VIFs pass around the tables, by kind.", "bridge", "kind")
	notices     = desc("bridge_notices", "What is worth knowing about what decides beside the tables, by kind.", "bridge", "kind")
	unknownPort = desc("unknown_port_dropped_packets_total", "Packets dropped because their port wasn't programmed yet.", "bridge")
	vifs        = desc("vifs", "VIFs by state.", "bridge", "state")
	errors      = desc("vifs_with_errors", "VIFs with metadata that can't be used.", "bridge")
	dropped     = desc("vif_dropped_packets_total", "Packets dropped, by VIF and reason.", "bridge", "port", "reason")
	observed    = desc("vif_observed_packets_total", "Packets that passed but would be dropped if the VIF were enforced, by VIF and reason.", "bridge", "port", "reason")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		connected, reachable, secure, unguarded, success, desired, installed, foreign,
		exposures, notices, unknownPort, vifs, errors, dropped, observed,
	} {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s := c.state()
	gauge(connected, truth(s.Connected))
	for _, b := range s.Bridges {
		gauge(reachable, truth(b.Connected), b.Name)
		gauge(secure, truth(b.Secure), b.Name)
		gauge(unguarded, b.Unguarded.Seconds(), b.Name)
		gauge(success, unix(b.Success), b.Name)
		gauge(desired, float64(b.Desired), b.Name)
		gauge(installed, float64(b.Installed), b.Name)
		gauge(foreign, float64(b.Foreign), b.Name)
		gauge(errors, float64(b.Errors), b.Name)
		counter(unknownPort, b.UnknownPort, b.Name)
		for state, n := range b.States {
			gauge(vifs, float64(n), b.Name, state)
		}
		for _, f := range b.Findings {
			gauge(exposures, float64(f.Exposures), b.Name, f.Kind)
			gauge(notices, float64(f.Notices), b.Name, f.Kind)
		}
		for _, d := range b.Drops {
			which := dropped
			if d.Observed {
				which = observed
			}
			counter(which, d.Packets, b.Name, d.Port, d.Reason)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
