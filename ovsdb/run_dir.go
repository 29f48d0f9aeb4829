package ovsdb

import (
	"fmt"
	"path/filepath"
	"strings"
)

// RunDir returns the directory of a unix endpoint, in which ovs-vswitchd puts the
// bridges' management sockets and its control socket too.
func RunDir(endpoint string) (string, error) {
	path, ok := strings.CutPrefix(endpoint, "unix:")
	if !ok || path == "" {
		return "", fmt.Errorf("%q is not a unix socket, so the directory of the bridges' management sockets can't be derived from it (want e.g. unix:/run/openvswitch/db.sock, or name the directory)", endpoint)
	}
	return filepath.Dir(path), nil
}
