package openflow

import (
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"

	of "github.com/contiv/libOpenflow/openflow13"
)

// tableReply is a part of a reply with the statistics of one table.
func tableReply(flags uint16, table uint8, matched uint64) []byte {
	m := multipartRequest(of.MultipartType_Table, tableStats(table, matched), 3)
	m[1] = of.Type_MultiPartReply
	binary.BigEndian.PutUint16(m[headerLen+2:], flags)
	return m
}

func tableStats(table uint8, matched uint64) []byte {
	b := append([]byte{table, 0, 0, 0}, be32(9)...)
	b = binary.BigEndian.AppendUint64(b, matched+100) // looked up
	return binary.BigEndian.AppendUint64(b, matched)
}

func TestParseTableStats(t *testing.T) {
	both := append(tableStats(4, 44), tableStats(5, 1<<40)...)
	for _, test := range []struct {
		name    string
		body    []byte
		matched uint64
		found   bool
		fails   bool
	}{
		{"nothing", nil, 0, false, false},
		{"another table", tableStats(6, 1), 0, false, false},
		{"two tables", both, 1 << 40, true, false},
		{"cut in its first table", both[:10], 0, false, true},
		{"cut in its second table", both[:len(both)-1], 0, false, true},
		{"a byte too many", append(both, 5), 0, false, true},
	} {
		list, err := parseTableStats(test.body)
		var matched uint64
		i := slices.IndexFunc(list, func(s TableStats) bool { return s.Table == 5 })
		found := i >= 0
		if found {
			matched = list[i].Matched
		}
		if matched != test.matched || found != test.found || (err != nil) != test.fails {
			t.Errorf("%s: %d, %v, %v", test.name, matched, found, err)
		}
		for _, s := range list {
			if s.Flows != 9 {
				t.Errorf("%s: table %d has %d flows", test.name, s.Table, s.Flows)
			}
		}
	}
}

// The statistics of one table may be in any part of the reply.
func TestMatchedInParts(t *testing.T) {
	for name, test := range map[string]struct {
		parts [][]byte
		want  uint64
		err   string
	}{
		"first part":     {[][]byte{tableReply(of.OFPMPF_REPLY_MORE, 5, 7), tableReply(0, 6, 8)}, 7, ""},
		"last part":      {[][]byte{tableReply(of.OFPMPF_REPLY_MORE, 4, 7), tableReply(0, 5, 8)}, 8, ""},
		"no such table":  {[][]byte{tableReply(0, 4, 7)}, 0, "the switch has no table 5"},
		"another answer": {[][]byte{{4, of.Type_BarrierReply, 0, 8, 0, 0, 0, 3}}, 0, "message type 21"},
		"refused":        {[][]byte{{4, of.Type_Error, 0, 12, 0, 0, 0, 3, 0, 1, 0, 2}}, 0, "error type 1 code 2"},
		"truncated":      {[][]byte{{4, of.Type_MultiPartReply, 0, 20, 0, 0, 0, 3, 0, 3, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0}}, 0, errTruncated.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			c, ctx := dial(t, peer(t, func(nc net.Conn) {
				greet(nc)
				request := hear(nc)
				for _, part := range test.parts {
					binary.BigEndian.PutUint32(part[4:], request.xid())
					utter(nc, part)
				}
				hear(nc) // until the session is closed
			}))
			got, err := c.Matched(ctx, 5)
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%d, %v", got, err)
			}
		})
	}
}
