package lab

import "testing"

// T is a Switch for a test: its methods end the test when something fails
// that the test isn't about.
type T struct {
	*Switch
	tb testing.TB
}

// New starts a switch that is stopped when the test ends; a failed test shows
// the end of the switch's log. It applies [Need].
func New(tb testing.TB, opts Options) *T {
	tb.Helper()
	Need(tb, OVS)
	if opts.Datapath.Real() {
		Need(tb, Root, Netns)
	}
	sw, err := StartSwitch(tb.Context(), opts)
	if err != nil {
		tb.Fatalf("start a switch: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("end of the switch's log:\n%s", sw.Log("vswitchd", 20))
		}
		if err := sw.Stop(); err != nil {
			tb.Errorf("stop the switch: %v", err)
		}
	})
	return &T{Switch: sw, tb: tb}
}

// must ends the test if err is set.
func (t *T) must(err error) {
	t.tb.Helper()
	if err != nil {
		t.tb.Fatal(err)
	}
}

// MustBridge adds a bridge: see [Switch.AddBridge].
func (t *T) MustBridge(name string, settings ...string) {
	t.tb.Helper()
	t.must(t.AddBridge(name, settings...))
}

// MustPort adds a port: see [Switch.AddPort].
func (t *T) MustPort(bridge, port string, opts PortOptions) {
	t.tb.Helper()
	t.must(t.AddPort(bridge, port, opts))
}

// MustDelPort removes a port: see [Switch.DelPort].
func (t *T) MustDelPort(port string) {
	t.tb.Helper()
	t.must(t.DelPort(port))
}

// MustSetIDs changes external_ids: see [Switch.SetIDs].
func (t *T) MustSetIDs(iface string, ids map[string]string) {
	t.tb.Helper()
	t.must(t.SetIDs(iface, ids))
}

// MustIDs returns external_ids: see [Switch.IDs].
func (t *T) MustIDs(iface string) map[string]string {
	t.tb.Helper()
	ids, err := t.IDs(iface)
	t.must(err)
	return ids
}

// MustVsctl runs ovs-vsctl: see [Switch.Vsctl].
func (t *T) MustVsctl(args ...string) string {
	t.tb.Helper()
	out, err := t.Vsctl(args...)
	t.must(err)
	return out
}

// MustOfctl runs ovs-ofctl: see [Switch.Ofctl].
func (t *T) MustOfctl(args ...string) string {
	t.tb.Helper()
	out, err := t.Ofctl(args...)
	t.must(err)
	return out
}

// MustAppctl runs a command of ovs-vswitchd: see [Switch.Appctl].
func (t *T) MustAppctl(args ...string) string {
	t.tb.Helper()
	out, err := t.Appctl(args...)
	t.must(err)
	return out
}

// MustInject makes a frame arrive: see [Switch.Inject].
func (t *T) MustInject(port string, frame []byte) {
	t.tb.Helper()
	t.must(t.Inject(port, frame))
}

// MustBarrier waits for injected frames: see [Switch.Barrier].
func (t *T) MustBarrier() {
	t.tb.Helper()
	t.must(t.Barrier())
}

// MustPurge makes counters exact: see [Switch.Purge].
func (t *T) MustPurge() {
	t.tb.Helper()
	t.must(t.Purge())
}

// MustDeliver tells whether a frame arrives: see [Switch.Deliver].
func (t *T) MustDeliver(in string, frame []byte, out string) (delivered bool, got []byte) {
	t.tb.Helper()
	delivered, got, err := t.Deliver(in, frame, out)
	t.must(err)
	return delivered, got
}

// MustReach tells where a frame arrives: see [Switch.Reach].
func (t *T) MustReach(in string, frame []byte) map[string][]byte {
	t.tb.Helper()
	reached, err := t.Reach(in, frame)
	t.must(err)
	return reached
}

// MustTrace explains what the switch does with a frame: see [Switch.Trace].
func (t *T) MustTrace(bridge string, port int, frame []byte) string {
	t.tb.Helper()
	out, err := t.Trace(bridge, port, frame)
	t.must(err)
	return out
}

// MustSent starts a capture: see [Switch.Sent].
func (t *T) MustSent(port string) *Capture {
	t.tb.Helper()
	c, err := t.Sent(port)
	t.must(err)
	return c
}

// MustRun ends the test if a step of it, such as [Switch.KillVswitchd], fails.
func (t *T) MustRun(step func() error) {
	t.tb.Helper()
	t.must(step())
}

// MustWait waits for a condition: see [WaitUntil].
func (t *T) MustWait(what string, cond func() (bool, error)) {
	t.tb.Helper()
	t.must(WaitUntil(t.tb.Context(), what, cond))
}

// MustGuest adds a guest: see [Switch.AddGuest].
func (t *T) MustGuest(bridge string, opts GuestOptions) *Guest {
	t.tb.Helper()
	g, err := t.AddGuest(t.tb.Context(), bridge, opts)
	t.must(err)
	return g
}

// MustListen starts a capture that is closed when the test ends: see
// [NIC.Listen].
func (t *T) MustListen(n *NIC) *Listener {
	t.tb.Helper()
	l, err := n.Listen()
	t.must(err)
	t.tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.tb.Error(err)
		}
	})
	return l
}

// MustPass tells whether a frame arrives: see [NIC.Passes].
func (t *T) MustPass(from *NIC, frame, sentinel []byte, to *Listener) bool {
	t.tb.Helper()
	passed, err := from.Passes(t.tb.Context(), frame, sentinel, to)
	t.must(err)
	return passed
}
