package model

import (
	"strings"
	"testing"
)

// The bridge's action is the default of its ports. Own keys and profiles win, and what
// can't be read opens nothing.
func TestBridgeAction(t *testing.T) {
	profiles := map[string]string{"seen": "action=observe", "held": "action=enforce", "mac": "checks=mac"}
	tests := []struct {
		name   string
		bridge map[string]string
		ids    map[string]string
		want   string
		origin string
	}{
		{"nothing said", ids(), ids(KeyAttachedMAC, ownMAC), "checked mac", ""},
		{"bridge observes", ids(KeyAction, "observe"), ids(KeyAttachedMAC, ownMAC), "checked mac observe", originBridge},
		{"bridge enforces", ids(KeyAction, "enforce"), ids(KeyAttachedMAC, ownMAC), "checked mac", originBridge},
		{"own key before the bridge's", ids(KeyAction, "observe"), ids(KeyAttachedMAC, ownMAC, KeyAction, "enforce"), "checked mac", KeyAction},
		{"own key observes alone", ids(KeyAction, "enforce"), ids(KeyAttachedMAC, ownMAC, KeyAction, "observe"), "checked mac observe", KeyAction},
		{"profile before the bridge's", ids(KeyAction, "observe"), ids(KeyAttachedMAC, ownMAC, KeyProfile, "held"), "checked mac", "profile held"},
		{"profile observes alone", ids(), ids(KeyAttachedMAC, ownMAC, KeyProfile, "seen"), "checked mac observe", "profile seen"},
		{"profile without an action", ids(KeyAction, "observe"), ids(KeyAttachedMAC, ownMAC, KeyProfile, "mac"), "checked mac observe", originBridge},
		{"bad value of the bridge enforces", ids(KeyAction, "obsrve"), ids(KeyAttachedMAC, ownMAC), "checked mac", originBridge},
		{"bad own value enforces", ids(KeyAction, "observe"), ids(KeyAttachedMAC, ownMAC, KeyAction, "look"), "checked mac", KeyAction},
		{"no usable MAC", ids(KeyAction, "observe"), ids(KeyAddresses, "192.0.2.1"), "blocked observe", originBridge},
		{"checks off", ids(KeyAction, "observe"), ids(KeyChecks, "off"), "off observe", originBridge},
		{"unmarked port", ids(KeyAction, "observe"), ids(), "trusted", ""},
		{"unmarked port that would be blocked", ids(KeyAction, "observe", KeyUnmarked, "block"), ids(), "blocked observe", originBridge},
		{"unmarked port that is blocked", ids(KeyUnmarked, "block"), ids(), "blocked", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.bridge[KeyChecks] = "auto"
			config := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: test.bridge})
			p := Resolve(&config, profiles, &Interface{Name: "tap1", ExternalIDs: test.ids})
			if got := summary(p); got != test.want || p.Origins.Of(KeyAction) != test.origin {
				t.Errorf("got %q from %q, want %q from %q", got, p.Origins.Of(KeyAction), test.want, test.origin)
			}
		})
	}
}

// A bad action is the bridge's own error, so that all its VIFs report it.
func TestBridgeActionProblem(t *testing.T) {
	c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto", KeyAction, "obsrve")})
	if p := Resolve(&c, nil, &Interface{ExternalIDs: ids(KeyAttachedMAC, ownMAC)}); !c.Usable || p.Action != Enforce {
		t.Errorf("usable %v, action %v: want a usable bridge that enforces", c.Usable, p.Action)
	}
	if text := c.Problems.String(); !strings.Contains(text, `port-security-action: "obsrve" is not valid (want enforce or observe); enforce is used`) {
		t.Errorf("problems: %s", text)
	}
}
