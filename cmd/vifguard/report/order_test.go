package report

import (
	"slices"
	"testing"
)

func TestCompare(t *testing.T) {
	want := []string{"", "br0", "br10", "tap", "tap0", "tap00", "tap1", "tap01x", "tap2-9", "tap2-10", "tap10", "vnet2", "vnet10", "vnet100", "vnet99999999999999999999", "vnetx"}
	for i, a := range want {
		for j, b := range want {
			if got, ok := Compare(a, b), i-j; (got < 0) != (ok < 0) || (got > 0) != (ok > 0) {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
		}
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Compare)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
