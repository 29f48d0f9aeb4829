package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	dirMode    = 0o755
	socketMode = 0o660 // root and the socket's group
	probeTime  = 2 * time.Second
)

// socket is a listener at a path that a predecessor may have left and a successor may
// take over.
type socket struct {
	*net.UnixListener
	path   string
	file   fs.FileInfo // to tell it from a successor's
	remove sync.Once
}

// Socket listens at a path, with a mode that says who may connect. The directory is made
// if it isn't there. A socket that a dead process left is replaced; while a process answers
// at it, or if something else is there, that is an error. Close removes the socket, unless
// it is a successor's by now.
func Socket(path string, mode fs.FileMode) (_ net.Listener, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("listen on the socket %s: %w", path, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, err
	}
	if err := mayReplace(path); err != nil {
		return nil, err
	}
	// Under another name until its mode is right; the renaming also replaces what a dead
	// process left.
	young := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(young); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: young, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	s := &socket{UnixListener: l, path: path}
	if err = os.Chmod(young, mode); err == nil {
		if s.file, err = os.Lstat(young); err == nil {
			err = os.Rename(young, path)
		}
	}
	if err != nil {
		l.Close()
		os.Remove(young)
		return nil, err
	}
	return s, nil
}

// mayReplace returns an error if there is something at path that must stay.
func mayReplace(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file that isn't a socket")
	}
	conn, err := net.DialTimeout("unix", path, probeTime)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return err
	}
	conn.Close()
	return errors.New("another agent answers there")
}

// Close ends listening and removes the socket, unless it is a successor's by now.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	s.remove.Do(func() {
		if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.file) {
			os.Remove(s.path)
		}
	})
	return err
}
