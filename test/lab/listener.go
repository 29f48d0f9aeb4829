package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// listenBuffer holds what arrives between two looks at a listener.
	listenBuffer = 16 << 20

	maxFrame = 1 << 16
)

// Listener captures the frames that arrive at a guest's interface. The kernel
// keeps them until they are asked for.
type Listener struct {
	mu     sync.Mutex
	fd     int
	name   string
	frames [][]byte
}

// Listen captures every frame that arrives from now on, whatever its
// destination; frames that the guest sends are left out. Close the listener.
func (n *NIC) Listen() (*Listener, error) {
	fd, err := n.openListener()
	if err != nil {
		return nil, err
	}
	return &Listener{fd: fd, name: n.Port}, nil
}

// openListener opens the socket of a Listener.
func (n *NIC) openListener() (fd int, err error) {
	fd = -1
	err = n.inside.Do(func() (err error) {
		// The protocol is given only when the filters are in place, so that
		// nothing else is captured.
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		return -1, fmt.Errorf("listen at %s: %w", n.Port, err)
	}
	everything := binary.NativeEndian.Uint16(be16(unix.ETH_P_ALL))
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, listenBuffer),
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(n.index), Type: unix.PACKET_MR_PROMISC}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: n.index}))
	if err != nil {
		return -1, errors.Join(fmt.Errorf("listen at %s: %w", n.Port, err), unix.Close(fd))
	}
	return fd, nil
}

// Frames returns all frames captured so far, in order and with their VLAN
// tags. It is an error if the kernel had to discard some.
func (l *Listener) Frames() ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return nil, fmt.Errorf("listener at %s: %w", l.name, os.ErrClosed)
	}
	data, oob := make([]byte, maxFrame), make([]byte, 256)
	for {
		length, oobLength, _, _, err := unix.Recvmsg(l.fd, data, oob, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listener at %s: %w", l.name, err)
		}
		frame, err := restoreTag(data[:length], oob[:oobLength])
		if err != nil {
			return nil, fmt.Errorf("listener at %s: %w", l.name, err)
		}
		l.frames = append(l.frames, frame)
	}
	stats, err := unix.GetsockoptTpacketStats(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err == nil && stats.Drops > 0 {
		err = fmt.Errorf("listener at %s: the kernel discarded %d frames", l.name, stats.Drops)
	}
	return l.frames[:len(l.frames):len(l.frames)], err
}

// forget drops the frames captured so far.
func (l *Listener) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames = nil
}

// Take returns the frames captured since the last Take, in order and with their VLAN
// tags: see [Listener.Frames].
func (l *Listener) Take() ([][]byte, error) {
	frames, err := l.Frames()
	l.forget()
	return frames, err
}

// WaitFor waits until a captured frame satisfies match and returns the first
// that does, which may be one captured before the call.
func (l *Listener) WaitFor(ctx context.Context, match func(frame []byte) bool) ([]byte, error) {
	return waitForFrame(ctx, "a frame arrives at "+l.name, l.Frames, match)
}

// Close ends the capture. Calling it again does nothing.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return nil
	}
	err := unix.Close(l.fd)
	l.fd = -1
	return os.NewSyscallError("close", err)
}

// HasTrailer matches the frame that [Mark] gave that trailer.
func HasTrailer(trailer []byte) func(frame []byte) bool {
	return func(frame []byte) bool { return bytes.HasSuffix(frame, trailer) }
}

// restoreTag returns a copy of a frame as it was on the wire: the kernel moves
// the outer VLAN tag of a frame it receives into metadata.
func restoreTag(data, oob []byte) ([]byte, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parse the metadata of a frame: %w", err)
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA {
			continue
		}
		// struct tpacket_auxdata: status, length, captured length (32 bits
		// each), two offsets, tag and tag protocol (16 bits each).
		const auxdataLen, tagOffset, tpidOffset = 20, 16, 18
		if len(m.Data) < auxdataLen || len(data) < ethernetHeaderLen {
			continue
		}
		status := binary.NativeEndian.Uint32(m.Data)
		if status&unix.TP_STATUS_VLAN_VALID == 0 {
			continue
		}
		tag := binary.NativeEndian.Uint16(m.Data[tagOffset:])
		tpid := uint16(TypeVLAN)
		if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			tpid = binary.NativeEndian.Uint16(m.Data[tpidOffset:])
		}
		return slices.Concat(data[:12], be16(tpid), be16(tag), data[12:]), nil
	}
	return bytes.Clone(data), nil
}
