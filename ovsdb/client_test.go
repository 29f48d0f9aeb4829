package ovsdb

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vifguard/vifguard/model"
)

func TestHost(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br1 -- add-br br0",
		"-- set Bridge br0 fail_mode=secure protocols=OpenFlow13,OpenFlow10 external_ids:port-security=auto",
		"-- add-port br0 tap1 -- set Interface tap1 ofport=7 external_ids:attached-mac=02:00:00:00:00:01",
		"-- add-port br0 failed -- set Interface failed ofport=-1 type=vxlan",
		"-- add-port br0 fresh",
		"-- add-port br0 top -- set Interface top ofport=4294967039",
		"-- add-bond br0 bond0 eth1 eth0 -- set Interface eth0 ofport=1",
		"-- set Interface br0 ofport=65534",
		"-- set Open_vSwitch . external_ids:port-security-profile-fw=checks=mac,arp external_ids:system-id=h1",
		"external_ids:port-security-profile-=nameless")
	c := s.dial()
	none := map[string]string{}
	want := &model.Host{
		Facts:    &model.HostFacts{},
		Profiles: map[string]string{"fw": "checks=mac,arp"},
		Bridges: []*model.Bridge{{
			Name: "br0", FailMode: "secure", Protocols: []string{"OpenFlow10", "OpenFlow13"},
			ExternalIDs: map[string]string{"port-security": "auto"},
			Interfaces: []*model.Interface{
				{Name: "br0", Port: "br0", Type: "internal", OFPort: 0xfffffffe, ExternalIDs: none},
				{Name: "eth0", Port: "bond0", OFPort: 1, ExternalIDs: none},
				{Name: "eth1", Port: "bond0", ExternalIDs: none},
				{Name: "failed", Port: "failed", Type: "vxlan", ExternalIDs: none},
				{Name: "fresh", Port: "fresh", ExternalIDs: none},
				{Name: "tap1", Port: "tap1", OFPort: 7, ExternalIDs: map[string]string{"attached-mac": "02:00:00:00:00:01"}},
				{Name: "top", Port: "top", OFPort: 0xfffffeff, ExternalIDs: none},
			},
		}, {
			Name: "br1", ExternalIDs: none,
			Interfaces: []*model.Interface{{Name: "br1", Port: "br1", Type: "internal", ExternalIDs: none}},
		}},
	}
	ignore := cmp.Options{
		cmpopts.IgnoreFields(model.Bridge{}, "UUID"), cmpopts.IgnoreFields(model.Interface{}, "UUID", "Facts.PortUUID"), cmpopts.EquateEmpty(),
	}
	if diff := cmp.Diff(want, c.Host(), ignore); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, want := find(c.Host(), "tap1").UUID, s.vsctl("get Interface tap1 _uuid"); got != want {
		t.Errorf("UUID %s, want %s", got, want)
	}
	if got, want := c.RootUUID(), s.vsctl("get Open_vSwitch . _uuid"); got != want {
		t.Errorf("RootUUID %s, want %s", got, want)
	}
	if first, second := c.Host(), c.Host(); first != second {
		t.Error("an unchanged host is another value")
	}
}

// settled returns the view once no event has come for a while: one seen in the middle
// of an update may show part of it.
func settled(c *Client) *model.Host {
	for {
		select {
		case <-c.Changed():
		case <-time.After(50 * time.Millisecond):
			return c.Host()
		}
	}
}

// Each step changes one thing and says which interfaces of br0 may be new values.
func TestHostFollowsChanges(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br0 -- add-br br1 -- add-port br0 tap1 -- add-port br0 tap2 -- add-port br0 tap3")
	c := s.dial()
	steps := []struct {
		cmd  string
		ok   func(*model.Host) bool
		new  string // names, separated by spaces
		same bool   // br0's pointer stays
	}{
		{"set Interface tap2 external_ids:a=b", func(h *model.Host) bool { return id(h, "tap2", "a") == "b" }, "tap2", false},
		{"set Interface tap2 ofport=9", func(h *model.Host) bool { return find(h, "tap2").OFPort == 9 }, "tap2", false},
		{"clear Interface tap2 ofport", func(h *model.Host) bool { return find(h, "tap2").OFPort == 0 }, "tap2", false},
		{"add-port br0 tap0", func(h *model.Host) bool { return find(h, "tap0") != nil }, "tap0", false},
		{"del-port tap3", func(h *model.Host) bool { return find(h, "tap3") == nil }, "", false},
		{"set Bridge br0 fail_mode=secure", func(h *model.Host) bool { return h.Bridge("br0").FailMode == "secure" }, "", false},
		{"set Bridge br0 protocols=OpenFlow13", func(h *model.Host) bool { return len(h.Bridge("br0").Protocols) == 1 }, "", false},
		{"clear Bridge br0 fail_mode", func(h *model.Host) bool { return h.Bridge("br0").FailMode == "" }, "", false},
		{"set-controller br0 punix:unused.ctl", func(h *model.Host) bool { return h.Bridge("br0").HasController }, "", false},
		{"del-controller br0", func(h *model.Host) bool { return !h.Bridge("br0").HasController }, "", false},
		{"set Open_vSwitch . external_ids:ovn-remote=unix:sb", func(h *model.Host) bool { return h.OVNBridge == "br-int" }, "", true},
		{"set Open_vSwitch . external_ids:ovn-bridge=br1", func(h *model.Host) bool { return h.OVNBridge == "br1" }, "", true},
		{"remove Open_vSwitch . external_ids ovn-remote", func(h *model.Host) bool { return h.OVNBridge == "" }, "", true},
		{"add-port br1 other", func(h *model.Host) bool { return find(h, "other") != nil }, "", true},
		{"add-br br2", func(h *model.Host) bool { return h.Bridge("br2") != nil }, "", true},
		{"del-br br2", func(h *model.Host) bool { return h.Bridge("br2") == nil }, "", true},
		{"set Open_vSwitch . external_ids:port-security-profile-x=y", func(h *model.Host) bool { return h.Profiles["x"] == "y" }, "", true},
		{"remove Open_vSwitch . external_ids port-security-profile-x", func(h *model.Host) bool { return len(h.Profiles) == 0 }, "", true},
		{"add-bond br0 bond0 s1 s2", func(h *model.Host) bool { return find(h, "s2") != nil }, "s1 s2", false},
		{"del-port bond0 -- add-port br0 s1", func(h *model.Host) bool {
			i := find(h, "s1")
			return i != nil && i.Port == "s1" && find(h, "s2") == nil
		}, "s1", false},
		{"set Port tap2 other_config:stp-enable=false", func(h *model.Host) bool { return find(h, "tap2").Facts.NoSTP() }, "tap2", false},
		{"set Port tap2 lacp=active", func(h *model.Host) bool { return find(h, "tap2").Facts.LACP }, "tap2", false},
		{"set Port tap2 lacp=off", func(h *model.Host) bool { return !find(h, "tap2").Facts.LACP }, "tap2", false},
		{"set Interface tap2 bfd:enable=TRUE", func(h *model.Host) bool { return find(h, "tap2").Facts.BFD }, "tap2", false},
		{"set Interface tap2 cfm_mpid=0", func(h *model.Host) bool { return find(h, "tap2").Facts.CFM }, "tap2", false},
		{"set Interface tap2 lldp:enable=true", func(h *model.Host) bool { return find(h, "tap2").Facts.LLDP }, "tap2", false},
		{"set Interface tap2 options:remote_ip=flow options:local_ip=192.0.2.1", func(h *model.Host) bool {
			f := find(h, "tap2").Facts
			return f.RemoteIP == "flow" && f.LocalIP == "192.0.2.1"
		}, "tap2", false},
		{"set Bridge br0 stp_enable=true", func(h *model.Host) bool { return h.Bridge("br0").Facts.STP }, "", false},
		{"set Bridge br0 rstp_enable=true", func(h *model.Host) bool { return h.Bridge("br0").Facts.RSTP }, "", false},
		{"set Bridge br0 mcast_snooping_enable=true", func(h *model.Host) bool { return h.Bridge("br0").Facts.McastSnooping }, "", false},
		{"set Bridge br0 datapath_type=netdev", func(h *model.Host) bool { return h.Bridge("br0").Facts.DatapathType == "netdev" }, "", false},
		{"set Bridge br0 other_config:disable-in-band=true", func(h *model.Host) bool { return h.Bridge("br0").Facts.NoInBand() }, "", false},
		{"set-controller br0 tcp:192.0.2.9 ptcp:1", func(h *model.Host) bool {
			return slices.Equal(h.Bridge("br0").Facts.Controllers, []model.Remote{{Target: "ptcp:1", Service: true}, {Target: "tcp:192.0.2.9"}})
		}, "", false},
		{"set-controller br0 tcp:192.0.2.9", func(h *model.Host) bool { return len(h.Bridge("br0").Facts.Controllers) == 1 }, "", false},
		{"set Controller br0 is_connected=true", func(h *model.Host) bool { return h.Bridge("br0").Facts.Controllers[0].Connected }, "", false},
		{"set Controller br0 type=service", func(h *model.Host) bool { return h.Bridge("br0").Facts.Controllers[0].Service }, "", false},
		{"set Controller br0 connection_mode=out-of-band", func(h *model.Host) bool { return h.Bridge("br0").Facts.Controllers[0].OutOfBand }, "", false},
		{"del-controller br0", func(h *model.Host) bool { return len(h.Bridge("br0").Facts.Controllers) == 0 }, "", false},
		{"-- --id=@m create Mirror name=m -- set Bridge br0 mirrors=@m", func(h *model.Host) bool {
			m := h.Bridge("br0").Facts.Mirrors
			return len(m) == 1 && m[0].Output == ""
		}, "", false},
		{"-- --id=@p get Port tap2 -- --id=@q get Port tap0 -- set Mirror m output_port=@p select_src_port=@q,@p", func(h *model.Host) bool {
			m := h.Bridge("br0").Facts.Mirrors[0]
			return m.Output == "tap2" && slices.Equal(m.From, []string{"tap0", "tap2"})
		}, "", false},
		{"set Mirror m select_all=true output_vlan=7", func(h *model.Host) bool {
			m := h.Bridge("br0").Facts.Mirrors[0]
			return m.All && m.OutputVLAN == 7
		}, "", false},
		{"del-port tap0", func(h *model.Host) bool { return len(h.Bridge("br0").Facts.Mirrors[0].From) == 1 }, "", false},
		{"set-manager ptcp:9:127.0.0.1", func(h *model.Host) bool { return len(h.Facts.Managers) == 1 }, "", true},
		{"set Open_vSwitch . other_config:vlan-limit=2 other_config:hw-offload=true other_config:tc-policy=skip_hw", func(h *model.Host) bool {
			return h.Facts.VLANLimit == "2" && h.Facts.HWOffload == "true" && h.Facts.TCPolicy == "skip_hw"
		}, "", true},
		{"-- --id=@d create Datapath datapath_version=1 capabilities:recirc=true -- set Open_vSwitch . datapaths:system=@d", func(h *model.Host) bool {
			return h.Facts.Capabilities["system"]["recirc"] == "true"
		}, "", true},
		{"del-port tap1 -- add-port br1 tap1", func(h *model.Host) bool { b, _ := h.FindInterface("tap1"); return b != nil && b.Name == "br1" }, "", false},
	}
	for _, step := range steps {
		before := c.Host()
		s.vsctl(step.cmd)
		s.wait(c, step.cmd, step.ok)
		after := settled(c)
		br := after.Bridge("br0")
		if same := br == before.Bridge("br0"); same != step.same {
			t.Errorf("%s: br0's pointer stayed: %t", step.cmd, same)
		}
		for _, i := range br.Interfaces {
			if i != find(before, i.Name) && !strings.Contains(" "+step.new+" ", " "+i.Name+" ") {
				t.Errorf("%s: %s is a new value", step.cmd, i.Name)
			}
		}
		c.Resync()
		if again := c.Host(); again != after {
			t.Errorf("%s: reading all again differs:\n%s\nfrom\n%s", step.cmd, dump(again), dump(after))
		}
	}
}

func TestOnlyNamedColumnsAreMonitored(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br0 -- add-port br0 tap1")
	c := s.dial()
	// Events come in order: behind this one there is none of before.
	s.vsctl("set Bridge br0 external_ids:mark=1")
	h := s.wait(c, "the first mark", func(h *model.Host) bool { return h.Bridge("br0").ExternalIDs["mark"] == "1" })
	s.vsctl("set Interface tap1 statistics:rx_packets=1 mtu_request=1400")
	s.vsctl("set Port tap1 tag=5")
	s.vsctl("set Open_vSwitch . statistics:x=y next_cfg=7")
	s.vsctl("set Bridge br0 external_ids:mark=2")
	var got dirty
	for got.empty() {
		select {
		case <-c.Changed():
		case <-time.After(patience):
			t.Fatal("no event")
		}
		c.dirtyMu.Lock()
		got = c.dirty
		c.dirtyMu.Unlock()
	}
	want := dirty{bridges: map[string]struct{}{h.Bridge("br0").UUID: {}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(dirty{})); diff != "" {
		t.Errorf("events for columns nobody reads, -want +got:\n%s", diff)
	}
}

func TestEmptyDatabase(t *testing.T) {
	s := newServer(t)
	s.start()
	c := s.dial()
	if h := c.Host(); len(h.Bridges) != 0 || c.RootUUID() != "" {
		t.Errorf("host of an empty database:\n%s", dump(h))
	}
	s.vsctl("add-br br0")
	s.wait(c, "the first bridge", func(h *model.Host) bool { return h.Bridge("br0") != nil })
}

func TestDialErrors(t *testing.T) {
	s := startServer(t)
	dead := s.path("dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	other := &server{tb: t, dir: s.path("o")}
	if err := os.Mkdir(other.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	schema := other.path("schema")
	if err := os.WriteFile(schema, []byte(`{"name":"Other","version":"1.0.0","tables":{"T":{"columns":{"c":{"type":"string"}}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	other.run("ovsdb-tool", "create", other.path("db"), schema)
	other.start()
	for _, tt := range []struct {
		endpoint string
		cause    error
		text     string
	}{
		{"unix:" + s.path("nothing"), fs.ErrNotExist, "doesn't exist"},
		{"unix:" + dead, syscall.ECONNREFUSED, "no ovsdb-server listens"},
		{other.endpoint(), ErrNoDatabase, "no Open_vSwitch database"},
		{"unix:relative", nil, "absolute path"},
		{"punix:/x", nil, "want unix:PATH"},
		{"tcp:", nil, "want tcp:HOST:PORT"},
	} {
		c, err := Dial(context.Background(), tt.endpoint, nil)
		if err == nil {
			c.Close()
			t.Errorf("Dial %s: no error", tt.endpoint)
			continue
		}
		if tt.cause != nil && !errors.Is(err, tt.cause) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("Dial %s: %v; want %q wrapping %v", tt.endpoint, err, tt.text, tt.cause)
		}
	}
}

func TestDialPermission(t *testing.T) {
	if os.Getuid() == 0 {
		// Root may open any socket: what is left to check is the sentence.
		err := dialError("unix:/x", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "no permission") {
			t.Error(err)
		}
		return
	}
	s := startServer(t)
	if err := os.Chmod(s.path("sock"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(context.Background(), s.endpoint(), nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Dial: %v", err)
	}
}

func TestDoneOnLossAndClose(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br0")
	closed, lost := s.dial(), s.dial()
	closed.Close()
	closed.Close()
	waitDone(t, closed)
	s.signal(syscall.SIGKILL)
	waitDone(t, lost)
	if h := lost.Host(); h.Bridge("br0") == nil {
		t.Errorf("the replica went with the connection:\n%s", dump(h))
	}
	for _, c := range []*Client{closed, lost} {
		if _, err := c.Apply(context.Background(), []Edit{{Table: TableOpenvSwitch, UUID: c.RootUUID()}}); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Apply: %v", err)
		}
		if err := c.Ping(context.Background()); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Ping: %v", err)
		}
	}
}

func TestResyncAfterDroppedEvent(t *testing.T) {
	c := &Client{changed: make(chan struct{}, 1)}
	log := newLibLog(orDiscard(nil), c.Resync)
	log.WithName("cache").V(0).Info("another message")
	if len(c.Changed()) != 0 {
		t.Error("resync for any message")
	}
	log.WithName("cache").V(0).Info(droppedEvent)
	if len(c.Changed()) != 1 || !c.dirty.all {
		t.Error("no resync after a dropped event")
	}
}

func waitDone(t *testing.T, c *Client) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("Done isn't closed")
	}
}

// A replica of one interface has its bridge, whatever else is there, and reports its changes alone.
func TestDialInterface(t *testing.T) {
	s := startServer(t)
	s.vsctl("-- add-br br0 -- add-port br0 a -- add-port br0 b -- set Interface a external_ids:k=v")
	c, err := DialInterface(t.Context(), s.endpoint(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, row := c.Host().FindInterface("a")
	if row == nil || b.Name != "br0" || row.ExternalIDs["k"] != "v" || len(b.Interfaces) != 1 {
		t.Errorf("bridge %+v, interface %+v", b, row)
	}
	later, err := DialInterface(t.Context(), s.endpoint(), "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	if b := later.Host().Bridge("br0"); b == nil || len(b.Interfaces) != 0 {
		t.Errorf("before it comes: %+v", b)
	}
	isQuiet := func() bool {
		select {
		case <-later.Changed():
			return false
		case <-time.After(200 * time.Millisecond):
			return true
		}
	}
	for !isQuiet() {
	}
	s.vsctl("-- set Interface b external_ids:k=v")
	if !isQuiet() {
		t.Error("a change of another interface is reported")
	}
	s.vsctl("-- add-port br0 c")
	waitHost(t, later.Changed(), later.Host, "an interface that comes", func(h *model.Host) bool { return find(h, "c") != nil })
}
