package conformance

import (
	"slices"
	"testing"

	"github.com/vifguard/vifguard/test/conformance/oracle"
	"github.com/vifguard/vifguard/test/lab"
)

// withoutOption returns a solicitation for duplicate address detection as if its source
// link-layer option held no address. So that it judges each of them, ovs-vswitchd writes a
// group address there, where these have no such option; it takes one that is zero for none.
// Receivers discard them (RFC 4861 section 7.1.1).
func withoutOption(frame []byte) []byte {
	ip := ethernetBytes
	if oracle.IsTag(be(frame[12:])) {
		ip += 4
	}
	message, option := ip+40, ip+40+24
	if len(frame) < option+8 || be(frame[ip-2:]) != lab.TypeIPv6 || frame[ip+6] != 58 || frame[message] != lab.ICMPv6NS ||
		string(frame[ip+8:ip+24]) != string(make([]byte, 16)) {
		return frame
	}
	if frame[option] != optionSource || frame[option+1] != 1 {
		return frame
	}
	if mac := string(frame[option+2 : option+8]); mac != "\x01\x00\x00\x00\x00\x00" && mac != "\x00\x00\x00\x00\x00\x00" {
		return frame
	}
	frame = slices.Clone(frame)
	copy(frame[option+2:], make([]byte, 6))
	copy(frame[message+2:], make([]byte, 2)) // the checksum
	return frame
}

// Only what is to be ignored is.
func TestWithoutOption(t *testing.T) {
	v := NewVIF(1)
	zero := func(b ...byte) []byte {
		return append([]byte{optionSource, 1}, append(b, make([]byte, 6-len(b))...)...)
	}
	for name, test := range map[string]struct {
		a, b []byte
		same bool
	}{
		"a group address for a zero one":   {v.dad(v.MAC, v.V6.Own, zero()), v.dad(v.MAC, v.V6.Own, zero(1)), true},
		"another address":                  {v.dad(v.MAC, v.V6.Own, zero()), v.dad(v.MAC, v.V6.Own, zero(2)), false},
		"another target":                   {v.dad(v.MAC, v.V6.Own, zero()), v.dad(v.MAC, v.V6.Pair, zero(1)), false},
		"a solicitation that isn't of DAD": {v.ns(v.V6.Own, zero()), v.ns(v.V6.Own, zero(1)), false},
	} {
		if same := string(withoutOption(test.a)) == string(withoutOption(test.b)); same != test.same {
			t.Errorf("%s: the same: %v", name, same)
		}
	}
}
