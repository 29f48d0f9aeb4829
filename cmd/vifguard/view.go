package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

// commandTimeout limits a command that talks to Open vSwitch.
const commandTimeout = 10 * time.Second

// session is one command's connection to ovsdb-server.
type session struct {
	*ovsdb.Client
	ctx    context.Context // ends with the command's time limit
	cancel context.CancelFunc
	runDir string // directory of the bridges' management sockets
}

// open connects to ovsdb-server for one command. The caller closes the session.
func (o *options) open(ctx context.Context) (*session, error) {
	return o.openFor(ctx, commandTimeout)
}

// openFor is open for a command with a time limit of its own.
func (o *options) openFor(ctx context.Context, limit time.Duration) (*session, error) {
	runDir := o.runDir
	if runDir == "" {
		var err error
		if runDir, err = ovsdb.RunDir(o.endpoint); err != nil {
			return nil, fail(exitUsage, "--ovsdb: %w: --rundir", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	c, err := ovsdb.Dial(ctx, o.endpoint, nil)
	if err != nil {
		cancel()
		return nil, explainDial(o.endpoint, err)
	}
	return &session{Client: c, ctx: ctx, cancel: cancel, runDir: runDir}, nil
}

func (s *session) close() {
	s.Close()
	s.cancel()
}

// inspect compares the given ports of a bridge, all if none is given, with its switch.
func (s *session) inspect(b *model.Bridge, ports ...*model.Interface) inspect.Inspection {
	in := inspect.Bridge(s.ctx, b, s.Host().Profiles, s.runDir, ports...)
	if in.Switch != nil {
		in.Switch = explainSwitch(b.Name, s.runDir, in.Switch)
	}
	return in
}

// findPort returns an interface by name, or an error that says where to look.
func findPort(h *model.Host, name string) (*model.Bridge, *model.Interface, error) {
	b, i := h.FindInterface(name)
	if i == nil {
		return nil, nil, fail(exitNotFound, "no interface %q on any bridge%s (vifguard status lists the VIFs, ovs-vsctl show all ports)",
			name, didYouMean(name, portNames(h)))
	}
	return b, i, nil
}

// findBridge returns a bridge by name, or an error that lists the bridges.
func findBridge(h *model.Host, name string) (*model.Bridge, error) {
	if b := h.Bridge(name); b != nil {
		return b, nil
	}
	names := bridgeNames(h)
	if len(names) == 0 {
		return nil, fail(exitNotFound, "no bridge %q; Open vSwitch has none at all (make one with: ovs-vsctl add-br %s)", name, name)
	}
	if b, i := h.FindInterface(name); i != nil {
		return nil, fail(exitNotFound, "no bridge %q: it is a port of bridge %s", name, b.Name)
	}
	return nil, fail(exitNotFound, "no bridge %q (there are: %s)%s", name, strings.Join(names, ", "), didYouMean(name, names))
}

func bridgeNames(h *model.Host) []string {
	var names []string
	for _, b := range h.Bridges {
		names = append(names, b.Name)
	}
	return names
}

func portNames(h *model.Host) []string {
	var names []string
	for _, b := range h.Bridges {
		for _, i := range b.Interfaces {
			names = append(names, i.Name)
		}
	}
	return names
}

// addresses lists what a VIF may use, that of its own MAC first, without the
// link-local addresses that every VIF has.
func addresses(p *model.Policy) []string {
	var own, others []string
	for _, b := range p.Bindings {
		if b.Origin == model.OriginLinkLocal {
			continue
		}
		if b.MAC == p.MAC {
			own = append(own, model.FormatPrefix(b.Prefix))
		} else {
			others = append(others, b.String())
		}
	}
	return append(own, others...)
}

// dropsText writes drop counters as "reason count", the largest first, and sums up
// those beyond the first few.
func dropsText(drops map[model.Reason]uint64, most int) string {
	var reasons []model.Reason
	for _, r := range model.Reasons() {
		if drops[r] > 0 {
			reasons = append(reasons, r)
		}
	}
	slices.SortStableFunc(reasons, func(a, b model.Reason) int { return cmp.Compare(drops[b], drops[a]) })
	var words []string
	var others uint64
	for i, r := range reasons {
		if i < most {
			words = append(words, fmt.Sprintf("%s %d", r, drops[r]))
		} else {
			others += drops[r]
		}
	}
	if others > 0 {
		words = append(words, fmt.Sprintf("others %d", others))
	}
	return strings.Join(words, ", ")
}

// isVIF reports whether a port has a line of its own in status.
func isVIF(p *inspect.PortInspection) bool { return p.Policy.Mode != model.Trusted }

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
