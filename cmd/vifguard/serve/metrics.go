package serve

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/control"
)

// metricsMode says who may read metrics at a unix socket: root and the socket's group.
const metricsMode = 0o660

// serveMetrics serves metrics at /metrics until the returned function is called. An
// address that can't be used is an error; one that is taken is logged, because checks
// matter more than figures about them.
func serveMetrics(address string, metrics http.Handler, log *logrus.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listen := func() (net.Listener, error) { return net.Listen("tcp", address) }
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		listen = func() (net.Listener, error) { return control.Socket(path, metricsMode) }
	} else if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("--metrics-address: %q is not valid (want HOST:PORT such as 127.0.0.1:9479, unix:PATH, or nothing): %w", address, err)
	}
	l, err := listen()
	if err != nil {
		log.WithError(err).Error("metrics can't be served")
		return func() {}, nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	return func() { _ = server.Close(); <-done }, nil
}
