package inspect

import (
	"testing"

	"github.com/vifguard/vifguard/test/lab"
)

// What the datapath does with a packet depends on its length where the flows ask for it.
func TestShareOf(t *testing.T) {
	const forked = "check_pkt_len(size=85,gt(recirc(0x4)),le(sample(sample=50.0%,actions(7)),100,2))"
	for _, test := range []struct {
		actions string
		longest uint16
		length  int
		want    string
	}{
		{"100,2", 0, 60, "100,2"},
		{"100,2", 85, 60, "100,2"},
		{forked, 85, 85, "sample(sample=50.0%,actions(7)),100,2"},
		{forked, 85, 86, "recirc(0x4)"},
		{forked, 93, 86, forked},
		{"check_pkt_len(size=85,gt(drop)", 85, 86, "check_pkt_len(size=85,gt(drop)"},
	} {
		if got := shareOf(test.actions, test.longest, test.length); got != test.want {
			t.Errorf("%s of %d bytes, asked for %d: %s, want %s", test.actions, test.length, test.longest, got, test.want)
		}
	}
}

// Bytes behind an IPv6 packet count for the kernel only.
func TestBehind(t *testing.T) {
	packet := lab.IPv6{Next: lab.ProtoICMPv6}.Packet(make([]byte, 24))
	frame := lab.Ether(lab.Broadcast, lab.MAC{2}, lab.TypeIPv6, packet)
	more := append(append([]byte{}, frame...), make([]byte, 8)...)
	for name, test := range map[string]struct {
		frame []byte
		want  int
	}{
		"nothing":         {frame, 0},
		"8 bytes":         {more, 8},
		"8 bytes, tagged": {lab.Tagged(more, lab.VLAN{}), 8},
		"cut off":         {frame[:60], 0},
		"no header":       {frame[:30], 0},
		"no type":         {frame[:14], 0},
		"IPv4":            {lab.Ether(lab.Broadcast, lab.MAC{2}, lab.TypeIPv4, packet, make([]byte, 8)), 0},
	} {
		if got := behind(test.frame); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
