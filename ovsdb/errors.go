package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/ovn-org/libovsdb/client"
)

// ErrNotConnected is returned (wrapped) when there is no connection to ovsdb-server,
// or it was lost meanwhile.
var ErrNotConnected = errors.New("not connected to ovsdb-server")

// ErrNoDatabase is returned (wrapped) by Dial when the server has no Open_vSwitch database.
var ErrNoDatabase = errors.New("no Open_vSwitch database")

// ErrNotOVSDB is returned (wrapped) by Dial when what listens there hangs up or answers
// with something else.
var ErrNotOVSDB = errors.New("isn't an OVSDB server, or is just ending")

// checkEndpoint refuses what libovsdb would silently replace by its default endpoint.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return fmt.Errorf("OVSDB endpoint %q: %w", endpoint, err)
	case u.Scheme == "unix" && (u.Host != "" || !strings.HasPrefix(u.Path, "/")):
		return fmt.Errorf("OVSDB endpoint %q: want unix: and an absolute path", endpoint)
	case u.Scheme != "unix" && u.Scheme != "tcp":
		return fmt.Errorf("OVSDB endpoint %q: want unix:PATH or tcp:HOST:PORT", endpoint)
	case u.Scheme == "tcp" && u.Opaque == "":
		return fmt.Errorf("OVSDB endpoint %q: want tcp:HOST:PORT", endpoint)
	}
	return nil
}

// isLost tells whether a call failed with its connection. The call can know before Done.
func isLost(err error) bool {
	var op *net.OpError
	return errors.Is(err, client.ErrNotConnected) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

// dialError turns a failed attempt into a sentence for the operator; the cause stays wrapped.
func dialError(endpoint string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the socket of ovsdb-server, %s, doesn't exist (is Open vSwitch running?): %w", endpoint, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to open the socket of ovsdb-server, %s: %w", endpoint, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no ovsdb-server listens at %s: %w", endpoint, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ovsdb-server at %s doesn't answer: %w", endpoint, err)
	case strings.Contains(err.Error(), "target database "+databaseName+" not found"):
		return fmt.Errorf("the server at %s has %w", endpoint, ErrNoDatabase)
	case isLost(err), strings.Contains(err.Error(), "listdbs failure"), strings.Contains(err.Error(), client.ErrNotConnected.Error()):
		return fmt.Errorf("what listens at %s %w: %w", endpoint, ErrNotOVSDB, err)
	}
	return fmt.Errorf("connect to ovsdb-server at %s: %w", endpoint, err)
}
