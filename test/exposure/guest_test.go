package exposure

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/exposure/probe"
	"github.com/vifguard/vifguard/ovsdb"
	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

// host is a switch with real packets, a guest under all checks that has taken the
// controller's and the manager's address, and the host's own address on the bridge.
type host struct {
	*scene
	guest *lab.Guest
}

const hostAddress = "192.0.2.254/24"

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{scene: &scene{T: lab.New(t, lab.Options{Datapath: lab.Userspace}), t: t}}
	h.MustBridge(bridge, "fail_mode=secure", "external_ids:port-security=mac,arp,ip")
	h.inHost("ip", "address", "add", hostAddress, "dev", bridge)
	h.inHost("ip", "link", "set", bridge, "up")
	h.guest = h.MustGuest(bridge, lab.GuestOptions{Name: "vif1", MAC: mac1, Quiet: true, OFPort: 1, ExternalIDs: ids(mac1, ip1),
		Addresses: []netip.Prefix{netip.PrefixFrom(ip1, 24), netip.PrefixFrom(remote, 24)}})
	return h
}

// inHost runs a program in the namespace of the switch.
func (h *host) inHost(args ...string) {
	h.t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--net=" + h.Netns().Path()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// takeAddress makes the guest listen at the remote's address, and returns a function that
// reports who connects within some time.
func (h *host) takeAddress(port uint16) (accept func(time.Duration) net.Conn) {
	h.t.Helper()
	var l *net.TCPListener
	err := h.guest.Netns().Do(func() error {
		var err error
		l, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(remote, port)))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { l.Close() })
	return func(patience time.Duration) net.Conn {
		_ = l.SetDeadline(time.Now().Add(patience))
		conn, err := l.Accept()
		if err != nil {
			return nil
		}
		h.t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		return conn
	}
}

const (
	patience = 20 * time.Second // for a connection that must come
	silence  = 5 * time.Second  // in which one that is tried every second would have come
)

// helloAndAllow is what the guest says to a switch: OFPT_HELLO of OpenFlow 1.3, and a
// flow above everything else whose action is NORMAL.
func helloAndAllow() []byte {
	hello := []byte{4, 0, 0, 8, 0, 0, 0, 1}
	mod := make([]byte, 80)
	copy(mod, []byte{4, 14, 0, 80, 0, 0, 0, 2})
	mod[15] = 1                                                            // its cookie
	mod[30], mod[31] = 0xff, 0xff                                          // priority 65535
	copy(mod[32:], []byte{0xff, 0xff, 0xff, 0xff})                         // no buffer
	copy(mod[36:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) // any port and group
	copy(mod[48:], []byte{0, 1, 0, 4, 0, 0, 0, 0})                         // an empty match
	copy(mod[56:], []byte{0, 4, 0, 24, 0, 0, 0, 0})                        // apply actions
	copy(mod[64:], []byte{0, 0, 0, 16, 0xff, 0xff, 0xff, 0xfa})            // NORMAL
	return append(hello, mod...)
}

func (h *host) setController() {
	h.t.Helper()
	h.MustVsctl("set-controller", bridge, fmt.Sprintf("tcp:%s:6653", remote), "--", "set", "Controller", bridge, "max_backoff=1000")
}

// TestGuestBecomesController: a guest under all checks takes the controller's address and
// programs the bridge; without in-band control the bridge never finds it.
func TestGuestBecomesController(t *testing.T) {
	h := newHost(t)
	labagent.Start(t, h.Endpoint())
	h.programmed()
	accept := h.takeAddress(6653)
	h.setController()
	conn := accept(patience)
	if conn == nil {
		t.Fatal("the bridge doesn't connect to the guest, so this shows nothing")
	}
	if _, err := conn.Write(helloAndAllow()); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "the guest's flow is in the bridge", func() error {
		dump := h.MustOfctl("dump-flows", bridge)
		if !strings.Contains(dump, "priority=65535 actions=NORMAL") {
			return fmt.Errorf("the flows are\n%s", dump)
		}
		return nil
	})
	f := find(h.findings(), exposure.InBand)
	if f == nil {
		t.Fatal("no finding")
	}
	conn.Close()
	h.MustVsctl("del-controller", bridge)
	h.MustOfctl("del-flows", bridge, "cookie=1/-1")
	h.close(f)
	h.setController()
	if conn := accept(silence); conn != nil {
		t.Error("the bridge still connects to the guest")
	}
	h.mustNotFind()
}

// TestGuestBecomesManager: a guest under all checks takes the manager's address and lifts
// its own checks; without in-band control ovsdb-server never finds it.
func TestGuestBecomesManager(t *testing.T) {
	h := newHost(t)
	h.MustRun(h.KillOVSDB)
	h.ownOVSDB()
	labagent.Start(t, h.Endpoint())
	h.programmed()
	accept := h.takeAddress(6640)
	h.MustVsctl("set-manager", fmt.Sprintf("tcp:%s:6640", remote), "--", "set", "Manager", ".", "max_backoff=1000")
	conn := accept(patience)
	if conn == nil {
		t.Fatal("ovsdb-server doesn't connect to the guest, so this shows nothing")
	}
	lift := `{"id":1,"method":"transact","params":["Open_vSwitch",{"op":"mutate","table":"Interface","where":[["name","==","vif1"]],` +
		`"mutations":[["external_ids","insert",["map",[["port-security","off"]]]]]}]}`
	if _, err := io.WriteString(conn, lift); err != nil {
		t.Fatal(err)
	}
	labagent.Await(t, h.T, "vif1", "state=off")
	h.MustSetIDs("vif1", map[string]string{"port-security": ""})
	h.programmed()
	f := find(h.findings(), exposure.InBand)
	if f == nil {
		t.Fatal("no finding")
	}
	conn.Close()
	h.MustVsctl("del-manager")
	h.close(f)
	h.MustVsctl("set-manager", fmt.Sprintf("tcp:%s:6640", remote), "--", "set", "Manager", ".", "max_backoff=1000")
	if conn := accept(silence); conn != nil {
		t.Error("ovsdb-server still connects to the guest")
	}
	h.mustNotFind()
}

// ownOVSDB starts an ovsdb-server on the same database that uses the namespace of the
// switch and connects to its managers.
func (h *host) ownOVSDB() {
	h.t.Helper()
	cmd := exec.Command("nsenter", "--net="+h.Netns().Path(), "ovsdb-server", filepath.Join(h.Dir, "conf.db"),
		"--remote=p"+h.Endpoint(), "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
		"--unixctl="+filepath.Join(h.Dir, "own.ctl"), "--pidfile="+filepath.Join(h.Dir, "own.pid"), "-vconsole:off", "-vsyslog:off")
	p, err := lab.StartProgram(cmd)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			h.t.Error(err)
		}
	})
	lab.Eventually(h.t, "ovsdb-server listens", func() error {
		conn, err := net.Dial("unix", filepath.Join(h.Dir, "db.sock"))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = io.WriteString(conn, `{"id":1,"method":"echo","params":[]}`)
		if err == nil {
			err = json.NewDecoder(bufio.NewReader(conn)).Decode(new(any))
		}
		return err
	})
}

// vxlan wraps a frame for the tunnel's endpoint on the host.
func (h *host) vxlan(src netip.Addr, inner []byte) []byte {
	header := []byte{8, 0, 0, 0, 0, 0, 5, 0} // RFC 7348 section 5: VNI 5
	to := lab.MustMAC(strings.Trim(strings.TrimSpace(h.MustVsctl("get", "Interface", bridge, "mac_in_use")), `"`))
	return lab.UDPFrame(to, mac1, netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(netip.MustParsePrefix(hostAddress).Addr(), 4789), header, inner)
}

// TestTunnel: what a guest wraps for an endpoint that it can reach comes out of the tunnel
// as anybody's.
func TestTunnel(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br1")
	sink := h.MustGuest("br1", lab.GuestOptions{Name: "sink", MAC: lab.MustMAC("52:54:00:00:00:99"), Quiet: true})
	h.MustPort("br1", "vx0", lab.PortOptions{Type: "vxlan", Options: map[string]string{"remote_ip": "flow", "key": "5"}})
	labagent.Start(t, h.Endpoint())
	h.programmed()
	// The addresses are known afterwards, whether somebody answers or not.
	if _, _, err := h.guest.Run(t.Context(), "ping", "-c", "1", "-W", "2", netip.MustParsePrefix(hostAddress).Addr().String()); err != nil {
		t.Fatal(err)
	}
	arrives := func() bool {
		t.Helper()
		l := h.MustListen(sink.NIC)
		inner, trailer := lab.Mark(forged())
		for range 20 {
			if err := h.guest.Send(h.vxlan(ip1, inner)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
			frames, err := l.Frames()
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(frames, lab.HasTrailer(trailer)) {
				return true
			}
		}
		return false
	}
	if !arrives() {
		t.Fatal("a wrapped frame doesn't come out of the tunnel, so this shows nothing")
	}
	f := find(h.there(), exposure.Tunnel)
	if f == nil || f.Severity != exposure.Exposed || !f.All {
		t.Fatalf("finding: %+v", f)
	}
	t.Log(f.Words())
	// From the peer alone: a guest whose address is checked can't pass for it.
	h.MustVsctl("set", "Interface", "vx0", "options:remote_ip=192.0.2.77")
	if arrives() {
		t.Error("a wrapped frame from the guest's own address comes out of the tunnel")
	}
	if f := find(h.there(), exposure.Tunnel); f != nil {
		t.Errorf("finding: %s", f.Words())
	}
	h.MustSetIDs("vif1", map[string]string{"port-security": "mac,arp"})
	h.programmed()
	if f := find(h.there(), exposure.Tunnel); f == nil || len(f.Ports) != 1 || f.Ports[0] != "vif1" {
		t.Errorf("a guest that may use any address: %+v", f)
	}
}

// there judges as a command on the host does, which sees the host's addresses.
func (h *host) there() (list []exposure.Finding) {
	h.t.Helper()
	c, err := ovsdb.Dial(h.t.Context(), h.Endpoint(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	err = h.Netns().Do(func() error {
		host := c.Host()
		list = probe.Judge(h.t.Context(), host, host.Bridge(bridge), h.Dir)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}
