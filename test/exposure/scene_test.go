package exposure

import (
	"context"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/exposure/probe"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

const bridge = "br0"

// What the VIFs are, and what they would like to be.
var (
	mac1    = lab.MustMAC("52:54:00:00:00:01")
	mac2    = lab.MustMAC("52:54:00:00:00:02")
	foreign = lab.MustMAC("02:00:00:00:00:66")
	ip1     = netip.MustParseAddr("192.0.2.1")
	ip2     = netip.MustParseAddr("192.0.2.2")
	gateway = netip.MustParseAddr("192.0.2.254")
	remote  = netip.MustParseAddr("192.0.2.9") // of controllers and managers
)

// scene is a guarded bridge on a dummy switch with the agent at work: two VIFs under all
// checks, and an uplink.
type scene struct {
	*lab.T
	t *testing.T
}

// ids are the keys of a VIF.
func ids(mac lab.MAC, ip netip.Addr) map[string]string {
	return map[string]string{"attached-mac": model.MAC(mac).String(), "allowed-addresses": ip.String()}
}

func newScene(t *testing.T, settings ...string) *scene {
	t.Helper()
	s := &scene{T: lab.New(t, lab.Options{}), t: t}
	s.MustBridge(bridge, append([]string{"fail_mode=secure", "external_ids:port-security=mac,arp,ip"}, settings...)...)
	s.MustPort(bridge, "vif1", lab.PortOptions{OFPort: 1, ExternalIDs: ids(mac1, ip1)})
	s.MustPort(bridge, "vif2", lab.PortOptions{OFPort: 2, ExternalIDs: ids(mac2, ip2)})
	s.MustPort(bridge, "up", lab.PortOptions{OFPort: 9})
	labagent.Start(t, s.Endpoint())
	s.programmed()
	return s
}

// programmed waits until the switch has exactly the agent's flows.
func (s *scene) programmed() {
	s.t.Helper()
	lab.Eventually(s.t, "the bridge is programmed", func() error { return labagent.Exact(s.t.Context(), s.Switch, bridge) })
}

// udp is a datagram to the world.
func udp(mac lab.MAC, src netip.Addr) []byte {
	return lab.UDPFrame(lab.Broadcast, mac, netip.AddrPortFrom(src, 4000), netip.MustParseAddrPort("192.0.2.200:4000"), make([]byte, 18))
}

// forged is a frame that no VIF may send: neither its MAC nor its address is one's own.
func forged() []byte { return udp(foreign, gateway) }

// passes reports whether a frame from a port leaves the switch at another.
func (s *scene) passes(from string, frame []byte, to string) bool {
	s.t.Helper()
	_, ok := s.MustReach(from, frame)[to]
	return ok
}

// mustPass fails the test unless a frame of vif1 fares as it should: it leaves the switch
// at some port, or at none.
func (s *scene) mustPass(frame []byte, want bool) {
	s.t.Helper()
	if reached := s.MustReach("vif1", frame); (len(reached) > 0) != want {
		s.t.Errorf("the frame reaches %d ports, passes: want %t", len(reached), want)
	}
}

// findings judges the bridge as a command does.
func (s *scene) findings() []exposure.Finding {
	s.t.Helper()
	return findings(s.t, s.Switch)
}

func findings(t *testing.T, sw *lab.Switch) []exposure.Finding {
	t.Helper()
	return findingsIn(t, sw, sw.Dir)
}

func findingsIn(t *testing.T, sw *lab.Switch, runDir string) []exposure.Finding {
	t.Helper()
	c, err := ovsdb.Dial(t.Context(), sw.Endpoint(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	h := c.Host()
	return probe.Judge(t.Context(), h, h.Bridge(bridge), runDir)
}

// find returns the finding of a kind, or nil.
func find(list []exposure.Finding, kind exposure.Kind) *exposure.Finding {
	i := slices.IndexFunc(list, func(f exposure.Finding) bool { return f.Kind == kind })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// everyone is what wants of ports that stand for all VIFs of the bridge.
const everyone = "*"

// mustFind fails the test unless there is a finding of this kind and severity about these
// ports, and no other exposed one.
func (s *scene) mustFind(kind exposure.Kind, severity exposure.Severity, ports ...string) *exposure.Finding {
	s.t.Helper()
	list := s.findings()
	f := find(list, kind)
	if f == nil {
		s.t.Fatalf("no finding of kind %s in %+v", kind, list)
	}
	if f.Severity != severity {
		s.t.Errorf("%s: %s, want %s", kind, f.Severity, severity)
	}
	if all := slices.Equal(ports, []string{everyone}); f.All != all || !all && !slices.Equal(f.Ports, ports) {
		s.t.Errorf("%s concerns %q (all: %t), want %q", kind, f.Ports, f.All, ports)
	}
	for _, other := range list {
		if other.Kind != kind && other.Severity == exposure.Exposed {
			s.t.Errorf("besides: %s", other.Words())
		}
	}
	if text := f.Words(); len(text) > 300 || strings.ContainsAny(text, "\n\t") {
		s.t.Errorf("%d bytes: %q", len(text), text)
	}
	s.t.Log(f.Words())
	return f
}

// mustNotFind fails the test if there is any exposure.
func (s *scene) mustNotFind() {
	s.t.Helper()
	for _, f := range s.findings() {
		if f.Severity == exposure.Exposed {
			s.t.Errorf("a finding remains: %s", f.Words())
		}
	}
}

// close carries out the commands of a finding, word by word as they are written.
func (s *scene) close(f *exposure.Finding) {
	s.t.Helper()
	for _, command := range f.Close {
		runCommand(s.t, s.Switch, command)
	}
}

func runCommand(t *testing.T, sw *lab.Switch, command string) {
	t.Helper()
	program, rest, _ := strings.Cut(command, " ")
	if program == "ovs-vsctl" {
		rest = "--db=" + sw.Endpoint() + " " + rest
	} else if program != "ovs-ofctl" {
		t.Fatalf("%q isn't a command that ends anything", command)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, program, strings.Fields(rest)...)
	cmd.Env = append(cmd.Environ(), "OVS_RUNDIR="+sw.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}
