package main

import (
	"context"
	"strings"
	"time"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/exposure/probe"
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
	*judging
}

// judging is what a session needs to judge bridges, for as long as it lasts.
type judging struct {
	options *options
	hidden  map[string]*probe.Reader // by bridge
	whole   *session                 // of all ports, for a session of one that has to judge; nil until then
}

// open connects to ovsdb-server for one command. The caller closes the session.
func (o *options) open(ctx context.Context) (*session, error) {
	return o.connect(ctx, commandTimeout, func(ctx context.Context) (*ovsdb.Client, error) {
		return ovsdb.Dial(ctx, o.endpoint, nil)
	})
}

// openPort is open for a command about one port that has a time limit of its own: of the
// other ports the session knows nothing, not even whether they claim its OpenFlow port too.
func (o *options) openPort(ctx context.Context, port string, limit time.Duration) (*session, error) {
	return o.connect(ctx, limit, func(ctx context.Context) (*ovsdb.Client, error) {
		return ovsdb.DialInterface(ctx, o.endpoint, port, nil)
	})
}

// openFor is open for a command about what may be a port, and for everything if it is none:
// a bridge, a name that somebody has mistyped, or "".
func (o *options) openFor(ctx context.Context, name string) (*session, error) {
	if name == "" {
		return o.open(ctx)
	}
	s, err := o.openPort(ctx, name, commandTimeout)
	if err != nil || s.Host().Bridge(name) == nil && s.has(name) {
		return s, err
	}
	s.close()
	return o.open(ctx)
}

func (s *session) has(port string) bool {
	_, row := s.Host().FindInterface(port)
	return row != nil
}

func (o *options) connect(ctx context.Context, limit time.Duration, dial func(context.Context) (*ovsdb.Client, error)) (*session, error) {
	runDir := o.runDir
	if runDir == "" {
		var err error
		if runDir, err = ovsdb.RunDir(o.endpoint); err != nil {
			return nil, exit.Errorf(exit.Usage, "--ovsdb: %w: --rundir", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	c, err := dial(ctx)
	if err != nil {
		cancel()
		return nil, exit.Dial(o.endpoint, err)
	}
	return &session{Client: c, ctx: ctx, cancel: cancel, runDir: runDir, judging: &judging{options: o, hidden: map[string]*probe.Reader{}}}, nil
}

// within returns the session with the time limit of a command that begins now.
func (s *session) within(ctx context.Context) (limited *session, cancel context.CancelFunc) {
	l := *s
	l.ctx, cancel = context.WithTimeout(ctx, commandTimeout)
	return &l, cancel
}

func (s *session) close() {
	if s.whole != nil {
		s.whole.close()
	}
	s.Close()
	s.cancel()
}

// inspect compares the given ports of a bridge, all if none is given, with its switch.
func (s *session) inspect(b *model.Bridge, ports ...*model.Interface) inspect.Inspection {
	in := inspect.Bridge(s.ctx, b, s.Host().Profiles, s.runDir, ports...)
	if in.Switch != nil {
		in.Switch = exit.Switch(b.Name, s.runDir, in.Switch)
	}
	return in
}

// judge judges an inspected bridge. Of an inspection of one port it does so only when no
// agent works that has reported a state of it: what the agent found is in OVSDB.
func (s *session) judge(in *inspect.Inspection, only ...*model.Interface) {
	if in.Switch != nil {
		return // there is nothing that could be exposed, and the answer says so
	}
	if len(only) == 0 {
		in.Judge(s.ctx, s.Host(), s.reader(in.Bridge.Name))
		return
	}
	if only[0].ExternalIDs[model.KeyStatusState] != "" && s.agentRuns() {
		return
	}
	in.Findings, in.Judged = s.judgeAll(in.Bridge.Name), true
}

// judgeAll judges a bridge by a view of all its ports.
func (s *session) judgeAll(bridge string) []exposure.Finding {
	if s.whole == nil {
		whole, err := s.options.open(s.ctx)
		if err != nil {
			return []exposure.Finding{{Kind: exposure.Unreadable, Severity: exposure.Exposed, All: true, Guest: "may pass around the checks: " + err.Error()}}
		}
		s.whole = whole
	}
	if b := s.whole.Host().Bridge(bridge); b != nil {
		return probe.Judge(s.ctx, s.whole.Host(), b, s.runDir)
	}
	return nil
}

// reader returns what reads the hidden flows of a bridge.
func (s *session) reader(bridge string) *probe.Reader {
	r := s.hidden[bridge]
	if r == nil {
		r = &probe.Reader{RunDir: s.runDir, Bridge: bridge}
		s.hidden[bridge] = r
	}
	return r
}

// agentRuns reports whether an agent works on this Open vSwitch; one that can't be asked for
// doesn't.
func (s *session) agentRuns() bool {
	runs, err := ovsdb.AgentRuns(s.ctx, s.options.endpoint)
	return err == nil && runs
}

// findPort returns an interface by name, or an error that says which there are.
func findPort(h *model.Host, name string) (*model.Bridge, *model.Interface, error) {
	b, i := h.FindInterface(name)
	if i == nil {
		return nil, nil, exit.Errorf(exit.NotFound, "no interface %q on any bridge%s (vifguard status lists the VIFs, ovs-vsctl show all ports)",
			name, exit.DidYouMean(name, portNames(h)))
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
		return nil, exit.Errorf(exit.NotFound, "no bridge %q; Open vSwitch has none at all (make one with: ovs-vsctl add-br %s)", name, name)
	}
	if b, i := h.FindInterface(name); i != nil {
		return nil, exit.Errorf(exit.NotFound, "no bridge %q: it is a port of bridge %s", name, b.Name)
	}
	return nil, exit.Errorf(exit.NotFound, "no bridge %q (there are: %s)%s", name, strings.Join(names, ", "), exit.DidYouMean(name, names))
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
