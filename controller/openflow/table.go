package openflow

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	of "github.com/contiv/libOpenflow/openflow13"
)

// TableStats is what the switch tells of a table: OpenFlow 1.3 section 7.3.5.4.
type TableStats struct {
	Table   uint8
	Flows   uint32
	Matched uint64 // packets that have met a flow of it since the switch was started
}

// tableStatsLen is the size of an ofp_table_stats.
const tableStatsLen = 24

// Tables returns the statistics of all tables. They cost the switch next to nothing,
// however many flows there are, and count packets as late as the flows themselves.
func (c *Conn) Tables(ctx context.Context) (list []TableStats, err error) {
	err = c.simple(ctx, func(xid uint32) ([]byte, error) { return multipartRequest(of.MultipartType_Table, nil, xid), nil },
		func(m message) (bool, error) {
			body, more, err := parseMultipart(m, of.MultipartType_Table)
			if err != nil {
				return true, err
			}
			part, err := parseTableStats(body)
			list = append(list, part...)
			return !more || err != nil, err
		})
	if err != nil {
		return nil, fmt.Errorf("read table statistics: %w", err)
	}
	return list, nil
}

// Matched returns how many packets have met a flow of a table since the switch was
// started.
func (c *Conn) Matched(ctx context.Context, table uint8) (packets uint64, err error) {
	list, err := c.Tables(ctx)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(list, func(s TableStats) bool { return s.Table == table })
	if i < 0 {
		return 0, fmt.Errorf("read table statistics: the switch has no table %d", table)
	}
	return list[i].Matched, nil
}

// parseTableStats reads a list of ofp_table_stats.
func parseTableStats(b []byte) (list []TableStats, err error) {
	for ; len(b) > 0; b = b[tableStatsLen:] {
		if len(b) < tableStatsLen {
			return nil, errTruncated
		}
		list = append(list, TableStats{Table: b[0], Flows: binary.BigEndian.Uint32(b[4:]), Matched: binary.BigEndian.Uint64(b[16:])})
	}
	return list, nil
}
