package agent_test

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/vifguard/vifguard/test/lab"
)

// scrape returns the agent's metrics by series.
func (h *host) scrape() map[string]float64 {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.agent.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	series := make(map[string]float64)
	for _, m := range regexp.MustCompile(`(?m)^(vifguard_\S+) (\S+)$`).FindAllStringSubmatch(w.Body.String(), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			h.t.Fatalf("%s: %v", m[0], err)
		}
		series[m[1]] = v
	}
	return series
}

// awaitMetric waits until a series has a value.
func (h *host) awaitMetric(series string, want float64) {
	h.t.Helper()
	lab.Eventually(h.t, series, func() error {
		if got, ok := h.scrape()[series]; !ok || got != want {
			return fmt.Errorf("%v (present: %v), want %v", got, ok, want)
		}
		return nil
	})
}

func TestMetrics(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.MustBridge("other")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "tap2", 2, mac2, "port-security=mac", "port-security-action=observe", "allowed-addresses=nonsense")
	h.guard("br0")
	h.run(frequent)
	h.await("tap1", "state=enforced")
	h.await("tap2", "state=observed")
	got := h.scrape()
	for series, want := range map[string]float64{
		`vifguard_ovsdb_connected`:                                                   1,
		`vifguard_bridge_connected{bridge="br0"}`:                                    1,
		`vifguard_bridge_fail_mode_secure{bridge="br0"}`:                             0,
		`vifguard_bridge_last_unguarded_seconds{bridge="br0"}`:                       0,
		`vifguard_vifs{bridge="br0",state="enforced"}`:                               1,
		`vifguard_vifs{bridge="br0",state="observed"}`:                               1,
		`vifguard_vifs{bridge="br0",state="blocked"}`:                                0,
		`vifguard_vifs_with_errors{bridge="br0"}`:                                    1,
		`vifguard_foreign_flows{bridge="br0"}`:                                       0,
		`vifguard_reconciliations_total{bridge="br0",result="drift"}`:                0,
		`vifguard_drift_repaired_flows_total{bridge="br0"}`:                          0,
		`vifguard_unknown_port_dropped_packets_total{bridge="br0"}`:                  0,
		`vifguard_vif_dropped_packets_total{bridge="br0",port="tap1",reason="arp"}`:  0,
		`vifguard_vif_observed_packets_total{bridge="br0",port="tap2",reason="mac"}`: 0,
		`vifguard_build_info{version="test"}`:                                        1,
		`vifguard_flows_desired{bridge="br0"}`:                                       float64(strings.Count(h.MustOfctl("dump-flows", "br0"), "cookie=0x7667")),
	} {
		if v, ok := got[series]; !ok || v != want {
			t.Errorf("%s: %v (present: %v), want %v", series, v, ok, want)
		}
	}
	for series := range got {
		if strings.Contains(series, `"other"`) && strings.Contains(series, "vifs") {
			t.Errorf("a bridge that isn't guarded has VIFs: %s", series)
		}
	}
	h.awaitMetric(`vifguard_flows_installed{bridge="br0"}`, got[`vifguard_flows_desired{bridge="br0"}`])
	for range 3 {
		h.MustInject("tap1", lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:01"), addr("192.0.2.9")))
	}
	h.awaitMetric(`vifguard_vif_dropped_packets_total{bridge="br0",port="tap1",reason="arp"}`, 3)
	h.MustOfctl("del-flows", "br0", "table=1")
	h.awaitMetric(`vifguard_reconciliations_total{bridge="br0",result="drift"}`, 1)
	h.MustVsctl("set", "Interface", "tap1", "external_ids:port-security=block")
	h.awaitMetric(`vifguard_vifs{bridge="br0",state="blocked"}`, 1)
	h.MustDelPort("tap2")
	h.awaitMetric(`vifguard_vifs{bridge="br0",state="observed"}`, 0)
	h.MustRun(h.KillVswitchd)
	h.awaitMetric(`vifguard_bridge_connected{bridge="br0"}`, 0)
	if h.scrape()[`vifguard_reconciliations_total{bridge="br0",result="error"}`] == 0 {
		lab.Eventually(h.t, "errors to be counted", func() error {
			if h.scrape()[`vifguard_reconciliations_total{bridge="br0",result="error"}`] == 0 {
				return fmt.Errorf("none")
			}
			return nil
		})
	}
}

// The names keep Prometheus' rules.
func TestMetricNames(t *testing.T) {
	h := newGuarded(t, never)
	w := httptest.NewRecorder()
	h.agent.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	problems, err := promlint.New(w.Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if names := slices.Collect(maps.Keys(h.scrape())); len(names) < 20 {
		t.Errorf("only %d series", len(names))
	}
}
