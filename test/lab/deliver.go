package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// How a Dummy switch processes injected frames, which the barrier rests on:
//
//   - The command netdev-dummy/receive appends the frame to the receive queue
//     of its port and replies at once: a reply doesn't mean that the frame was
//     processed.
//   - The main thread of ovs-vswitchd takes one frame from each port's queue
//     per turn of its loop. So frames of one port keep their order, while
//     frames of different ports may overtake each other; a sentinel at another
//     port proves nothing.
//   - A queue holds 100 frames. The switch silently discards further ones.
//   - Taking a frame from the queue increments the port's receive counter;
//     table lookup and output (with the write to the capture file) follow in
//     the same turn. Commands are served by the same thread between turns. So
//     once a command shows that the counter has reached the number of frames
//     injected, all of them have been processed to the end.
//   - Without a connection to ovsdb-server the main thread processes no frame.
//
// The barrier therefore waits for receive counters. It needs no sentinel,
// hence works at a port that may send nothing, and doesn't disturb MAC
// learning or flow counters.
const (
	// queueLimit is how many frames Inject leaves unprocessed per port, well
	// below the 100 that the switch holds.
	queueLimit = 64

	// trailerLen is the length of the random trailer that identifies a frame.
	trailerLen = 8

	ethernetHeaderLen = 14
)

// injector keeps account of the frames injected at each port. The zero value
// is ready for use.
type injector struct {
	mu       sync.Mutex
	pending  map[string]*backlog
	captures map[string]*Capture
}

// backlog is what may be waiting in a port's receive queue.
type backlog struct {
	target uint64 // receive counter once the queue is empty
	frames int    // injected since the queue was last known to be empty
}

func (in *injector) watch(port, path string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.captures == nil {
		in.captures = map[string]*Capture{}
	}
	in.captures[port] = &Capture{path: path}
}

func (in *injector) unwatch(port string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.captures, port)
	delete(in.pending, port)
}

func (in *injector) watches(port string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.captures[port] != nil
}

// forget drops all backlogs: the queues have gone with ovs-vswitchd.
func (in *injector) forget() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pending = nil
}

// Inject makes a frame arrive at a port of a Dummy switch. The frame is taken
// as it is, without padding or stripping, but has at least an Ethernet header
// of 14 bytes. Inject may return before the frame was processed: see
// [Switch.Barrier]. No frame is lost, and frames of one port keep their order.
func (sw *Switch) Inject(port string, frame []byte) error {
	sw.inject.mu.Lock()
	defer sw.inject.mu.Unlock()
	return sw.injectLocked(port, frame)
}

func (sw *Switch) injectLocked(port string, frame []byte) error {
	if len(frame) < ethernetHeaderLen {
		return fmt.Errorf("inject at %s: %d bytes are less than an Ethernet header", port, len(frame))
	}
	in := &sw.inject
	b := in.pending[port]
	if b == nil || b.frames >= queueLimit {
		if err := sw.barrierLocked(); err != nil {
			return err
		}
		counters, err := sw.rxCounters()
		if err != nil {
			return err
		}
		received, ok := counters[port]
		if !ok {
			return fmt.Errorf("inject at %s: the datapath has no such port", port)
		}
		b = &backlog{target: received}
	}
	if _, err := sw.Appctl("netdev-dummy/receive", port, hex.EncodeToString(frame)); err != nil {
		return fmt.Errorf("inject at %s: %w", port, err)
	}
	b.target++
	b.frames++
	if in.pending == nil {
		in.pending = map[string]*backlog{}
	}
	in.pending[port] = b
	return nil
}

// Barrier returns when every frame injected so far, at any port, has been
// processed to the end and, if the switch sent it, is in the captures.
func (sw *Switch) Barrier() error {
	sw.inject.mu.Lock()
	defer sw.inject.mu.Unlock()
	return sw.barrierLocked()
}

func (sw *Switch) barrierLocked() error {
	pending := sw.inject.pending
	sw.inject.pending = nil // an error is reported once
	if len(pending) == 0 {
		return nil
	}
	if !sw.ovsdbRuns() {
		return errors.New("ovs-vswitchd processes no frame while ovsdb-server is down")
	}
	processed := func() (bool, error) {
		counters, err := sw.rxCounters()
		if err != nil {
			return false, err
		}
		for port, b := range pending {
			received, ok := counters[port]
			if !ok {
				return false, fmt.Errorf("port %s has left the datapath", port)
			}
			if received > b.target {
				return false, fmt.Errorf("port %s received %d frames, %d were expected: someone else injects",
					port, received, b.target)
			}
			if received < b.target {
				return false, nil
			}
		}
		return true, nil
	}
	// The next turn or two of the switch's loop are the rule: ask again at
	// once before pausing.
	for range 10 {
		if ok, err := processed(); ok || err != nil {
			return err
		}
	}
	ports := slices.Sorted(maps.Keys(pending))
	return WaitUntil(context.Background(), "frames at "+strings.Join(ports, ", ")+" are processed", processed)
}

// rxCounters returns the number of frames each port of the datapath has taken
// from its queue.
func (sw *Switch) rxCounters() (map[string]uint64, error) {
	out, err := sw.Appctl("dpctl/show", "-s")
	if err != nil {
		return nil, err
	}
	counters := map[string]uint64{}
	port := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "port "); ok {
			_, rest, _ = strings.Cut(rest, ": ")
			port, _, _ = strings.Cut(rest, " ")
		}
		if rest, ok := strings.CutPrefix(line, "RX packets:"); ok {
			number, _, _ := strings.Cut(rest, " ")
			// A port without statistics shows "?" and stays absent.
			if n, err := strconv.ParseUint(number, 10, 64); err == nil {
				counters[port] = n
			}
		}
	}
	return counters, nil
}

// Deliver injects a frame at port in and tells whether the switch sent it out
// of port out, and how it looked then. See [Switch.Reach] for how.
func (sw *Switch) Deliver(in string, frame []byte, out string) (delivered bool, got []byte, err error) {
	if !sw.inject.watches(out) {
		return false, nil, fmt.Errorf("port %s is not captured: it was not added as a dummy port", out)
	}
	reached, err := sw.Reach(in, frame)
	got, delivered = reached[out]
	return delivered, got, err
}

// Reach injects a frame at port in and returns, for each port that the switch
// sent it out of, how it looked there. It is an error if one port sent it
// twice.
//
// The megaflow cache is emptied first, so the verdict is that of the OpenFlow
// tables as they are now. The frame travels with a random trailer of eight
// bytes, by which it is recognised and which is removed again; it must not be
// one whose meaning depends on its length. The answer is exact, never a
// matter of waiting long enough.
func (sw *Switch) Reach(in string, frame []byte) (map[string][]byte, error) {
	inj := &sw.inject
	inj.mu.Lock()
	defer inj.mu.Unlock()
	err := errors.Join(sw.barrierLocked(), sw.Purge())
	for _, c := range inj.captures {
		err = errors.Join(err, c.skip())
	}
	if err != nil {
		return nil, err
	}
	marked, trailer := Mark(frame)
	if err := errors.Join(sw.injectLocked(in, marked), sw.barrierLocked()); err != nil {
		return nil, err
	}
	reached := map[string][]byte{}
	for port, c := range inj.captures {
		sent, err := c.take()
		if err != nil {
			return nil, err
		}
		for _, f := range sent {
			if !bytes.HasSuffix(f, trailer) {
				continue
			}
			if _, twice := reached[port]; twice {
				return nil, fmt.Errorf("a frame injected at %s left port %s twice", in, port)
			}
			reached[port] = f[:len(f)-trailerLen]
		}
	}
	return reached, nil
}

// Mark returns a copy of frame with a random trailer appended, and the
// trailer, by which a receiver recognises that very frame.
func Mark(frame []byte) (marked, trailer []byte) {
	trailer = make([]byte, trailerLen)
	// Read never fails: the program would end instead.
	_, _ = rand.Read(trailer)
	return slices.Concat(frame, trailer), trailer
}
