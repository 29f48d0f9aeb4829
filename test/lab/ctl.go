package lab

import (
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
)

// callTimeout bounds one command to a daemon.
const callTimeout = 20 * time.Second

// ctl speaks the JSON-RPC of a daemon's control socket, as ovs-appctl does,
// over one connection that stays open: a command costs a round trip, not a
// process.
type ctl struct {
	path string

	mu   sync.Mutex
	conn net.Conn
	dec  *json.Decoder
	id   uint64
}

type ctlRequest struct {
	Method string   `json:"method"`
	Params []string `json:"params"`
	ID     uint64   `json:"id"`
}

type ctlReply struct {
	ID     uint64 `json:"id"`
	Result string `json:"result"`
	Error  any    `json:"error"`
}

// call runs one command and returns its output. An error that the daemon
// reported keeps the connection; any other closes it, and the next call dials
// again. A command is never sent twice.
func (c *ctl) call(method string, params ...string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply, err := c.roundTrip(method, params)
	if err != nil {
		c.closeLocked()
		return "", fmt.Errorf("appctl %s: %w", method, err)
	}
	if reply.Error != nil {
		return "", fmt.Errorf("appctl %s: %v", method, reply.Error)
	}
	return reply.Result, nil
}

func (c *ctl) roundTrip(method string, params []string) (ctlReply, error) {
	var reply ctlReply
	if c.conn == nil {
		conn, err := net.DialTimeout("unix", c.path, callTimeout)
		if err != nil {
			return reply, err
		}
		c.conn, c.dec = conn, json.NewDecoder(conn)
	}
	if params == nil {
		params = []string{}
	}
	c.id++
	request, err := json.Marshal(ctlRequest{Method: method, Params: params, ID: c.id})
	if err != nil {
		return reply, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return reply, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return reply, err
	}
	if err := c.dec.Decode(&reply); err != nil {
		return reply, err
	}
	if reply.ID != c.id {
		return reply, fmt.Errorf("reply %d to request %d", reply.ID, c.id)
	}
	return reply, nil
}

// close ends the connection; the next call dials again.
func (c *ctl) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked()
}

func (c *ctl) closeLocked() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn, c.dec = nil, nil
}
