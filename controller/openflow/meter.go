package openflow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	of "github.com/contiv/libOpenflow/openflow13"

	"github.com/vifguard/vifguard/flows"
)

// Numbers of OpenFlow 1.3 sections A.3.4.4 and A.3.5.14.
const (
	meterAdd    = 0 // OFPMC_ADD
	meterModify = 1 // OFPMC_MODIFY
	meterDelete = 2 // OFPMC_DELETE

	meterPackets = 1 << 1 // OFPMF_PKTPS
	meterBurst   = 1 << 2 // OFPMF_BURST
	bandDrop     = 1      // OFPMBT_DROP
	bandLen      = 16

	allMeters        = 0xffffffff // OFPM_ALL
	meterConfigLen   = 8          // ofp_meter_config without its bands
	meterFeaturesLen = 16         // ofp_meter_features
)

// Meter is a meter as the switch stores it: two with equal fields do the same.
type Meter struct {
	ID    uint32
	flags uint16
	bands string // as encoded
}

// NewMeter returns a meter that lets rate packets per second through, after burst at
// once, and drops the others.
func NewMeter(id, rate, burst uint32) Meter {
	b := append(be16(bandDrop), be16(bandLen)...)
	b = append(b, be32(rate)...)
	b = append(b, be32(burst)...)
	return Meter{ID: id, flags: meterPackets | meterBurst, bands: string(append(b, 0, 0, 0, 0))}
}

// MeterLimit returns how many meters like those of NewMeter the switch can have; 0 when
// its datapath has none.
func (c *Conn) MeterLimit(ctx context.Context) (limit uint32, err error) {
	err = c.simple(ctx, func(xid uint32) ([]byte, error) {
		return multipartRequest(of.MultipartType_MeterFeatures, nil, xid), nil
	},
		func(m message) (bool, error) {
			body, _, err := parseMultipart(m, of.MultipartType_MeterFeatures)
			if err == nil {
				limit, err = parseMeterFeatures(body)
			}
			return true, err
		})
	var refused *SwitchError
	if errors.As(err, &refused) {
		return 0, nil // no meters at all
	}
	return limit, err
}

// Meters returns the meters of the bridge, in no particular order.
func (c *Conn) Meters(ctx context.Context) (all []Meter, err error) {
	body := append(be32(allMeters), 0, 0, 0, 0)
	err = c.simple(ctx, func(xid uint32) ([]byte, error) {
		return multipartRequest(of.MultipartType_MeterConfig, body, xid), nil
	},
		func(m message) (bool, error) {
			body, more, err := parseMultipart(m, of.MultipartType_MeterConfig)
			if err != nil {
				return true, err
			}
			part, err := parseMeters(body)
			all = append(all, part...)
			return !more, err
		})
	if err != nil {
		return nil, fmt.Errorf("read the meters: %w", err)
	}
	return all, nil
}

// AddMeters adds meters that aren't there. Meters can't be part of a bundle: when the
// switch refuses one, it has the others.
func (c *Conn) AddMeters(ctx context.Context, meters []Meter) error {
	return c.changeMeters(ctx, meterAdd, "add", meters)
}

// ModifyMeters changes meters that are there.
func (c *Conn) ModifyMeters(ctx context.Context, meters []Meter) error {
	return c.changeMeters(ctx, meterModify, "modify", meters)
}

// DeleteMeters deletes meters; those that aren't there are no error. No flow may refer
// to them any more: it would go on with a meter that somebody else may get.
func (c *Conn) DeleteMeters(ctx context.Context, meters []Meter) error {
	return c.changeMeters(ctx, meterDelete, "delete", meters)
}

// deleteOwnMeters deletes vifguard's meters.
func (c *Conn) deleteOwnMeters(ctx context.Context) error {
	all, err := c.Meters(ctx)
	if err != nil {
		var refused *SwitchError
		if errors.As(err, &refused) {
			return nil // no meters at all
		}
		return err
	}
	return c.DeleteMeters(ctx, slices.DeleteFunc(all, func(m Meter) bool { return !flows.IsSampleMeter(m.ID) }))
}

func (c *Conn) changeMeters(ctx context.Context, command uint16, what string, meters []Meter) error {
	if len(meters) == 0 {
		return nil
	}
	messages := make([][]byte, len(meters))
	for i, m := range meters {
		messages[i] = meterMod(command, m)
	}
	var refused error
	err := c.batch(ctx, messages, func(i int, e *SwitchError) {
		refused = fmt.Errorf("the switch refused to %s meter %d: %w", what, meters[i].ID, e)
	})
	if err != nil {
		return fmt.Errorf("%s %d meters: %w", what, len(meters), err)
	}
	return refused
}

func meterMod(command uint16, m Meter) []byte {
	b := header(of.Type_MeterMod, 0)
	b = append(b, be16(command)...)
	b = append(b, be16(m.flags)...)
	b = append(b, be32(m.ID)...)
	if command != meterDelete {
		b = append(b, m.bands...)
	}
	return finish(b)
}

func multipartRequest(kind uint16, body []byte, xid uint32) []byte {
	b := header(of.Type_MultiPartRequest, xid)
	b = append(b, be16(kind)...)
	b = append(b, make([]byte, multipartLen-headerLen-2)...)
	return finish(append(b, body...))
}

// parseMultipart returns what a multipart reply holds; more says that further parts
// follow.
func parseMultipart(m message, kind uint16) (body []byte, more bool, err error) {
	if err := expect(m, of.Type_MultiPartReply); err != nil {
		return nil, false, err
	}
	if len(m) < multipartLen {
		return nil, false, errTruncated
	}
	if got := binary.BigEndian.Uint16(m[headerLen:]); got != kind {
		return nil, false, fmt.Errorf("multipart reply of type %d where %d was expected", got, kind)
	}
	return m[multipartLen:], binary.BigEndian.Uint16(m[headerLen+2:])&of.OFPMPF_REPLY_MORE != 0, nil
}

func parseMeterFeatures(b []byte) (limit uint32, err error) {
	if len(b) < meterFeaturesLen {
		return 0, errTruncated
	}
	bands, can := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	const need = meterPackets | meterBurst
	if bands&(1<<bandDrop) == 0 || can&need != need || b[12] == 0 {
		return 0, nil
	}
	return binary.BigEndian.Uint32(b), nil
}

// parseMeters reads a list of ofp_meter_config. It copies what it keeps.
func parseMeters(b []byte) ([]Meter, error) {
	var list []Meter
	for len(b) > 0 {
		if len(b) < meterConfigLen {
			return nil, errTruncated
		}
		n := int(binary.BigEndian.Uint16(b))
		if n < meterConfigLen || n > len(b) {
			return nil, errTruncated
		}
		list = append(list, Meter{
			ID:    binary.BigEndian.Uint32(b[4:]),
			flags: binary.BigEndian.Uint16(b[2:]),
			bands: string(b[meterConfigLen:n]),
		})
		b = b[n:]
	}
	return list, nil
}
