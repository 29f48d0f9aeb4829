package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// DefaultPath is where the agent listens unless told otherwise.
const DefaultPath = "/run/vifguard/control.sock"

const (
	dirMode    = 0o755
	socketMode = 0o660 // root and the socket's group
	probeTime  = 2 * time.Second
)

// Server answers on a control socket.
type Server struct {
	path     string
	file     fs.FileInfo // the socket, to tell it from a successor's
	listener net.Listener
	http     *http.Server
	cancel   context.CancelFunc
}

// Listen takes over a path and serves there until Close. The directory is made if it
// isn't there. A socket that a dead agent left is replaced; while another agent answers
// at it, that is an error.
func Listen(path string, h http.Handler) (_ *Server, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("listen on the control socket %s: %w", path, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, err
	}
	if err := mayReplace(path); err != nil {
		return nil, err
	}
	// Under another name until its mode is right; the renaming also replaces what a dead
	// agent left.
	young := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(young); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: young, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	s := &Server{path: path, listener: l}
	if err = os.Chmod(young, socketMode); err == nil {
		if s.file, err = os.Lstat(young); err == nil {
			err = os.Rename(young, path)
		}
	}
	if err != nil {
		l.Close()
		os.Remove(young)
		return nil, err
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler: h, ReadHeaderTimeout: writeTime, IdleTimeout: writeTime, MaxHeaderBytes: 8 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() { _ = s.http.Serve(l) }() // ends with Close
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

// Close ends all connections and removes the socket, unless it is another agent's by
// now.
func (s *Server) Close() {
	s.cancel()
	s.http.Close()
	if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.file) {
		os.Remove(s.path)
	}
}
