package agent_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// An agent whose bridge can't be programmed any more rests, as do all others: metadata that
// becomes unusable under way costs no processor time.
func TestUnusableBridgeCostsNothing(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1)
	h.guard("br0", "port-security-flood=1000")
	h.run(time.Minute)
	h.await("tap1", "state=enforced")
	h.MustVsctl("set", "Bridge", "br0", "external_ids:port-security-first-table=999")
	h.await("tap1", "state=pending")
	const limit = 200 * time.Millisecond // of processor time in two seconds; a loop takes all of it
	before := processorTime(t)
	time.Sleep(2 * time.Second)
	if used := processorTime(t) - before; used > limit {
		t.Errorf("%s of processor time in 2 s, want at most %s", used, limit)
	}
}

// processorTime returns what this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// While OVSDB can't be written, the log says that once, and of no VIF that it is
// programmed: what is logged is what was written.
func TestNothingIsSaidBeforeItIsWritten(t *testing.T) {
	lab.Need(t, lab.Root)
	h := newHost(t)
	h.MustUseSmallDisk()
	h.MustBridge("br0")
	for _, name := range []string{"tap1", "tap2", "tap3"} {
		h.vif("br0", name, int(name[3]-'0'), "attached-mac=52:54:00:00:00:0"+name[3:])
	}
	h.guard("br0")
	free := h.MustFillDisk()
	h.run(never)
	h.awaitLog("flows brought to what OVSDB asks for")
	h.awaitLog("can't write status to OVSDB")
	time.Sleep(3 * time.Second) // several attempts
	if n := strings.Count(h.log.String(), "VIF programmed"); n != 0 {
		t.Errorf("%d lines say that a VIF is programmed, which OVSDB doesn't", n)
	}
	free()
	for _, name := range []string{"tap1", "tap2", "tap3"} {
		h.await(name, "state=enforced")
	}
	if n := strings.Count(h.log.String(), "VIF programmed"); n != 3 {
		t.Errorf("%d lines say that a VIF is programmed, want 3", n)
	}
}
