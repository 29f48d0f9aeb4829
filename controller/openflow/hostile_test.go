package openflow

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	of "github.com/contiv/libOpenflow/openflow13"
	"go.uber.org/goleak"

	"github.com/vifguard/vifguard/flows"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is something that isn't Open vSwitch at the other end of a socket: it answers
// the handshake, and then says whatever a test wants.
func peer(t *testing.T, say func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		say(c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return path
}

// hear reads one message; nil when there is none any more.
func hear(c net.Conn) message {
	m, err := readMessage(c)
	if err != nil {
		return nil
	}
	return m
}

// utter writes bytes. Whether they arrive shows in what the session does.
func utter(c net.Conn, b []byte) { _, _ = c.Write(b) }

// greet carries out a handshake, including the barrier that confirms the version.
func greet(c net.Conn) {
	hear(c)
	utter(c, header(of.Type_Hello, 1))
	if m := hear(c); m != nil {
		utter(c, header(of.Type_BarrierReply, m.xid()))
	}
}

func dial(t *testing.T, path string) (*Conn, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	c, err := Dial(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, ctx
}

// Whatever a peer says ends the session with an error, and never the process.
func TestHostilePeer(t *testing.T) {
	for name, answer := range map[string][]byte{
		"length 0":           {4, of.Type_MultiPartReply, 0, 0, 0, 0, 0, 3},
		"length 7":           {4, of.Type_MultiPartReply, 0, 7, 0, 0, 0, 3},
		"another version":    {1, of.Type_MultiPartReply, 0, 8, 0, 0, 0, 3},
		"empty reply":        {4, of.Type_MultiPartReply, 0, 8, 0, 0, 0, 3},
		"truncated flow":     append([]byte{4, of.Type_MultiPartReply, 0, 20, 0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0}, 0, 9, 0, 0),
		"flow of length 0":   append([]byte{4, of.Type_MultiPartReply, 0, 64, 0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0}, make([]byte, 48)...),
		"another multipart":  {4, of.Type_MultiPartReply, 0, 16, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0},
		"another message":    {4, of.Type_BarrierReply, 0, 8, 0, 0, 0, 3},
		"truncated error":    {4, of.Type_Error, 0, 9, 0, 0, 0, 3, 0},
		"hang up in between": {4, of.Type_MultiPartReply, 0, 200, 0, 0, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			c, ctx := dial(t, peer(t, func(c net.Conn) {
				greet(c)
				hear(c)
				utter(c, answer)
			}))
			if _, err := c.OwnFlows(ctx); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestEcho(t *testing.T) {
	got := make(chan message, 1)
	dial(t, peer(t, func(c net.Conn) {
		greet(c)
		utter(c, append([]byte{4, of.Type_EchoRequest, 0, 12, 0, 0, 0, 77}, "ping"...))
		m := hear(c)
		got <- m
	}))
	select {
	case m := <-got:
		if m.kind() != of.Type_EchoReply || m.xid() != 77 || !bytes.HasSuffix(m, []byte("ping")) {
			t.Errorf("answer %x", []byte(m))
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
	}
}

// A switch that doesn't answer costs a request its deadline, and the session.
func TestSilentPeer(t *testing.T) {
	c, _ := dial(t, peer(t, func(c net.Conn) {
		greet(c)
		hear(c) // the barrier below
		hear(c) // until the session is closed
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Barrier(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	<-c.Done()
	if err := c.Barrier(t.Context()); err == nil {
		t.Error("a closed session takes requests")
	}
}

func TestVersionNegotiationFails(t *testing.T) {
	path := peer(t, func(c net.Conn) {
		hear(c)
		utter(c, []byte{1, of.Type_Hello, 0, 8, 0, 0, 0, 1})
	})
	_, err := Dial(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "wire version 1") {
		t.Errorf("error %v", err)
	}
}

func TestFlowTooLarge(t *testing.T) {
	big := flows.Entry{Instructions: strings.Repeat("x", 70000)}
	if _, err := appendBundleAdd(nil, 1, &flows.Change{Op: flows.Add, Entry: big}, 1); err == nil {
		t.Error("a flow of 70,000 bytes was encoded")
	}
}

func FuzzParse(f *testing.F) {
	flow := make([]byte, multipartLen+flowStatsLen+8+8)
	flow[0], flow[1] = 4, of.Type_MultiPartReply
	binary.BigEndian.PutUint16(flow[2:], uint16(len(flow)))
	flow[9] = 1
	binary.BigEndian.PutUint16(flow[multipartLen:], flowStatsLen+16)
	binary.BigEndian.PutUint16(flow[multipartLen+flowStatsLen:], 1)
	binary.BigEndian.PutUint16(flow[multipartLen+flowStatsLen+2:], 4)
	f.Add(flow)
	f.Add([]byte{4, of.Type_Error, 0, 16, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0x4f, 0x4e, 0x46, 0})
	f.Add(append(monitorRequest(nil, 0), 0, 8, 0, eventAbbreviated, 0, 0, 0, 0))
	if list, _, err := parseFlowStats(flow); err != nil || len(list) != 1 {
		f.Fatalf("the seed doesn't parse: %v", err)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			m, err := readMessage(r)
			if err != nil {
				return
			}
			_, _, _ = parseFlowStats(m)
			_ = parseError(m)
			_, _ = parseBundleControl(m)
			_, _ = parseConfig(m)
			_, _ = parseFlowUpdates(m)
			_, _ = parseTableStats(m)
			_ = isMonitorGap(m)
		}
	})
}
