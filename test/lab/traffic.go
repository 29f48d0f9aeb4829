package lab

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// trafficTick is the pause between two rounds of sending.
	trafficTick = time.Millisecond

	// trafficBurst bounds what a stream sends in one round to what it should have
	// sent in this time. A sender that the machine kept waiting longer leaves the
	// rest out: a port's socket in the switch holds about 270 small frames.
	trafficBurst = 20 * time.Millisecond

	// trafficTrailer is the length of what tells a frame apart: a random number
	// that is the same for all frames of a Traffic, the stream, the number.
	trafficTrailer = trailerLen + 2 + 4

	// flushNumber is the first number that no ordinary frame has.
	flushNumber = 1 << 31

	// flushPatience is how long the last frames of a Traffic are waited for.
	flushPatience = 3 * time.Second

	// flushAgain is the pause before a last frame is sent once more.
	flushAgain = 100 * time.Millisecond
)

// Stream is frames of one kind that one interface sends, each with a number in
// its trailer.
type Stream struct {
	Kind    string // e.g. "udp4" or "foreign mac"
	From    *NIC
	Frame   []byte // must not be one whose meaning depends on its length
	Spoofed bool   // must not arrive; other frames must
	Rate    int    // frames a second; not more than what the machine has time for
}

// Traffic is streams of numbered frames that are sent to one interface and
// counted there. The kernel says whether the counting itself lost any.
type Traffic struct {
	to       *NIC
	sw       *Switch
	mark     []byte
	streams  []*stream
	listener int
	full     int // frames that the switch's ports had no room for before it began

	stop    chan struct{} // closed to end the sending
	sent    sync.WaitGroup
	ended   chan struct{} // closed to end the counting
	counted sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

type stream struct {
	Stream
	begin  time.Time // what was left out is added to it
	frame  []byte    // with room for the number
	sentAt []time.Time

	mu      sync.Mutex
	arrived map[uint32]time.Time // when a number arrived first
	flushed uint32               // highest number from flushNumber on that arrived
}

// StartTraffic sends streams from guests of this switch to one interface until
// [Traffic.Stop].
func (sw *Switch) StartTraffic(to *NIC, streams ...Stream) (_ *Traffic, err error) {
	t := &Traffic{to: to, sw: sw, mark: make([]byte, trailerLen), stop: make(chan struct{}), ended: make(chan struct{})}
	// Read never fails: the program would end instead.
	_, _ = rand.Read(t.mark)
	for n, s := range streams {
		trailer := binary.BigEndian.AppendUint16(slices.Clone(t.mark), uint16(n))
		t.streams = append(t.streams, &stream{
			Stream: s, begin: time.Now(), arrived: map[uint32]time.Time{},
			frame: slices.Concat(s.Frame, trailer, make([]byte, 4)),
		})
	}
	if t.listener, err = to.openListener(); err != nil {
		return nil, err
	}
	timeout := unix.NsecToTimeval(int64(trafficTick))
	err = errors.Join(
		unix.SetNonblock(t.listener, false),
		unix.SetsockoptTimeval(t.listener, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	if err == nil {
		t.full, err = sw.overflow()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start traffic to %s: %w", to.Port, err), unix.Close(t.listener))
	}
	// Known to the switch, it gets the frames alone.
	if err := to.Send(RARPAnnounce(to.MAC)); err != nil {
		return nil, errors.Join(err, unix.Close(t.listener))
	}
	t.counted.Go(t.count)
	t.sent.Go(t.send)
	return t, nil
}

// Flowing waits until n more frames of every stream that isn't spoofed have
// arrived.
func (t *Traffic) Flowing(ctx context.Context, n int) error {
	want := make([]int, len(t.streams))
	for i, s := range t.streams {
		want[i] = s.received() + n
	}
	return WaitUntil(ctx, fmt.Sprintf("%d more frames of every stream arrive at %s", n, t.to.Port), func() (bool, error) {
		for i, s := range t.streams {
			if !s.Spoofed && s.received() < want[i] {
				return false, t.failed()
			}
		}
		return true, nil
	})
}

// Overflow is the number of frames so far, of any sender, that the sockets of the
// switch's ports had no room for.
func (t *Traffic) Overflow() (int, error) {
	n, err := t.sw.overflow()
	return max(0, n-t.full), err
}

// Stop ends the traffic and returns what became of it, once all frames have been
// processed to the end. What doesn't arrive within seconds is lost.
func (t *Traffic) Stop(ctx context.Context) (*Tally, error) {
	close(t.stop)
	t.sent.Wait()
	err := t.flush(ctx)
	close(t.ended)
	t.counted.Wait()
	stats, statsErr := unix.GetsockoptTpacketStats(t.listener, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	overflow, overflowErr := t.Overflow()
	err = errors.Join(err, t.failed(), statsErr, overflowErr, unix.Close(t.listener))
	if err != nil {
		return nil, fmt.Errorf("traffic to %s: %w", t.to.Port, err)
	}
	if stats.Drops > 0 {
		return nil, fmt.Errorf("traffic to %s: the kernel discarded %d frames before they could be counted", t.to.Port, stats.Drops)
	}
	tally := &Tally{Overflow: overflow}
	for _, s := range t.streams {
		tally.Streams = append(tally.Streams, s.count())
	}
	return tally, nil
}

// flush returns when everything sent has been processed: see [NIC.Passes] for why
// that takes two rounds.
func (t *Traffic) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	for round := range uint32(2) {
		var last time.Time
		err := WaitUntil(ctx, "the last frames arrive", func() (bool, error) {
			again := time.Since(last) > flushAgain
			if again {
				last = time.Now()
			}
			done := true
			for _, s := range t.streams {
				if s.Spoofed || s.hasFlushed(flushNumber+round) {
					continue
				}
				done = false
				if again {
					if err := s.sendNumber(flushNumber + round); err != nil {
						return false, err
					}
				}
			}
			return done, nil
		})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return nil
}

// send sends what is due, every trafficTick.
func (t *Traffic) send() {
	tick := time.NewTicker(trafficTick)
	defer tick.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-tick.C:
		}
		for _, s := range t.streams {
			if err := s.sendDue(); err != nil {
				t.fail(err)
				return
			}
		}
	}
}

func (t *Traffic) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, err)
}

// failed returns why the sending or the counting has ended early, or nil.
func (t *Traffic) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.errs...)
}

// sendDue catches up with the stream's rate.
func (s *stream) sendDue() error {
	interval := time.Second / time.Duration(s.Rate)
	due := int(time.Since(s.begin)/interval) - len(s.sentAt)
	if most := max(1, int(trafficBurst/interval)); due > most {
		s.begin = s.begin.Add(time.Duration(due-most) * interval)
		due = most
	}
	for range due {
		s.sentAt = append(s.sentAt, time.Now())
		if err := s.sendNumber(uint32(len(s.sentAt) - 1)); err != nil {
			return err
		}
	}
	return nil
}

// sendNumber sends one frame. One that the guest's interface discards, because the
// link is down, is a frame that was sent and lost.
func (s *stream) sendNumber(n uint32) error {
	binary.BigEndian.PutUint32(s.frame[len(s.frame)-4:], n)
	if err := s.From.Send(s.frame); !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENETDOWN) {
		return err
	}
	return nil
}

// count receives until it is told to end.
func (t *Traffic) count() {
	buf := make([]byte, maxFrame)
	for {
		n, _, err := unix.Recvfrom(t.listener, buf, 0)
		if err == nil {
			t.receive(buf[:n])
			continue
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			t.fail(os.NewSyscallError("recvfrom", err))
			return
		}
		select {
		case <-t.ended:
			return
		default:
		}
	}
}

func (t *Traffic) receive(frame []byte) {
	if len(frame) < trafficTrailer {
		return
	}
	trailer := frame[len(frame)-trafficTrailer:]
	if !slices.Equal(trailer[:trailerLen], t.mark) {
		return
	}
	n := int(binary.BigEndian.Uint16(trailer[trailerLen:]))
	number := binary.BigEndian.Uint32(trailer[trailerLen+2:])
	if n < len(t.streams) {
		t.streams[n].arrive(number)
	}
}

func (s *stream) arrive(number uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number >= flushNumber {
		s.flushed = max(s.flushed, number)
		return
	}
	if _, again := s.arrived[number]; !again {
		s.arrived[number] = time.Now()
	}
}

func (s *stream) received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.arrived)
}

func (s *stream) hasFlushed(number uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushed >= number
}

func (s *stream) count() Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Count{Stream: s.Stream, Sent: len(s.sentAt), Received: len(s.arrived)}
	for n, at := range s.sentAt {
		if _, ok := s.arrived[uint32(n)]; ok == s.Spoofed {
			c.Wrong = append(c.Wrong, at)
		}
	}
	return c
}
