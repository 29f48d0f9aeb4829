package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// What decides around the tables is the state of the VIFs concerned within the time of a
// comparison, whether OVSDB announces it or not, and so is its end.
func TestExposure(t *testing.T) {
	for name, test := range map[string]struct {
		open, close func(h *host)
		kind        string
		says        string // in vifguard-error
	}{
		"a manager that is reached in-band": {
			open: func(h *host) { h.MustVsctl("set-manager", "tcp:192.0.2.77:6640") },
			close: func(h *host) {
				h.MustVsctl("set", "Bridge", "br0", "other_config:disable-in-band=true")
			},
			kind: "in-band", says: "disable-in-band=true",
		},
		"STP where the Port asks for it": {
			open: func(h *host) {
				h.MustVsctl("set", "Port", "tap1", "other_config:stp-enable=true", "--", "set", "Bridge", "br0", "stp_enable=true")
			},
			close: func(h *host) { h.MustVsctl("set", "Port", "tap1", "other_config:stp-enable=false") },
			kind:  "stp", says: "stp-enable=false",
		},
		"a flow of somebody else": {
			open:  func(h *host) { h.MustOfctl("add-flow", "br0", "table=0,priority=65000,in_port=1,actions=NORMAL") },
			close: func(h *host) { h.MustOfctl("--strict", "del-flows", "br0", "table=0,priority=65000,in_port=1") },
			kind:  "foreign-flow", says: "priority=65000",
		},
		"BFD at the port": {
			open:  func(h *host) { h.MustVsctl("set", "Interface", "tap1", "bfd:enable=true") },
			close: func(h *host) { h.MustVsctl("clear", "Interface", "tap1", "bfd") },
			kind:  "bfd", says: "clear Interface tap1 bfd",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.MustBridge("br0")
			h.vif("br0", "tap1", 1, mac1)
			h.vif("br0", "tap2", 2, mac2, "port-security=off")
			h.vif("br0", "tap3", 3, "attached-mac=52:54:00:00:00:03", "port-security-action=observe")
			h.guard("br0")
			h.run(time.Second)
			h.await("tap1", "state=enforced", "error=")
			test.open(h)
			h.await("tap1", "state=exposed")
			if got := h.MustIDs("tap1")[model.KeyStatusError]; !strings.Contains(got, test.says) || !strings.Contains(got, "("+test.kind) {
				t.Errorf("error %q", got)
			}
			if got := h.MustIDs("tap1")["vifguard-checks"]; got != "mac" {
				t.Errorf("checks %q: its rules are in force", got)
			}
			h.await("tap2", "state=off", "error=")
			h.await("tap3", "state=observed")
			h.awaitMetric(fmt.Sprintf(`vifguard_bridge_exposures{bridge="br0",kind="%s"}`, test.kind), 1)
			h.awaitMetric(`vifguard_vifs{bridge="br0",state="exposed"}`, 1)
			h.awaitLog("kind=" + test.kind)
			h.mustBeInForce("br0")
			// Whatever comes next is exposed at once where all are, and seq is echoed.
			h.MustSetIDs("tap1", map[string]string{"port-security-seq": "9"})
			h.await("tap1", "state=exposed", "seq=9")
			test.close(h)
			h.await("tap1", "state=enforced", "error=")
			h.awaitMetric(fmt.Sprintf(`vifguard_bridge_exposures{bridge="br0",kind="%s"}`, test.kind), 0)
			h.awaitLog("closed: nothing of this kind is found any more")
		})
	}
}

// VIFs take no part in spanning trees that their bridge takes part in, unless their Port says
// so, from when they come until the bridge is released; ports that aren't checked do.
func TestSpanningTree(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0", "stp_enable=true")
	h.vif("br0", "tap1", 1, mac1)
	h.vif("br0", "tap2", 2, mac2, "port-security=off")
	h.vif("br0", "up", 3)
	h.guard("br0")
	h.run(never)
	config := func(port, column string) string { return strings.TrimSpace(h.MustVsctl("get", "Port", port, column)) }
	await := func(port, want string) {
		t.Helper()
		lab.Eventually(h.t, "other_config of "+port, func() error {
			if got := config(port, "other_config"); got != want {
				return fmt.Errorf("%s, want %s", got, want)
			}
			return nil
		})
	}
	await("tap1", `{stp-enable="false"}`)
	h.await("tap1", "state=enforced", "error=")
	h.vif("br0", "tap3", 4, "attached-mac=52:54:00:00:00:03")
	await("tap3", `{stp-enable="false"}`)
	h.await("tap3", "state=enforced", "error=")
	for _, port := range []string{"tap2", "up"} {
		if got := config(port, "other_config"); got != "{}" {
			t.Errorf("%s: %s", port, got)
		}
	}
	h.MustSetIDs("tap3", map[string]string{"port-security": "off"})
	await("tap3", "{}")
	h.MustVsctl("remove", "Bridge", "br0", "external_ids", "port-security")
	await("tap1", "{}")
	if got := config("tap1", "external_ids"); got != "{}" {
		t.Errorf("left on tap1: %s", got)
	}
}
