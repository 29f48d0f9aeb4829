package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// prober asks a bridge for the number of flows in its tables, which costs the switch
// next to nothing: OpenFlow 1.3 section 7.3.5.4.
type prober struct{ conn net.Conn }

const (
	ofVersion      = 4
	ofHello        = 0
	ofEchoRequest  = 2
	ofEchoReply    = 3
	ofMultipart    = 18
	ofMultipartIn  = 19
	ofTableStats   = 3
	ofMore         = 1
	tableStatsSize = 24
)

func newProber(socket string) (*prober, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	_, err = conn.Write([]byte{ofVersion, ofHello, 0, 8, 0, 0, 0, 1})
	return &prober{conn}, err
}

func (p *prober) close() { p.conn.Close() }

// flows returns the number of flows in all tables.
func (p *prober) flows() (int, error) {
	request := []byte{ofVersion, ofMultipart, 0, 16, 0, 0, 0, 2, 0, ofTableStats, 0, 0, 0, 0, 0, 0}
	if _, err := p.conn.Write(request); err != nil {
		return 0, err
	}
	total := 0
	for {
		h := make([]byte, 8)
		if _, err := io.ReadFull(p.conn, h); err != nil {
			return 0, err
		}
		body := make([]byte, binary.BigEndian.Uint16(h[2:])-8)
		if _, err := io.ReadFull(p.conn, body); err != nil {
			return 0, err
		}
		switch h[1] {
		case ofEchoRequest:
			h[1] = ofEchoReply
			if _, err := p.conn.Write(append(h, body...)); err != nil {
				return 0, err
			}
		case ofMultipartIn:
			for t := body[8:]; len(t) >= tableStatsSize; t = t[tableStatsSize:] {
				total += int(binary.BigEndian.Uint32(t[4:]))
			}
			if body[3]&ofMore == 0 {
				return total, nil
			}
		}
	}
}

// waitFlows waits until the bridge has n flows and returns when that was seen.
func (p *prober) waitFlows(ctx context.Context, n int) (time.Time, error) {
	const pause = 2 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not after a minute"))
	defer cancel()
	for {
		got, err := p.flows()
		at := time.Now()
		if err != nil || got == n {
			return at, err
		}
		select {
		case <-ctx.Done():
			return at, fmt.Errorf("wait for %d flows, there are %d: %w", n, got, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}
