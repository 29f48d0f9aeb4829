package openflow

import (
	"bufio"
	"encoding/binary"
	"io"
	"testing"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// strict returns the rules of a VIF with all checks, an address of each family, a
// prefix and a pair.
func strict(b *testing.B) []flows.Rule {
	p := model.Resolve(&model.BridgeConfig{Settings: model.Settings{Name: "br0"}}, nil, &model.Interface{Name: "tap1", OFPort: 1, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:01", "port-security": "auto",
		"allowed-addresses": "192.0.2.2,2001:db8::2,198.51.100.0/28", "allowed-address-pairs": "203.0.113.9",
	}})
	if p.Mode != model.Checked || len(p.Problems) > 0 {
		b.Fatal(p)
	}
	return flows.Compile(flows.Port{VIF: 1, InPort: 1, Policy: &p})
}

// perFlow reports the time per flow.
func perFlow(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/flow")
}

func BenchmarkEncodeAll(b *testing.B) {
	rules := strict(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodeAll(rules, flows.Pipeline{Exit: -1}); err != nil {
			b.Fatal(err)
		}
	}
	perFlow(b, len(rules))
}

func BenchmarkFillBundle(b *testing.B) {
	entries, err := EncodeAll(strict(b), flows.Pipeline{Exit: -1})
	if err != nil {
		b.Fatal(err)
	}
	changes := flows.Diff(entries, nil)
	c := &Conn{w: bufio.NewWriterSize(io.Discard, bufferSize)}
	b.ReportAllocs()
	for b.Loop() {
		if err := (&bundle{changes: changes}).fill(c, 1); err != nil {
			b.Fatal(err)
		}
	}
	perFlow(b, len(changes))
}

func BenchmarkParseFlowStats(b *testing.B) {
	entries, err := EncodeAll(strict(b), flows.Pipeline{Exit: -1})
	if err != nil {
		b.Fatal(err)
	}
	m := message{4, of.Type_MultiPartReply, 0, 0, 0, 0, 0, 1, 0, of.MultipartType_Flow, 0, 0, 0, 0, 0, 0}
	for _, e := range entries {
		stats := make([]byte, flowStatsLen)
		binary.BigEndian.PutUint16(stats, uint16(flowStatsLen+len(e.Match)+len(e.Instructions)))
		m = append(append(append(m, stats...), e.Match...), e.Instructions...)
	}
	b.ReportAllocs()
	for b.Loop() {
		list, _, err := parseFlowStats(m)
		if err != nil || len(list) != len(entries) {
			b.Fatal(len(list), err)
		}
	}
	perFlow(b, len(entries))
}
