package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/test/lab"
)

// pair is two guests that talk to each other. Their sockets are opened inside of them
// and used from outside, so that no burst of traffic waits for a process to start.
type pair struct{ from, to *lab.Guest }

// Ports of the guests that receive.
const (
	sinkPort    = 9
	streamPort  = 5201
	connectPort = 5202
)

// traffic is something that is sent from one guest to the other until the context ends.
// run adds to done what has got through, unless that is packets: those are counted
// where they arrive.
type traffic struct {
	name  string
	run   func(ctx context.Context, p pair, done *atomic.Uint64) error
	unit  string
	rate  func(c counters) float64 // in that unit, of what was counted in a second
	reach float64                  // of what is forwarded without a policy

	unknown bool // whether destinations are
}

func traffics() []traffic {
	arrived := func(c counters) float64 { return float64(c.to) / 1e3 }
	return []traffic{
		{name: "small packets", run: packets, unit: "kpps", rate: arrived, reach: 0.98},
		tcp(),
		{name: "TCP connections", run: connections, unit: "k/s", rate: func(c counters) float64 { return float64(c.done) / 1e3 }, reach: 0.9},
		{name: "UDP flows of one packet", run: shortFlows, unit: "k/s", rate: arrived, reach: 0.9},
		{name: "new megaflows", run: newMegaflows, unit: "k/s", rate: arrived, reach: 0.9, unknown: true},
	}
}

// tcp is what victims of a flood send as well.
func tcp() traffic {
	return traffic{name: "TCP throughput", run: stream, unit: "Gbit/s", rate: func(c counters) float64 { return float64(c.done) * 8 / 1e9 }, reach: 0.98}
}

// vifOf returns the VIF that a guest is named after.
func vifOf(g *lab.Guest) (v vif) {
	if _, err := fmt.Sscanf(g.Name, "p%d", &v); err != nil {
		panic(err) // every guest was named by addGuest
	}
	return v
}

// meet lets the guests talk both ways, so that bridge and neighbours know where they are
// before anything is measured.
func (p pair) meet(ctx context.Context) error {
	out, exit, err := p.from.Run(ctx, "ping", "-n", "-c", "3", "-i", "0.01", "-W", "1", vifOf(p.to).ip4().String())
	if err == nil && exit != 0 {
		err = fmt.Errorf("%s doesn't reach %s: %s", p.from.Name, p.to.Name, out)
	}
	return err
}

// datagram is the smallest frame with UDP from one guest to the other. It has no
// checksum, so that its fields can be changed.
func (p pair) datagram() []byte {
	frame := lab.UDPFrame(p.to.MAC, p.from.MAC,
		netip.AddrPortFrom(vifOf(p.from).ip4(), 20000), netip.AddrPortFrom(vifOf(p.to).ip4(), sinkPort), make([]byte, 18))
	binary.BigEndian.PutUint16(frame[udpAt+6:], 0)
	return frame
}

// udpAt is where the UDP header of a datagram begins, after those of Ethernet and IPv4.
const udpAt = 14 + 20

// packets sends the same small packet again and again.
func packets(ctx context.Context, p pair, done *atomic.Uint64) error {
	frame := p.datagram()
	return flood(ctx, p.from.NIC, unlimited, done, func(uint32) []byte { return frame })
}

// shortFlows sends each packet between other ports.
func shortFlows(ctx context.Context, p pair, done *atomic.Uint64) error {
	frame := p.datagram()
	return flood(ctx, p.from.NIC, unlimited, done, func(uint32) []byte {
		binary.BigEndian.PutUint32(frame[udpAt:], rand.Uint32()|1<<31|1<<15) // both above 32767
		return frame
	})
}

// newMegaflows sends each packet to another unknown Ethernet destination, which costs an
// upcall and a megaflow each, whatever the policy.
func newMegaflows(ctx context.Context, p pair, done *atomic.Uint64) error {
	frame := p.datagram()
	copy(frame, []byte{2, 0})
	return flood(ctx, p.from.NIC, unlimited, done, func(n uint32) []byte {
		binary.BigEndian.PutUint32(frame[2:], n)
		return frame
	})
}

// window is how much of a stream is under way at most. It fits into the switch's
// receive queue: a stream that loses nothing is one whose rate can be compared.
const window = 64 << 10

// stream sends TCP in one connection.
func stream(ctx context.Context, p pair, done *atomic.Uint64) error {
	l, err := listen(p.to, streamPort)
	if err != nil {
		return err
	}
	defer l.Close()
	var client net.Conn
	if err := p.from.Netns().Do(func() (err error) { client, err = net.Dial("tcp", l.Addr().String()); return err }); err != nil {
		return err
	}
	server, err := l.Accept()
	if err != nil {
		return errors.Join(err, client.Close())
	}
	if err := errors.Join(client.(*net.TCPConn).SetWriteBuffer(window), server.(*net.TCPConn).SetReadBuffer(window)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	go func() {
		data := make([]byte, window/2)
		for err := error(nil); err == nil; {
			_, err = client.Write(data) // why it ended shows at the server
		}
	}()
	for data := make([]byte, window); ; {
		n, err := server.Read(data)
		done.Add(uint64(n))
		if err != nil {
			return unlessEnded(ctx, err)
		}
	}
}

// connections opens and closes TCP connections one after the other, a few at a time.
func connections(ctx context.Context, p pair, done *atomic.Uint64) error {
	const parallel = 8
	l, err := listen(p.to, connectPort)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var failed [parallel]error
	for i := range parallel {
		all.Go(func() {
			failed[i] = p.from.Netns().Do(func() error {
				for ctx.Err() == nil {
					if err := connect(vifOf(p.to).ip4(), connectPort); err != nil {
						return unlessEnded(ctx, err)
					}
					done.Add(1)
				}
				return nil
			})
		})
	}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed below
			}
			c.Close()
		}
	})
	<-ctx.Done()
	err = l.Close()
	all.Wait()
	return errors.Join(append(failed[:], err)...)
}

// connect opens and resets a TCP connection from the thread's namespace. A reset leaves
// no port in TIME_WAIT.
func connect(to netip.Addr, port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	err = errors.Join(
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 2}),
	)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: to.As4()})
	}
	return errors.Join(os.NewSyscallError("connect", err), unix.Close(fd))
}

// listen waits for TCP connections in a guest.
func listen(g *lab.Guest, port int) (l net.Listener, err error) {
	err = g.Netns().Do(func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf("%s:%d", vifOf(g).ip4(), port))
		return err
	})
	return l, err
}

// sink takes in what is sent to a guest's sinkPort, so that it answers nothing.
func sink(g *lab.Guest) (c net.PacketConn, err error) {
	err = g.Netns().Do(func() (err error) {
		c, err = net.ListenPacket("udp", fmt.Sprintf(":%d", sinkPort))
		return err
	})
	return c, err
}

// unlimited is a flood as fast as its sender can.
const unlimited = 0

// flood sends frames from a guest until the context ends, at a rate a second, and counts
// them in sent, if there is one. frame returns the frame with that number.
func flood(ctx context.Context, from *lab.NIC, rate int, sent *atomic.Uint64, frame func(uint32) []byte) error {
	const pause = time.Millisecond // the fewer, the less of the CPU goes into them
	begin := time.Now()
	for n := uint32(0); ctx.Err() == nil; {
		due := n + 32
		if rate != unlimited {
			if due = uint32(time.Since(begin).Seconds() * float64(rate)); due == n {
				_ = rest(ctx, pause)
			}
		}
		for ; n < due; n++ {
			if err := from.Send(frame(n)); err != nil {
				return err
			}
			if sent != nil {
				sent.Add(1)
			}
		}
	}
	return nil
}

// unlessEnded returns an error that isn't the context's end.
func unlessEnded(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}
