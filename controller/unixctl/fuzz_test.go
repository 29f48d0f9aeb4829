package unixctl

import (
	"encoding/json"
	"errors"
	"net"
	"testing"
	"time"
)

// canned is a connection to a daemon that has answered already.
type canned struct {
	net.Conn
	answer []byte
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.answer) == 0 {
		return 0, errors.New("the daemon has gone")
	}
	n := copy(p, c.answer)
	c.answer = c.answer[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error) { return len(p), nil }
func (c *canned) SetDeadline(time.Time) error { return nil }
func (c *canned) Close() error                { return nil }

// FuzzReply lets a daemon answer anything: the client neither panics nor takes what
// isn't the answer to its command for one.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		`{"id":1,"result":"ok","error":null}`, `{"id":1,"result":null,"error":"no such command"}`, `{"id":1,"error":{"a":["b"]}}`,
		`{"id":2,"result":"late"}`, `{"id":-1,"result":"x"}`, `{"id":"1","result":"x"}`, `{"result":"x"}`, `{"id":1,"result":5}`, `{"id":1,"result":["x"]}`,
		`{"id":1,"result":"\ud800\u0000"}`, "", "{", "null", "[]", "\xff\xfe", `{"id":1e0,"result":"x"}`, `{"id":1,"id":2,"result":"x"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		conn := &canned{answer: answer}
		c := &Client{path: "/nonexistent", conn: conn, dec: json.NewDecoder(conn)}
		text, err := c.Call(t.Context(), "version")
		var daemon *DaemonError
		switch {
		case err == nil || errors.As(err, &daemon):
			if c.id != 1 || c.conn == nil {
				t.Errorf("after an answer: request %d, connection %v", c.id, c.conn)
			}
			if daemon != nil && text != "" {
				t.Errorf("an error with the result %q", text)
			}
		case c.conn != nil:
			t.Errorf("the connection is kept after %v", err)
		case text != "":
			t.Errorf("%q in spite of %v", text, err)
		}
	})
}
