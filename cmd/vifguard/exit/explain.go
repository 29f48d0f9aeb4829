package exit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/ovsdb"
)

// usualSockets are where ovsdb-server listens: packages, and builds from source.
func usualSockets() []string {
	return []string{"/run/openvswitch/db.sock", "/usr/local/var/run/openvswitch/db.sock"}
}

// Dial turns a failed attempt to reach ovsdb-server into one sentence that says
// what to do.
func Dial(endpoint string, err error) error {
	say := func(code int, format string, args ...any) error {
		return &Error{code: code, text: fmt.Sprintf(format, args...), cause: err}
	}
	path := strings.TrimPrefix(endpoint, "unix:")
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist):
		for _, s := range usualSockets() {
			if _, err := os.Stat(s); err == nil && s != path {
				return say(NoSwitch, "there is no socket %s, but one at %s (use --ovsdb unix:%s)", path, s, s)
			}
		}
		return say(NoSwitch, "there is no socket %s: Open vSwitch isn't running (start it), or its socket is elsewhere (--ovsdb names it)", path)
	case errors.Is(err, fs.ErrPermission):
		return say(Permission, "no permission to open %s (run vifguard as root, or as a user who may write to that socket)", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say(NoSwitch, "nobody listens at %s: ovsdb-server has ended or was killed (start Open vSwitch)", endpoint)
	case errors.Is(err, context.DeadlineExceeded):
		return say(Timeout, "%s accepts connections but doesn't answer in time: ovsdb-server is stopped or overloaded", endpoint)
	case errors.Is(err, ovsdb.ErrNoDatabase):
		return say(NoSwitch, "the OVSDB server at %s has no Open_vSwitch database (an OVN database server? --ovsdb names ovs-vswitchd's own)", endpoint)
	case strings.HasPrefix(err.Error(), "OVSDB endpoint"):
		return say(Usage, "--ovsdb: %v", err)
	case errors.Is(err, ovsdb.ErrNotOVSDB):
		return say(NoSwitch, "what listens at %s isn't an OVSDB server (want ovsdb-server's db.sock, not a bridge's .mgmt or a .ctl socket)", endpoint)
	}
	return say(NoSwitch, "%v", err)
}

// Switch turns a failed attempt to read a bridge's switch into one sentence.
func Switch(bridge, runDir string, err error) error {
	socket := openflow.ManagementSocket(runDir, bridge)
	say := func(code int, format string, args ...any) error {
		return &Error{code: code, text: fmt.Sprintf("bridge %s: ", bridge) + fmt.Sprintf(format, args...), cause: err}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return say(NoSwitch, "there is no socket %s: ovs-vswitchd isn't running, or its sockets are elsewhere (--rundir)", socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say(NoSwitch, "nobody listens at %s: ovs-vswitchd has ended or was killed", socket)
	case errors.Is(err, fs.ErrPermission):
		return say(Permission, "no permission to open %s (run vifguard as root)", socket)
	case errors.Is(err, context.DeadlineExceeded):
		return say(Timeout, "ovs-vswitchd doesn't answer at %s in time", socket)
	}
	return say(NoSwitch, "%v", err)
}

// Times turns a failed attempt to read when a bridge's flows were last used into one sentence.
func Times(bridge, runDir string, err error) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, openflow.ErrNoTimes):
		return fmt.Errorf("bridge %s: %w (ovs-vsctl add bridge %s protocols OpenFlow15)", bridge, openflow.ErrNoTimes, bridge)
	}
	return Switch(bridge, runDir, err)
}
