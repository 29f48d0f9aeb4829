package lab_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// failing is a test that may fail: it keeps what it says then.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// wait runs a wait in a test that may fail, and returns what that says, if it does.
func wait(t *testing.T, limit time.Duration, cond func() error) string {
	t.Helper()
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		lab.EventuallyWithin(f, limit, "the sun rises", cond)
	}()
	<-done
	return f.said
}

func TestEventually(t *testing.T) {
	n := 0
	third := func() error {
		if n++; n < 3 {
			return fmt.Errorf("it is night %d", n)
		}
		return nil
	}
	if said := wait(t, time.Minute, third); said != "" || n != 3 {
		t.Errorf("after %d tries: %q", n, said)
	}
	said := wait(t, 10*time.Millisecond, func() error { return errors.New("it is dark") })
	if !strings.Contains(said, "the sun rises") || !strings.Contains(said, "it is dark") {
		t.Errorf("what never comes: %q", said)
	}
	if said := wait(t, 10*time.Millisecond, lab.True(func() bool { return false })); !strings.Contains(said, "not yet") {
		t.Errorf("what is never true: %q", said)
	}
	if said := wait(t, time.Minute, lab.True(func() bool { return true })); said != "" {
		t.Errorf("what is true: %q", said)
	}
}
