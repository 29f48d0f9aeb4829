package openflow

import (
	"context"
	"encoding/binary"
	"fmt"

	of "github.com/contiv/libOpenflow/openflow13"
)

// tableStatsLen is the size of an ofp_table_stats: OpenFlow 1.3 section 7.3.5.4.
const tableStatsLen = 24

// Matched returns how many packets have met a flow of a table since the switch was
// started. It costs the switch next to nothing, however many flows there are, and is as
// late as the flows' own counters.
func (c *Conn) Matched(ctx context.Context, table uint8) (packets uint64, err error) {
	found := false
	err = c.simple(ctx, func(xid uint32) ([]byte, error) { return multipartRequest(of.MultipartType_Table, nil, xid), nil },
		func(m message) (bool, error) {
			body, more, err := parseMultipart(m, of.MultipartType_Table)
			if err != nil {
				return true, err
			}
			n, ok, err := parseTableStats(body, table)
			if ok {
				packets, found = n, true
			}
			return !more || err != nil, err
		})
	if err == nil && !found {
		err = fmt.Errorf("the switch has no table %d", table)
	}
	if err != nil {
		return 0, fmt.Errorf("read table statistics: %w", err)
	}
	return packets, nil
}

// parseTableStats finds a table in a list of ofp_table_stats.
func parseTableStats(b []byte, table uint8) (matched uint64, found bool, err error) {
	for ; len(b) > 0; b = b[tableStatsLen:] {
		if len(b) < tableStatsLen {
			return 0, false, errTruncated
		}
		if b[0] == table {
			matched, found = binary.BigEndian.Uint64(b[16:]), true
		}
	}
	return matched, found, nil
}
