package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"sync"
)

// GuestOptions describe a guest's network interface.
type GuestOptions struct {
	// Name of the switch's end, hence of the port: at most 15 bytes. It is
	// the name of the guest as well.
	Name string
	// MAC of the guest's end.
	MAC MAC
	// Addresses of the guest's end, usable at once: without duplicate
	// address detection.
	Addresses []netip.Prefix
	// ExternalIDs of the Interface.
	ExternalIDs map[string]string
	// OFPort is the OpenFlow port number to ask for, 0 to leave it open.
	OFPort int
	// Quiet keeps the guest from sending IPv6 messages of its own accord:
	// no router solicitations or duplicate address detection, and no IPv6
	// at all unless Addresses contain an IPv6 prefix.
	Quiet bool
}

// Guest stands in for a virtual machine: a network namespace with interfaces
// at a switch with real ports. Its first interface is embedded.
type Guest struct {
	*NIC
	Name string

	sw   *Switch
	ns   *Namespace
	nics []*NIC

	once sync.Once
	err  error
}

// AddGuest makes a guest with one interface, eth0, at a bridge of a switch
// with real ports. [Guest.Close] removes it; so does stopping the switch.
func (sw *Switch) AddGuest(ctx context.Context, bridge string, opts GuestOptions) (*Guest, error) {
	if sw.ns == nil {
		return nil, fmt.Errorf("add guest %s: a Dummy switch has no guests", opts.Name)
	}
	sw.guestsMu.Lock()
	defer sw.guestsMu.Unlock()
	if sw.guests[opts.Name] != nil {
		return nil, fmt.Errorf("add guest %s: there is one of that name", opts.Name)
	}
	ns, err := NewNamespace()
	if err != nil {
		return nil, fmt.Errorf("add guest %s: %w", opts.Name, err)
	}
	g := &Guest{Name: opts.Name, sw: sw, ns: ns}
	if err := ns.loopbackUp(); err != nil {
		return nil, errors.Join(fmt.Errorf("add guest %s: %w", opts.Name, err), g.release())
	}
	if g.NIC, err = g.AddNIC(ctx, bridge, opts); err != nil {
		return nil, errors.Join(err, g.release())
	}
	sw.guests[g.Name] = g
	return g, nil
}

// AddNIC gives the guest a further interface, named eth1, eth2 and so on in
// the order of the calls.
func (g *Guest) AddNIC(ctx context.Context, bridge string, opts GuestOptions) (*NIC, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("add interface %s: %w", opts.Name, err)
	}
	n, err := newNIC(g.sw.ns, g.ns, fmt.Sprintf("eth%d", len(g.nics)), opts)
	if err != nil {
		return nil, fmt.Errorf("add interface %s: %w", opts.Name, err)
	}
	if g.sw.datapath.InKernel() {
		n.fence = g.sw.Fence
	}
	err = g.sw.AddPort(bridge, opts.Name, PortOptions{OFPort: opts.OFPort, ExternalIDs: opts.ExternalIDs})
	if err != nil {
		return nil, errors.Join(err, n.release())
	}
	g.nics = append(g.nics, n)
	return n, nil
}

// Netns is the guest's network namespace.
func (g *Guest) Netns() *Namespace { return g.ns }

// Run runs a program inside the guest and returns what it printed to standard
// output and standard error, in the order printed, and its exit status. An
// error means that the program couldn't be run to its end.
func (g *Guest) Run(ctx context.Context, name string, args ...string) (output string, exit int, err error) {
	path, err := findProgram(name)
	if err != nil {
		return "", 0, fmt.Errorf("guest %s: %w", g.Name, err)
	}
	var buf bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &buf, &buf
	p, err := startProcess(g.ns, cmd)
	if err != nil {
		return "", 0, fmt.Errorf("guest %s: %w", g.Name, err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		err = errors.Join(context.Cause(ctx), p.kill())
	}
	var failed *exec.ExitError
	switch {
	case err != nil:
	case errors.As(p.err, &failed) && failed.Exited():
		return buf.String(), failed.ExitCode(), nil
	default:
		err = p.err
	}
	if err != nil {
		return buf.String(), -1, fmt.Errorf("guest %s: %s: %w", g.Name, commandLine(cmd), err)
	}
	return buf.String(), 0, nil
}

// Close removes the guest's ports, interfaces and namespace. Listeners must
// be closed by their owner. Calling it again does nothing.
func (g *Guest) Close() error {
	g.sw.guestsMu.Lock()
	known := g.sw.guests[g.Name] == g
	if known {
		delete(g.sw.guests, g.Name)
	}
	g.sw.guestsMu.Unlock()
	if !known {
		return g.release()
	}
	var errs []error
	for _, n := range g.nics {
		errs = append(errs, g.sw.DelPort(n.Port))
	}
	return errors.Join(append(errs, g.release())...)
}

// release undoes everything but the ports in the database.
func (g *Guest) release() error {
	g.once.Do(func() {
		var errs []error
		for _, n := range slices.Backward(g.nics) {
			errs = append(errs, n.release())
		}
		g.err = errors.Join(append(errs, g.ns.Close())...)
	})
	return g.err
}
