package openflow

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"time"

	of "github.com/contiv/libOpenflow/openflow13"
)

// usageReply is what Open vSwitch 3.1 says of one flow with a masked register.
const usageReply = "06130c0000000002000100000000000000b00000000000070000000000000000" +
	"76670000000000050001003c8000000400000001800008060011223344558000" +
	"0a02080680002d0801020300ffffff0080010f10000000000000001000000000" +
	"000000110000000000000034800200080000001b2282d6c0800202080000001a" +
	"00000000800208080000000000000007" + "80020a0800000000000000000000000" + "00004001800000000" +
	"0019001000011f08000000030000000f0001000801000000"

func usageSeed(t testing.TB) []byte {
	b, err := hex.DecodeString(usageReply)
	if err != nil {
		t.Fatal(err)
	}
	b[2], b[3] = 0, byte(len(b))
	return b
}

type conversation struct {
	io.Reader
	io.Writer
}

func hearUsage(b []byte) (map[FlowID]Usage, error) {
	return readUsage(conversation{bytes.NewReader(b), io.Discard})
}

func TestParseUsage(t *testing.T) {
	all, err := hearUsage(append(hello15(), usageSeed(t)...))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d flows, %v", len(all), err)
	}
	for id, u := range all {
		if id.Priority != 7 || id.Table != 0 || id.Cookie != 0x7667000000000005 {
			t.Errorf("flow %+v", id)
		}
		if u.Packets != 7 || u.Idle != 26*time.Second || u.Age != 27*time.Second+579000000 {
			t.Errorf("usage %+v", u)
		}
		// NXM_NX_REG15 with a mask, where 1.5 has OXM_OF_PKT_REG7.
		if !bytes.Contains([]byte(id.Match), []byte{0, 1, (of.NXM_NX_REG0+15)<<1 | 1, 8, 0, 0, 0, 0x10, 0, 0, 0, 0x11}) {
			t.Errorf("match %x", id.Match)
		}
	}
}

// Whatever a peer says is an error, and never a panic.
func TestHostileUsage(t *testing.T) {
	whole := usageSeed(t)
	change := func(at int, v ...byte) []byte {
		b := bytes.Clone(whole)
		copy(b[at:], v)
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"another version":      change(0, 4),
		"another message":      change(1, of.Type_BarrierReply),
		"another multipart":    change(8, 0, 3),
		"flow too long":        change(16, 0xff, 0xff),
		"flow of length 0":     change(16, 0, 0),
		"match too long":       change(42, 0xff, 0xff),
		"match of length 0":    change(42, 0, 0),
		"field too long":       change(47, 0xff),
		"register of no pair":  change(82, 0x21),
		"stats too long":       change(106, 0xff, 0xff),
		"stats field too long": change(111, 0xff),
		"an error":             {6, of.Type_Error, 0, 12, 0, 0, 0, 2, 0, 1, 0, 2},
		"promises more":        change(10, 0, 1),
	} {
		if all, err := hearUsage(b); err == nil {
			t.Errorf("%s: no error but %d flows", name, len(all))
		} else if errors.Is(err, ErrNoTimes) {
			t.Errorf("%s: taken for another version", name)
		}
	}
	refused := []byte{4, of.Type_Error, 0, 12, 0, 0, 0, 1, 0, of.ET_HELLO_FAILED, 0, 0}
	if _, err := hearUsage(refused); !errors.Is(err, ErrNoTimes) {
		t.Errorf("refused hello: %v", err)
	}
}

func FuzzUsage(f *testing.F) {
	f.Add(usageSeed(f))
	f.Add(append(hello15(), usageSeed(f)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := hearUsage(b)
		if err != nil {
			return
		}
		for id := range all {
			if len(id.Match)%8 != 0 || len(id.Match) < 8 {
				t.Errorf("match of %d bytes", len(id.Match))
			}
		}
	})
}
