package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// database is a plain OVSDB client (RFC 7047). The measurements need one that adds no
// more to a figure than a write and a read on the socket.
type database struct {
	conn net.Conn
	enc  *json.Encoder

	mu      sync.Mutex
	id      int
	waiting map[int]chan reply
	updates func(tableUpdates, time.Time) // called by the reading goroutine
	err     error
}

type reply struct {
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// tableUpdates is the second parameter of "update" (RFC 7047 section 4.1.6): tables,
// then row UUIDs, then what the row was and is.
type tableUpdates map[string]map[string]struct {
	New update `json:"new"`
}

// dialDatabase connects to a server at "unix:PATH".
func dialDatabase(endpoint string) (*database, error) {
	conn, err := net.Dial("unix", strings.TrimPrefix(endpoint, "unix:"))
	if err != nil {
		return nil, fmt.Errorf("connect to ovsdb-server: %w", err)
	}
	d := &database{conn: conn, enc: json.NewEncoder(conn), waiting: map[int]chan reply{}}
	go d.read()
	return d, nil
}

func (d *database) close() { d.conn.Close() }

// read is the reading goroutine.
func (d *database) read() {
	dec := json.NewDecoder(d.conn)
	for {
		var m struct {
			ID     any               `json:"id"`
			Method string            `json:"method"`
			Params []json.RawMessage `json:"params"`
			reply
		}
		if err := dec.Decode(&m); err != nil {
			d.fail(err)
			return
		}
		at := time.Now()
		switch id, ok := m.ID.(float64); {
		case m.Method == "echo":
			d.mu.Lock()
			// A connection that can't be written to can't be read from either.
			_ = d.enc.Encode(map[string]any{"id": m.ID, "result": m.Params, "error": nil})
			d.mu.Unlock()
		case m.Method == "update" && len(m.Params) == 2:
			var u tableUpdates
			if err := json.Unmarshal(m.Params[1], &u); err != nil {
				d.fail(err)
				return
			}
			d.updates(u, at)
		case ok:
			d.mu.Lock()
			ch := d.waiting[int(id)]
			delete(d.waiting, int(id))
			d.mu.Unlock()
			if ch != nil {
				ch <- m.reply
			}
		}
	}
}

func (d *database) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	for _, ch := range d.waiting {
		close(ch)
	}
	d.waiting = nil
}

// call sends a request and waits for its answer.
func (d *database) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	ch := make(chan reply, 1)
	d.mu.Lock()
	if d.waiting == nil {
		d.mu.Unlock()
		return nil, fmt.Errorf("OVSDB %s: connection lost: %w", method, d.err)
	}
	d.id++
	d.waiting[d.id] = ch
	err := d.enc.Encode(map[string]any{"id": d.id, "method": method, "params": append([]any{}, params...)})
	d.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("OVSDB %s: %w", method, err)
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("OVSDB %s: %w", method, context.Cause(ctx))
	case r, ok := <-ch:
		switch {
		case !ok:
			return nil, fmt.Errorf("OVSDB %s: connection lost", method)
		case len(r.Error) > 0 && string(r.Error) != "null":
			return nil, fmt.Errorf("OVSDB %s: %s", method, r.Error)
		}
		return r.Result, nil
	}
}

// transact carries out operations in one transaction.
func (d *database) transact(ctx context.Context, ops ...any) error {
	result, err := d.call(ctx, "transact", append([]any{"Open_vSwitch"}, ops...)...)
	if err != nil {
		return err
	}
	var outcome []struct {
		Error   string `json:"error"`
		Details string `json:"details"`
	}
	if err := json.Unmarshal(result, &outcome); err != nil {
		return fmt.Errorf("OVSDB transact: %w", err)
	}
	for _, o := range outcome {
		if o.Error != "" {
			return errors.New("OVSDB transact: " + o.Error + ": " + o.Details)
		}
	}
	return nil
}

// applied returns when ovs-vswitchd has applied the database as it is now: as ovs-vsctl
// does, it counts next_cfg up and waits for cur_cfg, but as long as that takes.
func (d *database) applied(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("not after five minutes"))
	defer cancel()
	next, err := d.config(ctx, "next_cfg", map[string]any{
		"op": "mutate", "table": "Open_vSwitch", "where": []any{}, "mutations": [][]any{{"next_cfg", "+=", 1}},
	})
	if err != nil {
		return err
	}
	return lab.WaitUntil(ctx, "ovs-vswitchd has applied the database", func() (bool, error) {
		current, err := d.config(ctx, "cur_cfg")
		return current >= next, err
	})
}

// reconfigure changes a key that nobody reads on a VIF's row, and returns how long
// ovs-vswitchd takes until it has applied that: it looks at every port then.
func (d *database) reconfigure(ctx context.Context, v vif, value string) (time.Duration, error) {
	begin := time.Now()
	next, err := d.config(ctx, "next_cfg",
		map[string]any{
			"op": "mutate", "table": "Interface", "where": [][]any{{"name", "==", v.name()}},
			"mutations": [][]any{
				{"external_ids", "delete", ovsSet([]string{"bench"})},
				{"external_ids", "insert", ovsMap(map[string]string{"bench": value})},
			},
		},
		map[string]any{"op": "mutate", "table": "Open_vSwitch", "where": []any{}, "mutations": [][]any{{"next_cfg", "+=", 1}}})
	for current := -1; err == nil && current < next; {
		current, err = d.config(ctx, "cur_cfg")
	}
	return time.Since(begin), err
}

// config carries out operations and returns a column of the Open_vSwitch row after that.
func (d *database) config(ctx context.Context, column string, ops ...any) (int, error) {
	read := map[string]any{"op": "select", "table": "Open_vSwitch", "where": []any{}, "columns": []string{column}}
	raw, err := d.call(ctx, "transact", slices.Concat([]any{"Open_vSwitch"}, ops, []any{read})...)
	if err != nil {
		return 0, err
	}
	var results []struct {
		Rows []map[string]int `json:"rows"`
	}
	if err := json.Unmarshal(raw, &results); err != nil {
		return 0, fmt.Errorf("OVSDB: read %s: %w", column, err)
	}
	if len(results) != len(ops)+1 || len(results[len(ops)].Rows) != 1 {
		return 0, fmt.Errorf("OVSDB: read %s: %s", column, raw)
	}
	return results[len(ops)].Rows[0][column], nil
}

// watch calls updates for every change of these columns of the Interface table from
// now on; what is there already isn't sent.
func (d *database) watch(ctx context.Context, updates func(tableUpdates, time.Time), columns ...string) error {
	d.updates = updates
	request := map[string]any{"Interface": map[string]any{
		"columns": columns, "select": map[string]bool{"initial": false, "insert": true, "modify": true, "delete": false},
	}}
	_, err := d.call(ctx, "monitor", "Open_vSwitch", "bench", request)
	return err
}

// Values in OVSDB's notation (RFC 7047 section 5.1).

func ovsMap(m map[string]string) []any {
	pairs := make([][2]string, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, [2]string{k, v})
	}
	return []any{"map", pairs}
}

func ovsSet(values any) []any { return []any{"set", values} }

func namedUUID(name string) []string { return []string{"named-uuid", name} }

// parseMap returns a column that is a map of strings; nil when it isn't one.
func parseMap(raw json.RawMessage) map[string]string {
	var v []json.RawMessage
	var pairs [][2]string
	if json.Unmarshal(raw, &v) != nil || len(v) != 2 || json.Unmarshal(v[1], &pairs) != nil {
		return nil
	}
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[p[0]] = p[1]
	}
	return m
}

// update is the columns of a row that changed, or that were asked for.
type update map[string]json.RawMessage

// text returns a column that is a string.
func (u update) text(column string) string {
	var s string
	// Another type is as good as no value.
	_ = json.Unmarshal(u[column], &s)
	return s
}
