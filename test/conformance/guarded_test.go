package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
	"github.com/vifguard/vifguard/test/conformance/oracle"
	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	bridge = "br0"
	sink   = "sink" // a trusted port, where frames arrive
)

// guarded is a bridge of a real switch under a running agent.
type guarded struct {
	*lab.T
	injection
	inKernel bool // the datapath
	db       *ovsdb.Client
	conn     *openflow.Conn
	vifs     map[flows.VIFID]string // ports by their cookie's owner
	counted  map[string]tally       // by port, what its counters held last
	keys     map[string]keysOfPort  // by port
}

type keysOfPort map[string]string

// tally counts drops by reason.
type tally map[string]uint64

// guard starts a switch with one port per VIF and an agent, and returns when the
// switch enforces what keys say: the external_ids of each port.
func guard(tb testing.TB, keys map[string]keysOfPort) *guarded {
	tb.Helper()
	lab.Need(tb, lab.OVS)
	datapath := lab.Chosen(lab.Dummy)
	g := &guarded{T: lab.New(tb, lab.Options{Datapath: datapath}), counted: map[string]tally{}, vifs: map[flows.VIFID]string{}, keys: keys, inKernel: datapath.InKernel()}
	g.injection = newInjection(g.T, datapath)
	// Nothing but the verdict may decide what arrives: every accepted frame is flooded,
	// whatever was learned, and those of spanning tree and LLDP too.
	g.MustBridge(bridge, "external_ids:"+model.KeyChecks+"=auto", "flood_vlans="+allVLANs(), "other_config:forward-bpdu=true")
	g.plug(tb, sink, nil)
	for port, ids := range keys {
		g.plug(tb, port, ids)
	}
	labagent.Start(tb, g.Endpoint())
	var err error
	if g.db, err = ovsdb.Dial(tb.Context(), g.Endpoint(), nil); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { g.db.Close() })
	g.settle(tb)
	for _, row := range g.db.Host().Bridge(bridge).Interfaces {
		g.vifs[flows.ParseVIFID(row.UUID)] = row.Name
	}
	if g.conn, err = openflow.Dial(tb.Context(), openflow.ManagementSocket(g.Dir, bridge)); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(g.conn.Close)
	g.start(tb)
	if _, err := g.drops(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return g
}

// settle waits until every port's state says that the switch has confirmed its policy.
func (g *guarded) settle(tb testing.TB) {
	tb.Helper()
	lab.Eventually(tb, "every policy is in force", func() error {
		b := g.db.Host().Bridge(bridge)
		if b == nil {
			return errors.New("no bridge " + bridge)
		}
		in := inspect.Bridge(tb.Context(), b, nil, g.Dir)
		if in.Switch != nil {
			return in.Switch
		}
		done := 0
		for _, p := range in.Ports {
			_, vif := g.keys[p.Row.Name]
			state := model.State(p.Row.ExternalIDs[model.KeyStatusState])
			if vif && p.InForce && state == model.StateOf(&p.Policy) && p.Row.ExternalIDs[model.KeyStatusSeq] == g.keys[p.Row.Name][model.KeySeq] {
				done++
			}
		}
		if done != len(g.keys) {
			return fmt.Errorf("%d of %d", done, len(g.keys))
		}
		return nil
	})
}

// drops returns what was counted since the last call, by port and reason.
func (g *guarded) drops(ctx context.Context) (map[string]tally, error) {
	if err := g.Purge(); err != nil {
		return nil, err
	}
	own, err := g.conn.OwnFlows(ctx)
	if err != nil {
		return nil, err
	}
	now := map[string]tally{}
	for _, f := range own {
		vif, reason, _ := flows.SplitCookie(f.Cookie)
		if reason == model.NoReason || f.Packets == 0 {
			continue
		}
		port := g.vifs[vif] // "" for what no VIF is to blame for
		if now[port] == nil {
			now[port] = tally{}
		}
		now[port][reason.String()] += f.Packets
	}
	fresh := map[string]tally{}
	for port, reasons := range now {
		for reason, n := range reasons {
			if since := n - g.counted[port][reason]; since != 0 {
				if fresh[port] == nil {
					fresh[port] = tally{}
				}
				fresh[port][reason] = since
			}
		}
	}
	g.counted = now
	return fresh, nil
}

// inspected compares the counters with those that the agent shows.
func (g *guarded) inspected(ctx context.Context) error {
	in := inspect.Bridge(ctx, g.db.Host().Bridge(bridge), nil, g.Dir)
	if in.Switch != nil {
		return in.Switch
	}
	for _, p := range in.Ports {
		shown := tally{}
		for reason, n := range p.Drops {
			if n > 0 {
				shown[reason.String()] = n
			}
		}
		if !maps.Equal(shown, g.counted[p.Row.Name]) {
			return fmt.Errorf("port %s: the agent shows %v, the switch counted %v", p.Row.Name, shown, g.counted[p.Row.Name])
		}
	}
	return nil
}

// delivered returns how a frame that was accepted arrives, without tags of VID 0 in
// front, or nil for one whose tag is incomplete, which NORMAL discards.
func delivered(frame []byte) []byte {
	if t, _ := oracle.TypeOf(frame[12:]); oracle.IsTag(t) && (!oracle.IsTag(be(frame[12:])) || len(frame) < 18) {
		return nil
	}
	return untagged(frame)
}

// untagged removes the tags of VID 0 in front of a frame. Trunk ports of Open vSwitch
// remove the outermost one if its priority is 0 too, but not if the frame meets a
// megaflow that one with another priority has left.
func untagged(frame []byte) []byte {
	for oracle.IsTag(be(frame[12:])) && len(frame) >= 18 && be(frame[14:])&0xfff == 0 {
		frame = slices.Concat(frame[:12], frame[16:])
	}
	return withoutOption(frame)
}

// outcome is what the switch did with a frame: how often it arrived, out of how often
// it would arrive when accepted, and how it was counted.
type outcome struct {
	arrived, possible int
	drops             tally
}

// verdict writes an outcome in the words of the table. observe says that a frame
// passes and is counted.
func (o outcome) verdict(observe bool) string {
	total := uint64(0)
	for _, n := range o.drops {
		total += n
	}
	switch {
	case total == 0 && o.arrived == o.possible:
		return Pass
	case total == repeats && len(o.drops) == 1 && (o.arrived == 0 && !observe || o.arrived == o.possible && observe):
		for reason := range o.drops {
			return reason
		}
	}
	return fmt.Sprintf("sent %d times, arrived %d times, counted as %v", repeats, o.arrived, o.drops)
}

// repeats is how often each frame is sent. The first one is judged by the OpenFlow
// tables, a later one by what that left in the megaflow cache.
const repeats = 2

// round injects one frame at each of several ports, repeatedly, and returns what became
// of each. No two may look the same on arrival.
func (g *guarded) round(ctx context.Context, sent map[string][]byte) (map[string]outcome, error) {
	for n := range repeats {
		if n > 0 {
			if err := g.installed(ctx); err != nil {
				return nil, err
			}
		}
		for port, frame := range sent {
			if err := g.inject(port, frame); err != nil {
				return nil, err
			}
		}
	}
	arrived, drops, err := g.collect(ctx)
	if err != nil {
		return nil, err
	}
	outcomes := map[string]outcome{}
	for port, frame := range sent {
		o := outcome{drops: drops[port]}
		if d := delivered(frame); d != nil {
			o.possible, o.arrived = repeats, arrived[string(d)]
			delete(arrived, string(d))
		}
		outcomes[port] = o
	}
	for frame := range arrived {
		return nil, fmt.Errorf("arrived without having been sent: %x", frame)
	}
	return outcomes, nil
}

// collect waits until the switch has processed everything, and returns what arrived
// and what was counted, by port and reason, since the last call.
func (g *guarded) collect(ctx context.Context) (arrived map[string]int, drops map[string]tally, err error) {
	fresh, err := g.injection.collect(ctx)
	if err != nil {
		return nil, nil, err
	}
	arrived = map[string]int{}
	for _, f := range fresh {
		arrived[string(untagged(f))]++
	}
	drops, err = g.drops(ctx)
	return arrived, drops, err
}

// hexes writes frames one per line.
func hexes(frames [][]byte) string {
	text := ""
	for _, f := range frames {
		text += fmt.Sprintf("\n%x", f)
	}
	return text
}

// allVLANs lists every VID.
func allVLANs() string {
	vids := make([]string, 4096)
	for vid := range vids {
		vids[vid] = strconv.Itoa(vid)
	}
	return strings.Join(vids, ",")
}
