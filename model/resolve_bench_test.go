package model_test

import (
	"testing"

	"github.com/vifguard/vifguard/model"
)

func BenchmarkResolve(b *testing.B) {
	bridge := &model.BridgeConfig{Settings: model.Settings{Name: "br0"}}
	row := &model.Interface{Name: "tap1", OFPort: 1, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:01", "port-security": "auto",
		"allowed-addresses": "192.0.2.2,2001:db8::2,198.51.100.0/28", "allowed-address-pairs": "203.0.113.9",
	}}
	b.ReportAllocs()
	for b.Loop() {
		if p := model.Resolve(bridge, nil, row); p.Mode != model.Checked || len(p.Problems) > 0 {
			b.Fatal(p)
		}
	}
}
