//go:build lab

package hosts

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/vifguard/vifguard/model/frame"
)

// stream is a program in a host that runs until it is closed, and whose output grows.
type stream struct {
	mu    sync.Mutex
	out   bytes.Buffer
	input io.Closer
	done  chan struct{}
	once  sync.Once
}

// stream starts a program that ends with the scenario, or when it is closed. If ready
// isn't empty, stream returns once the program has printed it to its standard error.
func (s *story) stream(h host, ready string, args ...string) *stream {
	s.Helper()
	st := &stream{done: make(chan struct{})}
	cmd := h.command(s.Context(), append([]string{"until-eof"}, args...)...)
	cmd.Stdout = st
	problems, err := cmd.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	st.input = input
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(st.close)
	lines := bufio.NewScanner(problems)
	found := ready == ""
	for !found && lines.Scan() {
		found = strings.Contains(lines.Text(), ready)
	}
	go func() {
		defer close(st.done)
		// What it says further, and how it ends after an interrupt, is of no interest.
		_, _ = io.Copy(io.Discard, problems)
		_ = cmd.Wait()
	}()
	if !found {
		s.Fatalf("%s: %s ended without %q", h, strings.Join(args, " "), ready)
	}
	return st
}

func (st *stream) Write(b []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.out.Write(b)
}

func (st *stream) bytes() []byte {
	st.mu.Lock()
	defer st.mu.Unlock()
	return bytes.Clone(st.out.Bytes())
}

// close ends the program and waits for the rest of its output.
func (st *stream) close() {
	st.once.Do(func() { st.input.Close() })
	<-st.done
}

// capture is a tcpdump that runs.
type capture struct{ *stream }

// capture starts to capture the frames that a guest receives and that match a filter, in
// tcpdump's language.
func (s *story) capture(g guest, filter string) capture {
	s.Helper()
	return s.captureOn(g.host, g.in(), "eth0", filter)
}

// captureUplink captures what comes to a host from the segment.
func (s *story) captureUplink(h host, filter string) capture {
	s.Helper()
	return s.captureOn(h, nil, "uplink", filter)
}

func (s *story) captureOn(h host, inside []string, device, filter string) capture {
	s.Helper()
	args := slices.Concat(inside, []string{"tcpdump", "-i", device, "-n", "-s", "0", "-U", "--immediate-mode", "-Q", "in", "-w", "-", filter})
	return capture{s.stream(h, "listening on", args...)}
}

// frames are the frames captured so far.
func (c capture) frames() [][]byte {
	// The last record may not be complete yet; those in front of it are returned.
	frames, _ := frame.ReadPcap(c.bytes())
	return frames
}

func (c capture) count() int { return len(c.frames()) }
