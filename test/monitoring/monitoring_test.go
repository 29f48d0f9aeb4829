// Package monitoring tests the alert rules and the dashboard against the metrics of a
// real agent.
package monitoring

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

const (
	rules     = "../../packaging/prometheus/alerts.yml"
	ruleTests = "../../packaging/prometheus/alerts_test.yml"
	dashboard = "../../packaging/grafana/vifguard.json"
)

// served returns the names of the metrics that an agent with one VIF serves.
func served(t *testing.T) map[string]bool {
	sw := lab.New(t, lab.Options{})
	sw.MustBridge("br0")
	sw.MustPort("br0", "tap1", lab.PortOptions{ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:01"}})
	sw.MustPort("br0", "tap2", lab.PortOptions{ExternalIDs: map[string]string{"attached-mac": "52:54:00:00:00:02", "port-security-action": "observe"}})
	labagent.Guard(sw, "br0")
	metrics := labagent.Start(t, sw.Endpoint()).Metrics()
	for _, port := range []string{"tap1", "tap2"} {
		lab.Eventually(t, port+" to be programmed", lab.True(func() bool { return sw.MustIDs(port)["vifguard-state"] != "" }))
	}
	w := httptest.NewRecorder()
	metrics.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	names := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^(vifguard_\w+)`).FindAllStringSubmatch(w.Body.String(), -1) {
		names[m[1]] = true
	}
	if len(names) < 15 {
		t.Fatalf("only %d metrics: %s", len(names), w.Body)
	}
	return names
}

// Every metric that an alert or a panel asks for is one that the agent serves.
func TestNamesExist(t *testing.T) {
	names := served(t)
	for _, file := range []string{rules, dashboard} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		asked := regexp.MustCompile(`\bvifguard_\w+`).FindAllString(string(b), -1)
		if len(asked) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
		for _, name := range asked {
			if !names[name] {
				t.Errorf("%s asks for %s, which the agent doesn't serve", file, name)
			}
		}
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	lab.Need(t, lab.Promtool)
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestAlerts(t *testing.T) {
	promtool(t, "check", "rules", rules)
	promtool(t, "test", "rules", ruleTests)
}

// Every expression of the dashboard is one that Prometheus understands.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("%s: %v", dashboard, err)
	}
	file := "groups:\n- name: panels\n  rules:\n"
	n := 0
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			file += fmt.Sprintf("  - {record: 'panel:%d', expr: %q}\n", n, expr)
			n++
		}
	}
	if n < len(d.Panels) || n == 0 {
		t.Errorf("%d expressions in %d panels", n, len(d.Panels))
	}
	path := filepath.Join(t.TempDir(), "panels.yml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}
