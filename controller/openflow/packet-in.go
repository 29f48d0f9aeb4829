package openflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

// Numbers of the Nicira extensions for packet-ins: nicira-ext.h, ofp-actions.c and
// ofp-packet.c of Open vSwitch.
const (
	niciraVendor = 0x2320

	setPacketInFormat = 16 // NXT_SET_PACKET_IN_FORMAT
	setControllerID   = 20 // NXT_SET_CONTROLLER_ID
	packetIn2         = 30 // NXT_PACKET_IN2

	formatPacketIn2 = 2 // NXPIF_NXT_PACKET_IN2

	actionController2 = 37 // NXAST_CONTROLLER2

	controllerMaxLen   = 0 // NXAC2PT_MAX_LEN
	controllerID       = 1 // NXAC2PT_CONTROLLER_ID
	controllerUserdata = 3 // NXAC2PT_USERDATA
	controllerMeterID  = 5 // NXAC2PT_METER_ID

	packetInPacket   = 0 // NXPINT_PACKET
	packetInCookie   = 4 // NXPINT_COOKIE
	packetInMetadata = 6 // NXPINT_METADATA
	packetInUserdata = 7 // NXPINT_USERDATA
)

// sample encodes NXAST_CONTROLLER2 with the properties in Open vSwitch's order, which
// makes it come back byte for byte.
func sample(s *flows.Sample) raw {
	b := binary.BigEndian.AppendUint16(nil, of.ActionType_Experimenter)
	b = append(b, 0, 0) // length
	b = binary.BigEndian.AppendUint32(b, niciraVendor)
	b = binary.BigEndian.AppendUint16(b, actionController2)
	b = append(b, make([]byte, 6)...)
	// Properties of 16 bits are padded, and the padding counts.
	b = property(b, controllerMaxLen, 0, 0)
	binary.BigEndian.PutUint16(b[len(b)-4:], flows.SampleLen)
	b = property(b, controllerID, 0, 0)
	binary.BigEndian.PutUint16(b[len(b)-4:], flows.SampleController)
	if s.Passed {
		b = property(b, controllerUserdata, flows.SamplePassed)
	}
	b = property(b, controllerMeterID)
	binary.BigEndian.PutUint16(b[len(b)-2:], 8)
	b = binary.BigEndian.AppendUint32(b, s.Meter)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}
