package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// guestMode is the first argument of this program when it runs inside a guest.
const guestMode = "inside-guest"

// insideGuest makes traffic: WHAT ADDRESS DURATION. It prints how much there was.
func insideGuest(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%s wants what, where and how long", guestMode)
	}
	d, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	var n int
	switch args[0] {
	case "connect":
		n, err = connect(args[1], d)
	case "accept":
		n, err = accept(args[1], d)
	case "blast":
		n, err = blast(args[1], d, false)
	case "sources":
		n, err = blast(args[1], d, true)
	default:
		err = fmt.Errorf("unknown traffic %q", args[0])
	}
	fmt.Println(n)
	return err
}

// connect opens and closes TCP connections one after the other, four at a time.
func connect(address string, d time.Duration) (int, error) {
	const parallel = 4
	counts := make(chan int, parallel)
	end := time.Now().Add(d)
	for range parallel {
		go func() {
			n := 0
			for time.Now().Before(end) {
				c, err := net.DialTimeout("tcp", address, time.Second)
				if err != nil {
					continue
				}
				// A reset leaves no port in TIME_WAIT.
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
				n++
			}
			counts <- n
		}()
	}
	total := 0
	for range parallel {
		total += <-counts
	}
	return total, nil
}

// accept takes TCP connections.
func accept(address string, d time.Duration) (int, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return 0, err
	}
	time.AfterFunc(d, func() { l.Close() })
	for n := 0; ; n++ {
		c, err := l.Accept()
		if err != nil {
			return n, nil
		}
		c.Close()
	}
}

// blast sends small UDP packets as fast as it can through a raw socket, from one
// source port or from a random one each.
func blast(address string, d time.Duration, sources bool) (int, error) {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return 0, err
	}
	const packets = 32
	const size = 8 + 18 // UDP header and enough for a frame of 60 bytes
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_UDP)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	dst := &unix.SockaddrInet4{}
	copy(dst.Addr[:], to.IP.To4())
	packet := make([]byte, size)
	binary.BigEndian.PutUint16(packet, 20000)
	binary.BigEndian.PutUint16(packet[2:], uint16(to.Port))
	binary.BigEndian.PutUint16(packet[4:], size)
	n := 0
	for end := time.Now().Add(d); time.Now().Before(end); {
		for range packets {
			if sources {
				binary.BigEndian.PutUint32(packet, rand.Uint32()|1<<31|1<<15) // both ports above 32767
			}
			err := unix.Sendto(fd, packet, 0, dst)
			if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) {
				continue
			}
			if err != nil {
				return n, os.NewSyscallError("sendto", err)
			}
			n++
		}
	}
	return n, nil
}

// parseCount reads what insideGuest printed.
func parseCount(out string) (float64, error) {
	n, err := strconv.Atoi(string([]byte(out[:max(0, len(out)-1)])))
	return float64(n), err
}
