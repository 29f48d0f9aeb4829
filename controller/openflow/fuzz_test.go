package openflow

import (
	"encoding/hex"
	"testing"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

// packetInSeed is an NXT_PACKET_IN2 as Open vSwitch 3.1 sends it.
func packetInSeed() []byte {
	var body []byte
	body = appendProperty(body, packetInPacket, make([]byte, 60))
	body = appendProperty(body, 1, be32(1500)) // full length
	body = appendProperty(body, 3, []byte{5})  // table
	body = appendProperty(body, packetInCookie, append(make([]byte, 4), 0x76, 0x67, 1, 0, 0, 0, 0, 9))
	body = appendProperty(body, packetInMetadata, []byte{0x80, 0, 0, 4, 0, 0, 0, 7, 0, 1, 15 << 1, 4, 0, 1, 0, 3})
	body = appendProperty(body, packetInUserdata, []byte{userdataPassed})
	return nicira(packetIn2, body)
}

func TestPacketInSeedIsOne(t *testing.T) {
	p, err := parsePacketIn(packetInSeed())
	if err != nil || p.Cookie != 0x7667010000000009 || p.InPort != 7 || !p.Passed || len(p.Frame) != 60 {
		t.Errorf("%+v, %v", p, err)
	}
}

// whole makes any bytes a message as readMessage returns them.
func whole(b []byte) message {
	for len(b) < headerLen {
		b = append(b, 0)
	}
	return b
}

func FuzzPacketIn(f *testing.F) {
	f.Add(packetInSeed())
	f.Add(nicira(packetIn2, []byte{0, 0, 0, 3}))
	f.Add(nicira(packetIn2, []byte{0, packetInMetadata, 0, 8, 0x80, 0, 0, 255}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePacketIn(whole(b))
		if len(p.Frame) > flows.SampleLen || err != nil && p.Frame != nil {
			t.Errorf("%d bytes, %v", len(p.Frame), err)
		}
	})
}

// FuzzMessages hands any bytes to everything that reads what a switch says.
func FuzzMessages(f *testing.F) {
	meters := multipartRequest(of.MultipartType_MeterConfig, append(append([]byte{0, 24, 0, 6}, be32(1)...), NewMeter(1, 2, 3).bands...), 1)
	meters[1] = of.Type_MultiPartReply
	f.Add(meters)
	f.Add(packetInSeed())
	f.Add(tableReply(0, 5, 77))
	for _, s := range []string{
		"0413004000000003000100000000000000300000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
		"0401000c0000000300010002", "0408000c0000000300030080", "04040018000000034f4e460000000008fc0000010000000300",
	} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := whole(b)
		if list, _, err := parseFlowStats(m); err == nil && len(list) > len(m)/flowStatsLen {
			t.Errorf("%d flows in %d bytes", len(list), len(m))
		}
		for _, kind := range []uint16{of.MultipartType_MeterConfig, of.MultipartType_MeterFeatures} {
			body, _, err := parseMultipart(m, kind)
			if err != nil {
				continue
			}
			if list, err := parseMeters(body); err == nil && len(list) > len(m)/meterConfigLen {
				t.Errorf("%d meters in %d bytes", len(list), len(m))
			}
			_, _ = parseMeterFeatures(body)
		}
		if body, _, err := parseMultipart(m, of.MultipartType_Table); err == nil {
			_, _ = parseTableStats(body)
		}
		_ = parseError(m).Error()
		_, _ = parseBundleControl(m)
		_, _ = parseConfig(m)
		_ = isPacketIn(m)
	})
}
