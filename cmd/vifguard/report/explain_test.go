package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
)

// explainedPort is a guarded port with all keys that explain shows.
func explainedPort() (*inspect.Inspection, *inspect.PortInspection) {
	row := &model.Interface{Name: "tap1", ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:01", "allowed-addresses": "192.0.2.1", "allowed-address-pairs": "192.0.2.2@00:00:5e:00:01:07",
		"port-security-action": "observe", "port-security-allow": "router", "port-profile": "web",
	}}
	b := &model.Bridge{Name: "br0", ExternalIDs: map[string]string{"port-security": "auto"}, Interfaces: []*model.Interface{row}}
	in := &inspect.Inspection{Bridge: b, Config: model.ResolveBridge(b)}
	return in, &inspect.PortInspection{Row: row, Policy: model.Resolve(&in.Config, map[string]string{"web": "flood=1000"}, row)}
}

func TestExplainShowsEveryPart(t *testing.T) {
	var out bytes.Buffer
	_, p := explainedPort()
	explainPolicy(term.NewWriter(&out), p)
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"MAC 52:54:00:00:00:01 attached-mac", "checks mac,arp,ip the bridge's default, auto with an address", "action observe port-security-action",
		"guards lifted router port-security-allow", "flood limit 1000/s, without effect profile web",
		"192.0.2.1 52:54:00:00:00:01 ARP, IP source allowed-addresses", "192.0.2.2 00:00:5e:00:01:07 ARP, IP source, VRRP allowed-address-pairs",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("explain doesn't say %q:\n%s", want, out.String())
		}
	}
}

// The fields of the parts of a policy, which have no field in Go.
func TestExplainJSON(t *testing.T) {
	in, p := explainedPort()
	trusted := &inspect.PortInspection{Row: &model.Interface{Name: "eth0"}, Policy: model.Resolve(&in.Config, nil, &model.Interface{Name: "eth0"})}
	for name, tc := range map[string]struct {
		e    Explanation
		want map[string]string
	}{
		"checked": {NewExplanation(in, p), map[string]string{
			"mac": "52:54:00:00:00:01", "mac_from": "attached-mac", "checks": "mac,arp,ip", "checks_from": "the bridge's default, auto with an address",
			"action": "observe", "action_from": "port-security-action", "allow": "router", "allow_from": "port-security-allow",
			"flood": "1000", "flood_from": "profile web"}},
		"trusted": {NewExplanation(in, trusted), map[string]string{
			"checks": "", "checks_from": "no attached-mac and no port-security key", "action": "enforce", "action_from": "default",
			"allow_from": "default", "flood": "off", "flood_from": "default"}},
		"unguarded": {Unguarded(in.Bridge, p.Row), map[string]string{
			"checks": "", "checks_from": "", "action": "", "action_from": "", "allow_from": "", "flood": "off", "flood_from": ""}},
	} {
		var text bytes.Buffer
		if err := term.NewWriter(&text).JSON(tc.e); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text.String())
		}
		for _, word := range []string{"mac", "checks", "action", "allow", "flood"} {
			for _, field := range []string{word, word + "_from"} {
				want, wanted := tc.want[field]
				if value, ok := got[field]; ok != wanted || ok && value != want {
					t.Errorf("%s: %s is %v (there: %v), want %q (there: %v)", name, field, value, ok, want, wanted)
				}
			}
		}
		if got["port"] == "" || got["bindings"] == nil {
			t.Errorf("%s: the other fields: %v", name, got)
		}
	}
}
