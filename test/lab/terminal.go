package lab

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// NewTerminal makes a pseudo-terminal: the end of whoever reads and types, and the number
// of the other one.
func NewTerminal(tb testing.TB) (master *os.File, number int) {
	tb.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { master.Close() })
	if number, err = unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN); err != nil {
		tb.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		tb.Fatal(err)
	}
	return master, number
}

// OpenTerminal opens the other end of a pseudo-terminal, without making it the one that
// controls this process.
func OpenTerminal(number int) (*os.File, error) {
	return os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
}
