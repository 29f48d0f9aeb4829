//go:build lab

package hosts

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

const prometheus host = "prometheus"

func TestMonitoring(t *testing.T) {
	mal := newGuest("mal", host1, 0x66)
	s := tell(t, "Monitoring: Prometheus sees what vifguard counts",
		"Prometheus scrapes both agents and has vifguard's alert rules. mal on host1 sends forged\n"+
			"frames, then host2's agent is killed.")
	s.fresh(true)
	s.plug(mal, client)
	s.permit(mal, mal.own()...)
	s.permit(client, client.own()...)
	const up = `sum(up{job="vifguard"})`
	s.check(s.sees(up, 2), "both agents are scraped")
	s.mustDie(mal, client, []forgery{{"gratuitous ARP for another's address", "garp " + vip4, "arp src host " + vip4, "arp"}})
	dropped := float64(s.drops(mal)["arp"])
	s.check(s.sees(`sum(vifguard_vif_dropped_packets_total{port="mal",reason="arp"})`, dropped), "Prometheus counts the same %.0f drops", dropped)
	rules := s.do(prometheus, "promtool", "check", "rules", "/etc/prometheus/alerts.yml")
	s.check(strings.Contains(rules, "SUCCESS"), "the alert rules are loaded: %s", strings.Join(strings.Fields(rules), " "))

	s.run(host2, "host", "kill", "agent")
	s.check(s.sees(up, 1), "host2's agent is killed: up is 0 for it")
	s.check(s.sees(`count(ALERTS{alertname="VifguardDown",alertstate="pending"})`, 1), "VifguardDown is pending")
	s.run(host2, "host", "start", "agent")
	s.check(s.sees(up, 2), "and is back")
	s.fact("Prometheus scrapes both agents, its counters are vifguard's, VifguardDown is noticed")
}

// sees waits until a query has a value.
func (s *story) sees(query string, want float64) bool {
	s.Helper()
	s.show(prometheus, "promtool", "query", "instant", "http://127.0.0.1:9090", "'"+query+"'")
	return s.comes(fmt.Sprintf("%s is %v", query, want), func() bool {
		out, err := prometheus.try(s.Context(), "promtool", "query", "instant", "http://127.0.0.1:9090", query)
		if err != nil {
			return false
		}
		_, value, _ := strings.Cut(out, "=> ")
		value, _, _ = strings.Cut(value, " ")
		got, err := strconv.ParseFloat(value, 64)
		return err == nil && got == want
	})
}
