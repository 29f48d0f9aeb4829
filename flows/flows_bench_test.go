package flows_test

import (
	"fmt"
	"testing"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// strict is a VIF with all checks, an address of each family, a prefix and a pair.
func strict(b *testing.B) flows.Port {
	p := model.Resolve(&model.BridgeConfig{Settings: model.Settings{Name: "br0"}}, nil, &model.Interface{Name: "tap1", OFPort: 1, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:01", "port-security": "auto",
		"allowed-addresses": "192.0.2.2,2001:db8::2,198.51.100.0/28", "allowed-address-pairs": "203.0.113.9",
	}})
	if p.Mode != model.Checked || len(p.Problems) > 0 {
		b.Fatal(p)
	}
	return flows.Port{VIF: 1, InPort: 1, Policy: &p}
}

func BenchmarkCompile(b *testing.B) {
	port := strict(b)
	b.ReportAllocs()
	for b.Loop() {
		flows.Compile(port)
	}
}

// entries returns as many entries as n VIFs have, with matches and instructions of
// the usual length.
func entries(n int) []flows.Entry {
	const perVIF = 32
	list := make([]flows.Entry, 0, n*perVIF)
	for v := range n {
		for f := range perVIF {
			list = append(list, flows.Entry{
				Key:          flows.Key{Table: uint8(f % 6), Priority: 40400, Match: fmt.Sprintf("%064d%08d", f, v)},
				Cookie:       flows.NewCookie(flows.VIFID(v), model.NoReason),
				Instructions: "12345678",
			})
		}
	}
	return list
}

func BenchmarkDiff(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		want, have := entries(n), entries(n)
		b.Run(fmt.Sprintf("equal/VIFs=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c := flows.Diff(want, have); len(c) != 0 {
					b.Fatal(len(c))
				}
			}
		})
		b.Run(fmt.Sprintf("all/VIFs=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c := flows.Diff(want, nil); len(c) != len(want) {
					b.Fatal(len(c))
				}
			}
		})
	}
}
