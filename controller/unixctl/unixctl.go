// Package unixctl speaks to the control socket of ovs-vswitchd or ovsdb-server, as
// ovs-appctl(8) does: JSON-RPC 1.0 over a unix socket.
package unixctl

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// DefaultTimeout bounds a command whose context has no deadline.
const DefaultTimeout = 20 * time.Second

// Client sends commands to one daemon. The connection opens with the first command and
// stays open: a further command costs a round trip, not a process. Its methods may be
// called from several goroutines.
type Client struct {
	path string

	mu   sync.Mutex
	conn net.Conn
	dec  *json.Decoder
	id   uint64
}

// New returns a client of the control socket at path.
func New(path string) *Client { return &Client{path: path} }

// Find returns a client of a daemon by the pid file that it keeps in its run
// directory, e.g. "ovs-vswitchd".
func Find(runDir, daemon string) (*Client, error) {
	b, err := os.ReadFile(filepath.Join(runDir, daemon+".pid"))
	if err != nil {
		return nil, fmt.Errorf("find the control socket of %s: %w", daemon, err)
	}
	pid := strings.TrimSpace(string(b))
	return New(filepath.Join(runDir, daemon+"."+pid+".ctl")), nil
}

type request struct {
	Method string   `json:"method"`
	Params []string `json:"params"`
	ID     uint64   `json:"id"`
}

type reply struct {
	ID     uint64 `json:"id"`
	Result string `json:"result"`
	Error  any    `json:"error"`
}

// DaemonError is an error that the daemon answered a command with.
type DaemonError struct {
	Command string
	Text    string // what the daemon said
}

func (e *DaemonError) Error() string { return e.Command + ": " + strings.TrimSpace(e.Text) }

// Call runs one command and returns its output. A *DaemonError keeps the connection;
// any other error closes it, and the next call dials again. A command is never sent
// twice.
func (c *Client) Call(ctx context.Context, method string, params ...string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.roundTrip(ctx, method, params)
	if err != nil {
		c.close()
		return "", fmt.Errorf("%s: %w", method, err)
	}
	if r.Error != nil {
		return "", &DaemonError{Command: method, Text: fmt.Sprint(r.Error)}
	}
	return r.Result, nil
}

func (c *Client) roundTrip(ctx context.Context, method string, params []string) (reply, error) {
	var r reply
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(DefaultTimeout)
	}
	if c.conn == nil {
		d := net.Dialer{Deadline: deadline}
		conn, err := d.DialContext(ctx, "unix", c.path)
		if err != nil {
			return r, err
		}
		c.conn, c.dec = conn, json.NewDecoder(conn)
	}
	if params == nil {
		params = []string{}
	}
	c.id++
	b, err := json.Marshal(request{Method: method, Params: params, ID: c.id})
	if err != nil {
		return r, err
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return r, err
	}
	if _, err := c.conn.Write(b); err != nil {
		return r, err
	}
	if err := c.dec.Decode(&r); err != nil {
		return r, err
	}
	if r.ID != c.id {
		return r, fmt.Errorf("reply %d to request %d", r.ID, c.id)
	}
	return r, nil
}

// Close ends the connection; a further Call opens it again.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close()
}

func (c *Client) close() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn, c.dec = nil, nil
}
