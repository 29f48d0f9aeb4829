package conformance

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/test/lab"
)

// injection is how frames get into a switch and out of it.
type injection interface {
	// plug adds the port of a VIF, or the sink.
	plug(tb testing.TB, port string, ids keysOfPort)
	// start is called when all ports are there.
	start(tb testing.TB)
	// inject makes frames arrive at a port, in this order. Between two collects it takes
	// at most 100 frames per port, which is what a port of the switch holds.
	inject(port string, frames ...[]byte) error
	// installed waits until the megaflows of what was injected are there.
	installed(ctx context.Context) error
	// collect waits until the switch has processed everything, and returns what has
	// arrived at the sink since the last call.
	collect(ctx context.Context) ([][]byte, error)
}

// newInjection returns the one that fits a switch.
func newInjection(sw *lab.T, datapath lab.Datapath) injection {
	if datapath.InKernel() {
		return &wires{T: sw, nics: map[string]*lab.NIC{}}
	}
	return &dummies{T: sw, sent: map[string]uint64{}}
}

// dummies are the ports of a dummy switch.
type dummies struct {
	*lab.T
	arrived *lab.Capture
	seen    int               // frames of arrived that were looked at
	sent    map[string]uint64 // frames injected so far, by port
}

func (d *dummies) plug(_ testing.TB, port string, ids keysOfPort) {
	d.MustPort(bridge, port, lab.PortOptions{ExternalIDs: ids})
}

func (d *dummies) start(testing.TB) { d.arrived = d.MustSent(sink) }

// inject takes one command for all frames.
func (d *dummies) inject(port string, frames ...[]byte) error {
	args := []string{"netdev-dummy/receive", port}
	for _, f := range frames {
		args = append(args, hex.EncodeToString(f))
	}
	d.sent[port] += uint64(len(frames))
	_, err := d.Appctl(args...)
	return err
}

// installed does nothing: a dummy switch looks at a port's frames one after the other.
func (d *dummies) installed(context.Context) error { return nil }

func (d *dummies) collect(ctx context.Context) ([][]byte, error) {
	if err := lab.WaitUntil(ctx, "all frames are processed", d.processed); err != nil {
		return nil, err
	}
	all, err := d.arrived.Frames()
	if err != nil {
		return nil, err
	}
	fresh := all[d.seen:]
	d.seen = len(all)
	return fresh, nil
}

// processed reports whether every port has received what was injected there. Whatever
// a frame leads to happens in the same turn of the switch's loop, before it answers
// another command.
func (d *dummies) processed() (bool, error) {
	out, err := d.Appctl("dpctl/show", "-s")
	if err != nil {
		return false, err
	}
	port, done := "", 0
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 3 && words[0] == "port":
			port = words[2]
		case len(words) >= 2 && words[0] == "RX" && words[1] == fmt.Sprintf("packets:%d", d.sent[port]) && d.sent[port] > 0:
			done++
		}
	}
	return done == len(d.sent), nil
}

// wires are veth pairs to the ports of a switch whose datapath is in the kernel.
type wires struct {
	*lab.T
	guest   *lab.Guest // one for all: only raw frames are sent and read
	nics    map[string]*lab.NIC
	arrived *lab.Listener
}

func (w *wires) plug(tb testing.TB, port string, ids keysOfPort) {
	opts := lab.GuestOptions{Name: port, MAC: lab.MAC{0x52, 0x54, 0, 0xff, 0, byte(len(w.nics))}, ExternalIDs: ids, Quiet: true}
	if w.guest == nil {
		w.guest = w.MustGuest(bridge, opts)
		w.nics[port] = w.guest.NIC
		return
	}
	nic, err := w.guest.AddNIC(tb.Context(), bridge, opts)
	if err != nil {
		tb.Fatal(err)
	}
	w.nics[port] = nic
}

// start keeps what is flooded from the ports where nobody listens.
func (w *wires) start(tb testing.TB) {
	for port := range w.nics {
		if port != sink {
			w.MustOfctl("mod-port", bridge, port, "no-flood")
		}
	}
	w.MustOfctl("mod-port", bridge, bridge, "no-flood")
	w.arrived = w.MustListen(w.nics[sink])
}

func (w *wires) inject(port string, frames ...[]byte) error {
	for _, f := range frames {
		if err := w.nics[port].Send(f); err != nil {
			return err
		}
	}
	return nil
}

func (w *wires) installed(ctx context.Context) error { return w.Fence(ctx) }

func (w *wires) collect(ctx context.Context) ([][]byte, error) {
	if err := w.Fence(ctx); err != nil {
		return nil, err
	}
	return w.arrived.Take()
}
