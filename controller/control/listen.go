package control

import (
	"context"
	"net"
	"net/http"
)

// DefaultPath is where the agent listens by default.
const DefaultPath = "/run/vifguard/control.sock"

// Server answers on a control socket.
type Server struct {
	http   *http.Server
	cancel context.CancelFunc
}

// Listen takes over a path as [Socket] does, for root and the socket's group, and serves
// there until Close.
func Listen(path string, h http.Handler) (*Server, error) {
	l, err := Socket(path, socketMode)
	if err != nil {
		return nil, err
	}
	var s Server
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler: h, ReadHeaderTimeout: writeTime, IdleTimeout: writeTime, MaxHeaderBytes: 8 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() { _ = s.http.Serve(l) }() // ends with Close
	return &s, nil
}

// Close ends all connections and removes the socket, unless it is another agent's by
// now.
func (s *Server) Close() {
	s.cancel()
	s.http.Close()
}
