package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace without a name. It exists as long as this
// program holds it, a process runs in it, or a socket was opened in it: after
// Close, or after this program was killed, nothing is left to clean up.
//
// A nil *Namespace stands for the namespace the program runs in.
type Namespace struct {
	file *os.File
	once sync.Once
	err  error
}

// NewNamespace makes an empty network namespace; its loopback interface is down.
// It needs CAP_SYS_ADMIN.
func NewNamespace() (*Namespace, error) {
	var file *os.File
	err := onOwnThread(func() (bool, error) {
		home, err := os.Open(threadNetns)
		if err != nil {
			return true, fmt.Errorf("open the current network namespace: %w", err)
		}
		defer home.Close()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return true, fmt.Errorf("make a network namespace: %w", err)
		}
		file, err = os.Open(threadNetns)
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		return back == nil, errors.Join(err, back)
	})
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return &Namespace{file: file}, nil
}

// threadNetns is the network namespace of the calling thread.
const threadNetns = "/proc/thread-self/ns/net"

// FD is a file descriptor that stands for the namespace, valid until Close.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Path names the namespace for other programs, such as
// "nsenter --net=PATH ip address". It is valid while this program holds the
// namespace.
func (n *Namespace) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD())
}

// Do runs fn on a thread that is inside the namespace. Sockets that fn opens
// stay in the namespace; goroutines that fn starts are outside.
func (n *Namespace) Do(fn func() error) error {
	return onOwnThread(func() (bool, error) { return n.onThread(fn) })
}

// Close lets the namespace go. Calling it again does nothing.
func (n *Namespace) Close() error {
	if n == nil {
		return nil
	}
	n.once.Do(func() { n.err = n.file.Close() })
	return n.err
}

// onThread runs fn with the calling thread, which must be locked, moved into
// the namespace, and moves the thread back. restored tells whether it is back;
// if not, the thread must not be used for anything else.
func (n *Namespace) onThread(fn func() error) (restored bool, err error) {
	if n == nil {
		return true, fn()
	}
	home, err := os.Open(threadNetns)
	if err != nil {
		return true, fmt.Errorf("open the current network namespace: %w", err)
	}
	defer home.Close()
	if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
		return true, fmt.Errorf("enter a network namespace: %w", err)
	}
	err = fn()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return false, errors.Join(err, fmt.Errorf("leave a network namespace: %w", back))
	}
	return true, err
}

// onOwnThread runs fn on a thread of its own. When fn couldn't restore the
// thread, the thread ends with the goroutine that was locked to it.
func onOwnThread(fn func() (restored bool, err error)) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		restored, err := fn()
		if restored {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}
