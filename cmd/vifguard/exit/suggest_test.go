package exit

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	for _, test := range []struct{ name, candidates, want string }{
		{"tap1", "tap1 tap2", "tap1"},
		{"tpa1", "tap2 tap1", "tap1"},
		{"TAP1", "tap1", "tap1"},
		{"br", "br0 eth0", "br0"},
		{"br-public-long", "br-public br0", "br-public"},
		{"x", "tap1 tap2", ""},
		{"", "tap1", ""},
		{"eth0", "", ""},
		{"uplink", "tap1 eth0", ""},
	} {
		if got := Nearest(test.name, strings.Fields(test.candidates)); got != test.want {
			t.Errorf("nearest to %q of %q: %q, want %q", test.name, test.candidates, got, test.want)
		}
	}
}
