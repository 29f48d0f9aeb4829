package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
)

// Sizes of a pcap file's headers.
const (
	pcapFileHeader   = 24
	pcapRecordHeader = 16
)

// Capture reads the frames that the switch sends out of one dummy port.
type Capture struct {
	mu     sync.Mutex
	path   string
	offset int64 // of the first record not read yet
	frames [][]byte
}

// Sent starts a capture of the frames that a Dummy switch sends out of port
// from now on.
func (sw *Switch) Sent(port string) (*Capture, error) {
	if !sw.inject.watches(port) {
		return nil, fmt.Errorf("port %s is not captured: it was not added as a dummy port", port)
	}
	return captureFromNow(sw.pcap(port))
}

// captureFromNow skips what the file holds already; every record is written
// at once, so the end of the file is the end of a record.
func captureFromNow(path string) (*Capture, error) {
	c := &Capture{path: path}
	if err := c.skip(); err != nil {
		return nil, err
	}
	return c, nil
}

// Frames returns all frames captured so far, in order. A frame that was
// injected before a [Switch.Barrier] is among them after it.
func (c *Capture) Frames() ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh, err := c.readLocked()
	c.frames = append(c.frames, fresh...)
	return c.frames[:len(c.frames):len(c.frames)], err
}

// WaitFor waits until a captured frame satisfies match and returns the first
// that does, which may be one captured before the call.
func (c *Capture) WaitFor(ctx context.Context, match func(frame []byte) bool) ([]byte, error) {
	return waitForFrame(ctx, "a frame leaves the switch", c.Frames, match)
}

// waitForFrame waits until one of the frames that grow in a capture satisfies
// match.
func waitForFrame(ctx context.Context, what string, frames func() ([][]byte, error), match func([]byte) bool) ([]byte, error) {
	var found []byte
	seen := 0
	err := WaitUntil(ctx, what, func() (bool, error) {
		all, err := frames()
		if err != nil {
			return false, err
		}
		for ; seen < len(all); seen++ {
			if match(all[seen]) {
				found = all[seen]
				return true, nil
			}
		}
		return false, nil
	})
	return found, err
}

// skip forgets everything captured so far.
func (c *Capture) skip() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	c.offset = max(info.Size(), pcapFileHeader)
	c.frames = nil
	return nil
}

// take returns the frames captured since the last skip or take.
func (c *Capture) take() ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readLocked()
}

// readLocked reads the complete records from offset on. The switch writes the
// file in the byte order of this machine.
func (c *Capture) readLocked() ([][]byte, error) {
	file, err := os.Open(c.path)
	if os.IsNotExist(err) {
		return nil, nil // the port is not open yet
	}
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	c.offset = max(c.offset, pcapFileHeader)
	if info.Size() <= c.offset {
		return nil, nil
	}
	data := make([]byte, info.Size()-c.offset)
	if _, err := file.ReadAt(data, c.offset); err != nil {
		return nil, fmt.Errorf("capture: read %s: %w", c.path, err)
	}
	var frames [][]byte
	for len(data) >= pcapRecordHeader {
		length := int(binary.NativeEndian.Uint32(data[8:]))
		if len(data) < pcapRecordHeader+length {
			break // still being written
		}
		record := data[:pcapRecordHeader+length]
		frames = append(frames, bytes.Clone(record[pcapRecordHeader:]))
		data = data[len(record):]
		c.offset += int64(len(record))
	}
	return frames, nil
}
