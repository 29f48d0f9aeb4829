package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/vifguard/vifguard/test/lab"
)

// maxProblem is longer than every problem.
const maxProblem = 160

// maxKind is how long the words of a claim can be.
const maxKind = 40

// checkFrame holds for every frame: its texts are short and have only printable
// ASCII characters.
func checkFrame(t *testing.T, f *Frame) {
	t.Helper()
	checkText(t, f.String(), maxLine)
	if c := f.Claim(); c != f.Claim() || len(c.Kind) > maxKind || len(c.VLANs) > maxKind {
		t.Errorf("claim %+v", c)
	}
	for _, problem := range f.Problems {
		checkText(t, problem, maxProblem)
	}
	if len(f.Problems) > maxProblems {
		t.Errorf("%d problems", len(f.Problems))
	}
}

func checkText(t *testing.T, s string, limit int) {
	t.Helper()
	if s == "" || len(s) > limit {
		t.Errorf("%d characters: %q", len(s), s)
	}
	for _, r := range s {
		if r < ' ' || r > '~' {
			t.Errorf("%q in %q", r, s)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, test := range claimTests {
		f.Add(test.frame)
	}
	for _, test := range problemTests {
		f.Add(test.frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		frame := Parse(b)
		checkFrame(t, &frame)
		if !bytes.Equal(before, b) {
			t.Error("Parse changed the frame")
		}
	})
}

func FuzzParseHex(f *testing.F) {
	frame := hex.EncodeToString(lab.ARPRequest(macA, ip4A, ip4B))
	for _, s := range []string{"", "0x", "0x" + frame, spaced(frame), frame + "g", "0x0000: 00", " 0X00\n1:2é\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseHex(s)
		if err != nil {
			checkText(t, err.Error(), maxProblem)
			return
		}
		if len(b) < headerLen || len(b) > maxFrame {
			t.Errorf("%d bytes", len(b))
		}
		again, err := ParseHex(spaced(hex.EncodeToString(b)))
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x read as %x, %v", b, again, err)
		}
		parsed := Parse(b)
		checkFrame(t, &parsed)
	})
}

func FuzzReadPcap(f *testing.F) {
	frame := lab.ARPRequest(macA, ip4A, ip4B)
	f.Add(pcapFile(binary.LittleEndian, pcapMicro, linkEthernet, frame, frame))
	f.Add(pcapFile(binary.BigEndian, pcapNano, linkEthernet, frame, nil))
	f.Add(pcapFile(binary.BigEndian, pcapMicro, linkCooked, frame))
	f.Add([]byte{0x0a, 0x0d, 0x0d, 0x0a})
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, err := ReadPcap(b)
		if err != nil {
			checkText(t, err.Error(), maxProblem)
		}
		total := 0
		for _, frame := range frames {
			total += len(frame) + recordHeader
			parsed := Parse(frame)
			checkFrame(t, &parsed)
		}
		if total > len(b) {
			t.Errorf("%d bytes of frames in a file of %d", total, len(b))
		}
	})
}
