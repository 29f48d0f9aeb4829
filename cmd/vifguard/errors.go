package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/ovsdb"
)

// Exit codes. Scripts rely on them: they are documented in the help of vifguard and in
// README.md, and never change their meaning.
const (
	exitNo          = 1 // the answer is no, or a failure that has no code of its own
	exitUsage       = 2 // unknown command or flag, wrong arguments, a value that can't be used
	exitNoSwitch    = 3 // no Open vSwitch there, or it went away
	exitPermission  = 4 // not allowed to talk to it
	exitTimeout     = 5 // it didn't answer, or what was waited for didn't happen, in time
	exitNotFound    = 6 // no such port, bridge or profile
	exitBlocked     = 7 // wait: the port is settled, and blocked or quarantined
	exitInterrupted = 130
)

// exitHelp describes the exit codes in the help of vifguard.
const exitHelp = `Exit codes:
  0  done, or the answer is yes
  1  the answer is no (verify: it differs), or a failure without a code of its own
  2  usage: unknown command or flag, wrong arguments, a value that can't be used
  3  no Open vSwitch there, something else at its socket, or it went away
  4  no permission to talk to it
  5  timeout: no answer, or what was waited for didn't happen
  6  no such port, bridge or profile
  7  wait: the port is settled, and blocked or quarantined`

// coded is an error with an exit code. Its sentence replaces that of its cause.
type coded struct {
	code  int
	text  string
	usage string // lines that say how a command is used; "" for none
	cause error  // may be nil
}

func (e *coded) Error() string { return e.text + e.usage }
func (e *coded) Unwrap() error { return e.cause }

// fail returns an error with an exit code; a cause is what %w wraps.
func fail(code int, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &coded{code: code, text: err.Error(), cause: errors.Unwrap(err)}
}

// exitCode returns the exit code that an error stands for, 0 for none.
func exitCode(err error) int {
	var c *coded
	switch {
	case err == nil:
		return 0
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	case errors.Is(err, ovsdb.ErrNotConnected):
		return exitNoSwitch
	}
	return exitNo
}

// usualSockets are where ovsdb-server listens: packages, and builds from source.
func usualSockets() []string {
	return []string{"/run/openvswitch/db.sock", "/usr/local/var/run/openvswitch/db.sock"}
}

// explainDial turns a failed attempt to reach ovsdb-server into one sentence that says
// what to do.
func explainDial(endpoint string, err error) error {
	say := func(code int, format string, args ...any) error {
		return &coded{code: code, text: fmt.Sprintf(format, args...), cause: err}
	}
	path := strings.TrimPrefix(endpoint, "unix:")
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist):
		for _, s := range usualSockets() {
			if _, err := os.Stat(s); err == nil && s != path {
				return say(exitNoSwitch, "there is no socket %s, but one at %s (use --ovsdb unix:%s)", path, s, s)
			}
		}
		return say(exitNoSwitch, "there is no socket %s: Open vSwitch isn't running (start it), or its socket is elsewhere (--ovsdb names it)", path)
	case errors.Is(err, fs.ErrPermission):
		return say(exitPermission, "no permission to open %s (run vifguard as root, or as a user who may write to that socket)", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say(exitNoSwitch, "nobody listens at %s: ovsdb-server has ended or was killed (start Open vSwitch)", endpoint)
	case errors.Is(err, context.DeadlineExceeded):
		return say(exitTimeout, "%s accepts connections but doesn't answer in time: ovsdb-server is stopped or overloaded", endpoint)
	case errors.Is(err, ovsdb.ErrNoDatabase):
		return say(exitNoSwitch, "the OVSDB server at %s has no Open_vSwitch database (an OVN database server? --ovsdb names ovs-vswitchd's own)", endpoint)
	case strings.HasPrefix(err.Error(), "OVSDB endpoint"):
		return say(exitUsage, "--ovsdb: %v", err)
	case errors.Is(err, ovsdb.ErrNotOVSDB):
		return say(exitNoSwitch, "what listens at %s isn't an OVSDB server (want ovsdb-server's db.sock, not a bridge's .mgmt or a .ctl socket)", endpoint)
	}
	return say(exitNoSwitch, "%v", err)
}

// explainSwitch turns a failed attempt to read a bridge's switch into one sentence.
func explainSwitch(bridge, runDir string, err error) error {
	socket := openflow.ManagementSocket(runDir, bridge)
	say := func(code int, format string, args ...any) error {
		return &coded{code: code, text: fmt.Sprintf("bridge %s: ", bridge) + fmt.Sprintf(format, args...), cause: err}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return say(exitNoSwitch, "there is no socket %s: ovs-vswitchd isn't running, or its sockets are elsewhere (--rundir)", socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say(exitNoSwitch, "nobody listens at %s: ovs-vswitchd has ended or was killed", socket)
	case errors.Is(err, fs.ErrPermission):
		return say(exitPermission, "no permission to open %s (run vifguard as root)", socket)
	case errors.Is(err, context.DeadlineExceeded):
		return say(exitTimeout, "ovs-vswitchd doesn't answer at %s in time", socket)
	}
	return say(exitNoSwitch, "%v", err)
}

// usageError says what is wrong with a command line, and where to read on.
func usageError(cmd *cobra.Command, format string, args ...any) error {
	usage := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	if cmd.HasSubCommands() {
		usage += " COMMAND"
	}
	return &coded{
		code: exitUsage, text: fmt.Sprintf(format, args...),
		usage: fmt.Sprintf("\nusage: %s\nSee: %s --help", usage, cmd.CommandPath()),
	}
}

// arguments returns a check that a command has between least and most arguments; most
// is -1 where there is no limit.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError(cmd, "%s: an argument is missing", cmd.Name())
		case most == 0 && len(args) > 0:
			return usageError(cmd, "%s takes no arguments, but got %q", cmd.Name(), args[0])
		case most > 0 && len(args) > most:
			return usageError(cmd, "%s: too many arguments from %q on", cmd.Name(), args[most])
		}
		return nil
	}
}

// flagError is what cobra calls for a flag that it can't use.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		if near := nearest(name, flagNames(cmd)); near != "" {
			text += fmt.Sprintf(" (did you mean --%s?)", near)
		}
	}
	return usageError(cmd, "%s", text)
}

// outputUsage is the usage of every command's flag -o.
const outputUsage = "text, or json (docs/json.md describes it)"

// checkFormat refuses an unknown format of a flag -o.
func checkFormat(cmd *cobra.Command, format, plain string) error {
	if format != plain && format != "json" {
		return usageError(cmd, "-o: %q is not a format (want %s or json)", format, plain)
	}
	return nil
}
