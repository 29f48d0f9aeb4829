package advice

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/vifguard/vifguard/model"
)

// Whatever a guest claims, no command gives it what another VIF owns; every refused
// claim is answered; and nothing is left open of what the commands allow.
func TestNoCommandGivesAwayWhatOthersOwn(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	macs := []string{own, "52:54:00:00:00:31", "52:54:00:00:00:99", "00:00:5e:00:01:07", "00:00:5e:00:02:09", "01:00:5e:00:00:01"}
	addresses := []string{"192.0.2.10", "192.0.2.31", "192.0.2.66", "192.0.2.100", "192.0.2.1", "198.51.100.9", "169.254.3.4", "169.254.169.254", "0.0.0.0"}
	v6 := []string{"2001:db8::31", "2001:db8::66", "::", "fe80::1", "fe80::5054:ff:fe00:31", "fe80::5054:ff:fe00:1"}
	for range 3000 {
		web1 := vif("web1", "attached-mac=52:54:00:00:00:31 allowed-addresses=192.0.2.31,2001:db8::31 allowed-address-pairs=192.0.2.100@00:00:5e:00:01:07")
		wide := vif("wide", "attached-mac=52:54:00:00:00:32 allowed-addresses=198.51.100.0/24")
		v := vif("tap1", pick(one, "attached-mac="+own, "allowed-addresses=192.0.2.10", one+" port-security=mac,arp", one+" allowed-address-pairs=192.0.2.200"))
		for range 1 + random.IntN(20) {
			reason := pick("mac", "arp", "nd", "ip", "vlan", "ethertype", "dhcp-server", "router", "malformed", "blocked", "unknown-port")
			words := fmt.Sprintf("eth=%s vlans=%s type=%s", pick(macs...), pick("", "0", "5", "0,5"), pick("0x0000", "0x0806", "0x88cc", "0x8863"))
			switch reason {
			case "arp":
				words += fmt.Sprintf(" sha=%s spa=%s target=%s kind=%s", pick(macs...), pick(addresses...), pick(addresses...), pick("a", "b"))
			case "nd":
				words += fmt.Sprintf(" option=%s source=%s target=%s", pick(macs...), pick(v6...), pick(v6...))
			default:
				words += " source=" + pick(append(addresses, v6...)...)
			}
			if random.IntN(4) == 0 {
				words = fmt.Sprintf("source=2001:db8:5::%x:1", random.IntN(1000))
			}
			v.Claims = append(v.Claims, claim(reason, words))
		}
		vifs := []VIF{v, web1, wide}
		a := NewHost(vifs, nil).Advise(&vifs[0])
		for _, s := range v.Claims {
			now := refusal(&v.Policy, model.ParseReason(s.Reason), &s.Claim)
			if now != model.NoReason && !slices.ContainsFunc(a.Findings, func(f Finding) bool {
				return f.Verdict != Settled && (f.Reason == now.String() || about(now.String()) && about(f.Reason))
			}) {
				t.Fatalf("nothing is said of %+v:\n%+v", s, a.Findings)
			}
		}
		all := make(map[string]string)
		for _, f := range a.Findings {
			for k, value := range f.set {
				all[k] = union(all[k], value)
			}
		}
		if _, ok := all[model.KeyChecks]; ok {
			all[model.KeyChecks] = "mac,arp,ip" // what bindings grant is looked at
		}
		row := *v.Row
		row.ExternalIDs = map[string]string{}
		for _, m := range []map[string]string{v.Row.ExternalIDs, all} {
			for k, value := range m {
				row.ExternalIDs[k] = value
			}
		}
		after := model.Resolve(v.Config, nil, &row)
		for _, b := range after.Bindings {
			if slices.Contains(v.Policy.Bindings, b) {
				continue
			}
			if b.MAC == mac("52:54:00:00:00:31") || b.MAC == mac("52:54:00:00:00:99") && v.Policy.MAC != (model.MAC{}) ||
				b.Prefix.Contains(netip.MustParseAddr("192.0.2.31")) || b.Prefix.Contains(netip.MustParseAddr("2001:db8::31")) ||
				b.Prefix.Overlaps(netip.MustParsePrefix("198.51.100.0/24")) || b.Prefix.Contains(metadataService) {
				t.Fatalf("%s is given away for %+v:\n%+v", b, v.Claims, a.Findings)
			}
		}
	}
}

// about reports whether findings for a reason are by address, and so may be for another
// reason that refused the same address.
func about(reason string) bool { return reason == "arp" || reason == "nd" || reason == "ip" }
