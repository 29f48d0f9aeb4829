package frame

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/test/lab"
)

func TestParseHex(t *testing.T) {
	want := lab.ARPRequest(macA, ip4A, ip4B)
	digits := hex.EncodeToString(want)
	for name, s := range map[string]string{
		"plain":   digits,
		"capital": "0X" + strings.ToUpper(digits),
		"spaces":  "  0x" + digits[:20] + " " + digits[20:24] + "\t" + digits[24:] + "\r\n",
		"colons":  strings.TrimSuffix(strings.Join(strings.SplitAfter(spaced(digits), " "), ""), " "),
		"lines":   digits[:32] + "\n" + digits[32:64] + "\n" + digits[64:],
		"ovs":     strings.ReplaceAll(spaced(digits), " ", ":"),
	} {
		got, err := ParseHex(s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// spaced puts spaces between bytes.
func spaced(digits string) string {
	var bytes []string
	for i := 0; i < len(digits); i += 2 {
		bytes = append(bytes, digits[i:i+2])
	}
	return strings.Join(bytes, " ")
}

func TestParseHexErrors(t *testing.T) {
	for _, test := range []struct{ s, want string }{
		{"", "0 bytes are shorter than an Ethernet header (want at least 14)"},
		{"0x", "0 bytes are shorter than an Ethernet header (want at least 14)"},
		{strings.Repeat("00", 13), "13 bytes are shorter than an Ethernet header (want at least 14)"},
		{strings.Repeat("00", 65536), "65536 bytes are too long for a frame (want at most 65535)"},
		{strings.Repeat("0", 31), "an odd number of hexadecimal digits, 31 (want two a byte)"},
		{"0x0011g", `'g' at character 7 is not a hexadecimal digit`},
		{" 0011 0x22", `'x' at character 8 is not a hexadecimal digit`},
		{"00é", `'\u00e9' at character 3 is not a hexadecimal digit`},
		{"00\x1b", `'\x1b' at character 3 is not a hexadecimal digit`},
		{"00 1:22", `':' at character 5 stands inside a byte (want two hexadecimal digits a byte)`},
		{"0x0000:  ffff ffff", "has line offsets (0x0000:); give only the bytes of the frame"},
	} {
		if _, err := ParseHex(test.s); err == nil || err.Error() != test.want {
			t.Errorf("%.20q: %v, want %s", test.s, err, test.want)
		}
	}
}

// pcapFile is a capture file of Ethernet frames.
func pcapFile(order binary.AppendByteOrder, magic, link uint32, frames ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	for _, field := range []uint32{0, 0, 65535, link} {
		b = order.AppendUint32(b, field)
	}
	for _, frame := range frames {
		for _, field := range []uint32{1, 2, uint32(len(frame)), uint32(len(frame))} {
			b = order.AppendUint32(b, field)
		}
		b = append(b, frame...)
	}
	return b
}

func TestReadPcap(t *testing.T) {
	want := [][]byte{lab.ARPRequest(macA, ip4A, ip4B), {}, lab.STP(macA)}
	for name, file := range map[string][]byte{
		"big endian":    pcapFile(binary.BigEndian, 0xa1b2c3d4, 1, want...),
		"little endian": pcapFile(binary.LittleEndian, 0xa1b2c3d4, 1, want...),
		"nanoseconds":   pcapFile(binary.LittleEndian, 0xa1b23c4d, 1, want...),
		"with checksum": pcapFile(binary.BigEndian, 0xa1b23c4d, 0x44000001, want...),
	} {
		got, err := ReadPcap(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	if got, err := ReadPcap(pcapFile(binary.BigEndian, 0xa1b2c3d4, 1)); len(got) > 0 || err != nil {
		t.Errorf("no packets: %v, %v", got, err)
	}
}

func TestReadPcapErrors(t *testing.T) {
	frame := lab.ARPRequest(macA, ip4A, ip4B) // 42 bytes
	file := pcapFile(binary.LittleEndian, 0xa1b2c3d4, 1, frame, frame)
	second := pcapHeaderLen + recordHeader + len(frame)
	for _, test := range []struct {
		name   string
		b      []byte
		frames int
		want   string
	}{
		{"nothing", nil, 0, "0 bytes are not a pcap file"},
		{"pcapng", []byte{0x0a, 0x0d, 0x0d, 0x0a, 0}, 0, "a pcapng file; convert it with: tcpdump -r in.pcapng -w out.pcap"},
		{"text", []byte("ffffff"), 0, "not a pcap file (it starts with 0x66666666)"},
		{"header", file[:23], 0, "the pcap file ends inside its header (23 of 24 bytes)"},
		{"version", with(file, 4, 1), 0, "pcap version 1 (want 2)"},
		{"cooked", with(file, 20, 113), 0, `link type 113, without Ethernet headers (capture on one interface, not on "any")`},
		{"radio", with(file, 20, 127), 0, "link type 127 (want 1, Ethernet)"},
		{"record header", file[:second+15], 1, "packet 2: the file ends inside its header (15 of 16 bytes)"},
		{"record", file[:len(file)-1], 1, "packet 2: the file ends inside it (41 of 42 bytes)"},
		{"huge record", with(file, second+8, 0xff, 0xff, 0xff, 0xff), 1, "packet 2: the file ends inside it (42 of 4294967295 bytes)"},
		{"part of a packet", with(file, second+12, 43), 1,
			"packet 2: only 42 of its 43 bytes were captured (capture whole packets: tcpdump -s 0)"},
	} {
		frames, err := ReadPcap(test.b)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
		if len(frames) != test.frames {
			t.Errorf("%s: %d frames, want %d", test.name, len(frames), test.frames)
		}
	}
}
