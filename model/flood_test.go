package model

import (
	"fmt"
	"testing"
)

// The key means the same on the interface, in its profile and on the bridge, which win
// in this order. What can't be read counts as off, and doesn't fall back on the others.
func TestFlood(t *testing.T) {
	const bad = " is not valid (want off, or how many refused frames a second lead to quarantine, 1 to 1000000); off is used"
	profiles := map[string]string{"hot": "flood=2000", "cold": "flood=off", "bad": "flood=1e3", "mac": "checks=mac"}
	tests := []struct {
		name     string
		bridge   map[string]string
		ids      map[string]string
		want     string // as asked for, what counts, and the origin
		problems []string
	}{
		{"nothing said", ids(), ids(), "off 0 ", nil},
		{"own", ids(), ids(KeyFlood, "1"), "1 1 " + KeyFlood, nil},
		{"the highest", ids(), ids(KeyFlood, " 1000000 "), "1000000 1000000 " + KeyFlood, nil},
		{"profile", ids(), ids(KeyProfile, "hot"), "2000 2000 profile hot", nil},
		{"bridge", ids(KeyFlood, "500"), ids(), "500 500 " + originBridge, nil},
		{"own before the profile's", ids(), ids(KeyFlood, "3", KeyProfile, "hot"), "3 3 " + KeyFlood, nil},
		{"own off before the bridge's", ids(KeyFlood, "500"), ids(KeyFlood, "off"), "off 0 " + KeyFlood, nil},
		{"profile before the bridge's", ids(KeyFlood, "500"), ids(KeyProfile, "cold"), "off 0 profile cold", nil},
		{"profile without", ids(KeyFlood, "500"), ids(KeyProfile, "mac"), "500 500 " + originBridge, nil},
		{"observed", ids(KeyFlood, "500"), ids(KeyAction, "observe"), "500 0 " + originBridge, nil},
		{"no check", ids(KeyFlood, "500"), ids(KeyChecks, "off"), "500 0 " + originBridge, nil},
		{"blocked", ids(KeyFlood, "500"), ids(KeyChecks, "block"), "500 0 " + originBridge, nil},
		{"zero", ids(KeyFlood, "500"), ids(KeyFlood, "0"), "off 0 " + KeyFlood, []string{`port-security-flood: "0"` + bad}},
		{"too many", ids(), ids(KeyFlood, "1000001"), "off 0 " + KeyFlood, []string{`port-security-flood: "1000001"` + bad}},
		{"more than a number holds", ids(), ids(KeyFlood, "99999999999999999999"), "off 0 " + KeyFlood, []string{bad}},
		{"negative", ids(), ids(KeyFlood, "-5"), "off 0 " + KeyFlood, []string{bad}},
		{"empty", ids(), ids(KeyFlood, ""), "off 0 " + KeyFlood, []string{"port-security-flood" + bad}},
		{"words", ids(), ids(KeyFlood, "1000/s"), "off 0 " + KeyFlood, []string{`"1000/s"` + bad}},
		{"bad profile", ids(KeyFlood, "500"), ids(KeyProfile, "bad"), "off 0 profile bad", []string{`port-security-profile-bad: "1e3"` + bad}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.bridge[KeyChecks], test.ids[KeyAttachedMAC] = "auto", ownMAC
			config := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: test.bridge})
			p := Resolve(&config, profiles, &Interface{Name: "tap1", ExternalIDs: test.ids})
			if got := fmt.Sprintf("%s %d %s", p.Flood, p.FloodLimit(), p.Origins.Of(KeyFlood)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			checkProblems(t, p.Problems, test.problems)
		})
	}
}

// A bad value of the bridge is the bridge's own error, so that all its VIFs report it.
func TestFloodOfBridge(t *testing.T) {
	c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto", KeyFlood, "many")})
	if p := Resolve(&c, nil, &Interface{ExternalIDs: ids(KeyAttachedMAC, ownMAC)}); !c.Usable || p.Flood != 0 {
		t.Errorf("usable %v, flood %v: want a usable bridge without a limit", c.Usable, p.Flood)
	}
	checkProblems(t, c.Problems, []string{`port-security-flood: "many" is not valid`})
}
