package fault

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

// programDir is where vifguard is built; it needn't exist.
func programDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("vifguard-fault-%d", os.Getpid()))
}

// program is the path of vifguard: one that lies beside the test, otherwise one that is
// built once.
var program = sync.OnceValues(func() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "vifguard")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path := filepath.Join(programDir(), "vifguard")
	if err := lab.GoBuild(path, "../../cmd/vifguard"); err != nil {
		return "", err
	}
	// The agent's unprivileged user may open it.
	return path, os.Chmod(programDir(), 0o755)
})

func TestMain(m *testing.M) {
	if endpoint := os.Getenv(sampledEnv); endpoint != "" {
		if err := runSampled(endpoint); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	status := m.Run()
	os.RemoveAll(programDir())
	if status == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// scene is a switch with guests, of which one only listens, and the agent as a process
// of its own.
type scene struct {
	*lab.T
	t     *testing.T
	vms   []*vm
	sink  *lab.Guest
	agent *lab.Program
	log   lab.Log
	flags []string // of the agent

	credential *syscall.Credential // of the agent; nil: the test's own
	cutter     *cutter             // between agent and switch, where there is one
	traffic    *lab.Traffic
}

// vm is a guest and what it may be.
type vm struct {
	*lab.Guest
	ip4, ip6 netip.Addr
	own      map[string]string // external_ids
}

// guests are the guests' names; each has its own MAC and addresses.
var guests = []string{"vm1", "vm2", "vm3"}

const bridge = "br0"

// newScene starts a switch whose bridge isn't guarded yet.
func newScene(t *testing.T, settings ...string) *scene {
	t.Helper()
	s := &scene{T: lab.New(t, lab.Options{Datapath: lab.Chosen(lab.Userspace)}), t: t}
	t.Cleanup(func() {
		if err := s.agent.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the agent's log:\n%s", s.log.String())
		}
	})
	s.MustBridge(bridge, settings...)
	s.sink = s.MustGuest(bridge, lab.GuestOptions{Name: "sink", MAC: lab.MustMAC("52:54:00:00:00:99"), Quiet: true})
	for n, name := range guests {
		s.plug(name, n+1)
	}
	return s
}

// plug adds the guest number n.
func (s *scene) plug(name string, n int) *vm {
	s.t.Helper()
	v := &vm{ip4: ip(fmt.Sprintf("192.0.2.%d", n)), ip6: ip(fmt.Sprintf("2001:db8::%d", n))}
	mac := lab.MAC{0x52, 0x54, 0, 0, 0, byte(n)}
	v.own = map[string]string{"attached-mac": model.MAC(mac).String(), "allowed-addresses": v.ip4.String() + "," + v.ip6.String()}
	v.Guest = s.MustGuest(bridge, lab.GuestOptions{Name: name, MAC: mac, Quiet: true, OFPort: 10 + n, ExternalIDs: v.own})
	s.vms = append(s.vms, v)
	return v
}

// keys returns a copy of what v's interface says of it.
func (v *vm) keys() map[string]string { return maps.Clone(v.own) }

// guard opts the bridge in, starts the agent and waits until everything is in force.
func (s *scene) guard(keys ...string) {
	s.t.Helper()
	labagent.Guard(s.T, bridge, keys...)
	s.start()
	s.awaitExact()
	for _, v := range s.vms {
		s.await(v.Name, "state=enforced")
	}
}

// start starts the agent.
func (s *scene) start() {
	s.t.Helper()
	path, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"run", "--ovsdb", s.Endpoint(), "--metrics-address", ""}, s.flags...)...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	if s.agent, err = lab.StartProgram(cmd); err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the agent without a chance to do anything; stop asks it to end.
func (s *scene) kill() { s.t.Helper(); s.MustRun(s.agent.Kill) }
func (s *scene) stop() { s.t.Helper(); s.MustRun(s.agent.Stop) }

// streams are the frames that every guest sends: its own in all shapes, and lies.
func (s *scene) streams() []lab.Stream {
	var all []lab.Stream
	for n, v := range s.vms {
		all = append(all, v.honest(s.sink.MAC)...)
		all = append(all, v.lies(s.sink.MAC, s.vms[(n+1)%len(s.vms)])...)
	}
	return all
}

func (v *vm) honest(to lab.MAC) []lab.Stream {
	return []lab.Stream{
		{Kind: "udp4", From: v.NIC, Frame: udp(to, v.MAC, v.ip4)},
		{Kind: "udp6", From: v.NIC, Frame: udp(to, v.MAC, v.ip6)},
		{Kind: "arp", From: v.NIC, Frame: lab.GratuitousARP(v.MAC, v.ip4)},
		{Kind: "na", From: v.NIC, Frame: advertise(v.MAC, v.ip6)},
	}
}

// lies are what v would send to pass for another guest.
func (v *vm) lies(to lab.MAC, as *vm) []lab.Stream {
	return []lab.Stream{
		{Kind: "foreign mac", Spoofed: true, From: v.NIC, Frame: udp(to, as.MAC, v.ip4)},
		{Kind: "foreign ip4", Spoofed: true, From: v.NIC, Frame: udp(to, v.MAC, as.ip4)},
		{Kind: "foreign ip6", Spoofed: true, From: v.NIC, Frame: udp(to, v.MAC, as.ip6)},
		{Kind: "arp lie", Spoofed: true, From: v.NIC, Frame: lab.GratuitousARP(v.MAC, as.ip4)},
		{Kind: "na lie", Spoofed: true, From: v.NIC, Frame: advertise(v.MAC, as.ip6)},
	}
}

// udp is a datagram that leaves the receiver's own stack silent.
func udp(to, from lab.MAC, src netip.Addr) []byte {
	dst := ip("192.0.2.200")
	if src.Is6() {
		dst = ip("2001:db8::200")
	}
	return lab.UDPFrame(to, from, netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(dst, 4000), make([]byte, 18))
}

// advertise is an unsolicited neighbour advertisement.
func advertise(mac lab.MAC, addr netip.Addr) []byte {
	const override = 0x20
	allNodes := lab.AllNodes
	return lab.IPFrame(lab.GroupMAC(allNodes), mac, lab.NA(addr, allNodes, override, addr, lab.TargetLL(mac)))
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// mustPass fails the test unless a datagram from an address fares as it should.
func (s *scene) mustPass(v *vm, src netip.Addr, want bool) {
	s.t.Helper()
	s.MustPurge()
	sentinel := udp(s.sink.MAC, v.MAC, lab.LinkLocal(v.MAC)) // allowed to every VIF
	if got := s.MustPass(v.NIC, udp(s.sink.MAC, v.MAC, src), sentinel, s.MustListen(s.sink.NIC)); got != want {
		s.t.Errorf("a datagram of %s from %s passes: %t, want %t", v.Name, src, got, want)
	}
}

// rest lets the traffic run in a state in which nothing should happen.
func (s *scene) rest() { pause(time.Second) }

// pause is part of a fault that lasts some time, never a way to wait for something.
func pause(d time.Duration) { <-time.After(d) }

// run sends the streams from now on, and returns when they arrive.
func (s *scene) run(streams []lab.Stream) {
	s.t.Helper()
	var err error
	if s.traffic, err = s.StartTraffic(s.sink.NIC, streams...); err != nil {
		s.t.Fatal(err)
	}
	s.flowing()
}

// flowing is how many frames of a stream show that it flows.
const flowing = 5

// flowing waits until every honest stream has brought a number of frames more.
func (s *scene) flowing() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.traffic.Flowing(ctx, flowing); err != nil {
		s.t.Fatal(err)
	}
}

// patience bounds every wait.
const patience = 60 * time.Second

// wait is lab.Eventually with a scene's patience.
func (s *scene) wait(what string, cond func() error) {
	s.t.Helper()
	lab.EventuallyWithin(s.t, patience, what, cond)
}

// await waits until an interface's status keys are these; "" means absent.
func (s *scene) await(port string, want ...string) {
	s.t.Helper()
	s.wait(fmt.Sprintf("%s to report %v", port, want), func() error { return labagent.Reports(s.Switch, port, want...) })
}

// awaitLog waits until the agent has logged something since the last reset.
func (s *scene) awaitLog(text string) {
	s.t.Helper()
	s.wait("the agent to log "+text, func() error {
		if !strings.Contains(s.log.String(), text) {
			return fmt.Errorf("its log:\n%s", s.log.String())
		}
		return nil
	})
}

// awaitExact waits until the switch has exactly what OVSDB asks for.
func (s *scene) awaitExact() {
	s.t.Helper()
	s.wait("exactly the right flows", s.exact)
}

// exact tells what the switch has that OVSDB doesn't ask for, or lacks.
func (s *scene) exact() error {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	return labagent.Exact(ctx, s.Switch, bridge)
}
