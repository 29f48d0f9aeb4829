package exit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/vifguard/vifguard/ovsdb"
)

// Exit codes. Scripts rely on them: they are documented in the help of vifguard and in
// README.md, and never change their meaning.
const (
	No          = 1 // the answer is no, or a failure that has no code of its own
	Usage       = 2 // unknown command or flag, wrong arguments, a value that can't be used
	NoSwitch    = 3 // no Open vSwitch there, or it went away
	Permission  = 4 // not allowed to talk to it
	Timeout     = 5 // it didn't answer, or what was waited for didn't happen, in time
	NotFound    = 6 // no such port, bridge or profile
	Blocked     = 7 // wait: the port is settled, and blocked or quarantined
	Exposed     = 8 // wait: the port's rules are in force, but frames can pass around them
	Interrupted = 130
)

// Help describes the exit codes in the help of vifguard.
const Help = `Exit codes:
  0  done, or the answer is yes
  1  the answer is no (verify: it differs), or a failure without a code of its own
  2  usage: unknown command or flag, wrong arguments, a value that can't be used
  3  no Open vSwitch there, something else at its socket, or it went away
  4  no permission to talk to it
  5  timeout: no answer, or what was waited for didn't happen
  6  no such port, bridge or profile
  7  wait: the port is settled, and blocked or quarantined
  8  wait: the port's rules are in force, but frames can pass around them (exposed)`

// Error is an error with an exit code. Its sentence replaces that of its cause.
type Error struct {
	code  int
	text  string
	usage string // lines that say how a command is used; "" for none
	cause error  // may be nil
}

func (e *Error) Error() string {
	if e.usage == "" {
		return e.text
	}
	return e.text + "\n" + strings.TrimSuffix(e.usage, "\n")
}

func (e *Error) Unwrap() error { return e.cause }

// Errorf returns an error with an exit code; a cause is what %w wraps.
func Errorf(code int, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{code: code, text: err.Error(), cause: errors.Unwrap(err)}
}

// UsageErrorf returns an error about a command line. usage are lines that say how the command
// is used.
func UsageErrorf(usage, format string, args ...any) error {
	return &Error{code: Usage, text: fmt.Sprintf(format, args...), usage: usage}
}

// Lines returns what there is to print of an error: a sentence, and the lines that say how
// the command is used, "" for none.
func Lines(err error) (sentence, usage string) {
	var e *Error
	if errors.As(err, &e) && e.usage != "" {
		return e.text, e.usage
	}
	return err.Error(), ""
}

// Code returns the exit code that an error stands for, 0 for none.
func Code(err error) int {
	var c *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, fs.ErrPermission):
		return Permission
	case errors.Is(err, ovsdb.ErrNotConnected):
		return NoSwitch
	}
	return No
}
