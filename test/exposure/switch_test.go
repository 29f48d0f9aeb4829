package exposure

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/test/lab"
)

// A bridge as it should be has no exposure, and a forged frame doesn't pass.
func TestGuarded(t *testing.T) {
	s := newScene(t)
	s.mustPass(udp(mac1, ip1), true)
	s.mustPass(forged(), false)
	if list := s.findings(); len(list) > 0 {
		t.Errorf("findings: %+v", list)
	}
}

// ownMAC returns the MAC of the bridge's own port.
func (s *scene) ownMAC() lab.MAC {
	s.t.Helper()
	return lab.MustMAC(strings.Trim(strings.TrimSpace(s.MustVsctl("get", "Interface", bridge, "mac_in_use")), `"`))
}

// lie is an ARP request that says that the gateway is at vif1; its Ethernet source is the
// bridge's own MAC, which in-band control lets through.
func (s *scene) lie() []byte {
	return lab.ARP{Op: lab.OpRequest, SHA: mac1, SPA: gateway, TPA: ip2}.Frame(lab.Broadcast, s.ownMAC())
}

func TestInBandController(t *testing.T) {
	s := newScene(t)
	lie := s.lie()
	s.mustPass(lie, false)
	s.MustVsctl("set-controller", bridge, "tcp:"+remote.String()+":6653")
	s.mustPass(lie, true)
	s.mustPass(forged(), false)
	f := s.mustFind(exposure.InBand, exposure.Exposed, everyone)
	s.close(f)
	s.mustPass(lie, false)
	s.mustNotFind()

	s.MustVsctl("remove", "Bridge", bridge, "other_config", "disable-in-band", "--", "set", "Controller", bridge, "connection_mode=out-of-band")
	s.mustPass(lie, false)
	s.mustNotFind()
}

// A manager is enough, on every bridge of the host.
func TestInBandManager(t *testing.T) {
	s := newScene(t)
	lie := s.lie()
	s.MustVsctl("set-manager", "tcp:"+remote.String()+":6640")
	s.mustPass(lie, true)
	s.close(s.mustFind(exposure.InBand, exposure.Exposed, everyone))
	s.mustPass(lie, false)
	s.mustNotFind()

	s.MustVsctl("remove", "Bridge", bridge, "other_config", "disable-in-band")
	s.mustPass(lie, true)
	s.MustVsctl("set", "Manager", ".", "connection_mode=out-of-band")
	s.mustPass(lie, false)
	s.mustNotFind()
}

// TestInBandTargets: what OVSDB says is what the switch does, for every kind of target, so
// that hidden flows needn't be read to know them.
func TestInBandTargets(t *testing.T) {
	s := newScene(t)
	s.MustBridge("other")
	for _, target := range []string{
		"tcp:192.0.2.9", "tcp:192.0.2.9:6653", "ssl:192.0.2.9:6653", "tcp:127.0.0.1:6653", "tcp:[2001:db8::9]:6653", "tcp:[::1]",
		"ptcp:0", "ptcp:0:127.0.0.1", "pssl:0", "unix:" + s.Dir + "/nobody", "punix:" + s.Dir + "/somebody",
	} {
		for _, command := range [][]string{{"set-controller", bridge}, {"set-manager"}} {
			s.MustVsctl(append(command, target)...)
			dump := s.MustAppctl("bridge/dump-flows", bridge)
			hidden, err := exposure.ParseHidden(dump)
			if err != nil {
				t.Fatal(err)
			}
			if told := find(s.findings(), exposure.InBand) != nil; told != (len(hidden) > 0) {
				t.Errorf("%v %s: told %t, hidden flows %v", command, target, told, hidden)
			}
			s.MustVsctl("del-controller", bridge)
			s.MustVsctl("del-manager")
		}
	}
}

func TestFailOpen(t *testing.T) {
	s := newScene(t)
	s.MustVsctl("set-fail-mode", bridge, "standalone", "--", "set-controller", bridge, "unix:"+s.Dir+"/nobody",
		"--", "set", "Controller", bridge, "connection_mode=out-of-band", "inactivity_probe=1000", "max_backoff=1000")
	s.mustFind(exposure.FailOpen, exposure.Exposed, everyone)
	lab.Eventually(t, "the bridge opens", lab.True(func() bool { return s.passes("vif1", forged(), "up") }))
	f := s.mustFind(exposure.FailOpen, exposure.Exposed, everyone)
	if !strings.Contains(f.Guest, "as now") {
		t.Errorf("it is open, and the finding says %q", f.Guest)
	}
	s.close(f)
	s.programmed()
	s.mustPass(forged(), false)
	s.mustPass(udp(mac1, ip1), true)
	s.mustNotFind()
}

// A service controller has no part in fail_mode, and without any the bridge is open only
// until it is programmed: that is a notice.
func TestFailModeWithoutController(t *testing.T) {
	s := newScene(t)
	s.MustVsctl("set-fail-mode", bridge, "standalone")
	s.programmed()
	s.mustPass(forged(), false)
	s.mustFind(exposure.FailMode, exposure.Notice, everyone)
	s.MustVsctl("set-controller", bridge, "ptcp:0:127.0.0.1")
	s.mustNotFind()
}

func TestForeignFlow(t *testing.T) {
	s := newScene(t)
	own := func() { s.MustOfctl("del-flows", s.Mgmt(bridge), "cookie=1/-1") }
	for _, test := range []struct {
		flow   string
		passes bool
		ports  []string
	}{
		{"table=0,priority=50000,actions=NORMAL", true, []string{everyone}},
		{"table=0,priority=50000,in_port=1,actions=output:9", true, []string{"vif1"}},
		{"table=0,priority=50000,in_port=1,actions=clone(output:9)", true, []string{"vif1"}},
		{"table=0,priority=50000,in_port=1,actions=goto_table:6", true, []string{"vif1"}},
		{"table=5,priority=50000,actions=resubmit(,6)", true, []string{everyone}},
		{"table=0,priority=50000,in_port=1,actions=CONTROLLER", false, []string{"vif1"}},
		{"table=0,priority=50000,in_port=1,actions=resubmit(9,0)", true, []string{"vif1"}},
		{"table=0,priority=50000,in_port=1,actions=write_actions(output:9),goto_table:5", true, []string{"vif1"}},
		{"table=0,priority=50000,in_port=2,actions=NORMAL", false, []string{"vif2"}},
		{"table=0,priority=50000,in_port=9,actions=NORMAL", false, nil},
		{"table=0,priority=50000,in_port=1,actions=drop", false, nil},
		{"table=0,priority=100,actions=NORMAL", false, nil},
		{"table=6,priority=50000,actions=NORMAL", false, nil},
		{"table=7,priority=50000,actions=NORMAL", false, nil},
	} {
		s.MustOfctl("add-flow", s.Mgmt(bridge), "cookie=1,"+test.flow)
		t.Log(test.flow)
		s.mustPass(forged(), test.passes)
		if test.ports == nil {
			s.mustNotFind()
		} else if f := s.mustFind(exposure.ForeignFlow, exposure.Exposed, test.ports...); !strings.Contains(f.Detail, "table="+test.flow[6:7]) {
			t.Errorf("the finding shows %q", f.Detail)
		}
		own()
	}
	s.mustNotFind()
}

func TestNoWayIn(t *testing.T) {
	s := newScene(t, "external_ids:port-security-first-table=10")
	for _, test := range []struct {
		flows  string
		passes bool // a forged frame of vif1
		ports  []string
		notice bool
	}{
		{"priority=0,actions=NORMAL", true, []string{everyone}, false},
		{"priority=0,actions=goto_table:10", false, nil, false},
		{"priority=5,in_port=1,actions=goto_table:10;priority=0,actions=NORMAL", false, []string{"vif2"}, false},
		{"priority=5,in_port=9,actions=NORMAL;priority=0,actions=goto_table:10", false, nil, false},
		{"priority=5,in_port=9,actions=NORMAL;priority=5,actions=goto_table:10;priority=0,actions=NORMAL", false, nil, false},
		{"priority=5,udp,actions=NORMAL;priority=0,actions=goto_table:10", true, []string{everyone}, false},
		{"priority=0,actions=goto_table:3;table=3,priority=0,actions=goto_table:10", false, nil, false},
		{"priority=0,actions=goto_table:3;table=3,in_port=1,actions=output:9;table=3,priority=0,actions=goto_table:10", true, []string{"vif1"}, false},
		{"priority=0,actions=resubmit(,3),resubmit(,10);table=3,actions=output:9", true, []string{everyone}, false},
		{"priority=0,actions=output:9,goto_table:10", true, []string{everyone}, false},
		{"priority=0,actions=write_actions(output:9),goto_table:10", true, []string{everyone}, false},
		{"priority=0,actions=goto_table:16", true, []string{everyone}, false},
		{"priority=0,actions=set_field:9->in_port,goto_table:10", true, []string{everyone}, false},
		{"priority=0,actions=resubmit(,100),goto_table:10;table=100,actions=NORMAL", true, []string{everyone}, false},
		{"priority=0,actions=goto_table:10;table=100,actions=NORMAL", false, nil, false},
		{"priority=0,actions=learn(table=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),goto_table:10", false, []string{everyone}, false},
		{"", false, []string{"vif1", "vif2"}, true},
		{"priority=0,in_port=1,actions=goto_table:10", false, []string{"vif2"}, true},
		{"priority=0,in_port=9,actions=NORMAL", false, []string{"vif1", "vif2"}, true},
	} {
		t.Log(test.flows)
		s.MustOfctl("del-flows", s.Mgmt(bridge), "cookie=1/-1")
		if list := strings.Split(test.flows, ";"); test.flows != "" {
			for _, flow := range list {
				s.MustOfctl("add-flow", s.Mgmt(bridge), "cookie=1,"+flow)
			}
		}
		s.mustPass(forged(), test.passes)
		switch {
		case test.notice:
			s.mustFind(exposure.NoWayIn, exposure.Notice, test.ports...)
		case test.ports == nil:
			if list := s.findings(); len(list) > 0 {
				t.Errorf("findings: %+v", list)
			}
		default:
			s.mustFind(exposure.NoWayIn, exposure.Exposed, test.ports...)
		}
	}
}

// The command that closes a missing way in opens one.
func TestNoWayInClosed(t *testing.T) {
	s := newScene(t, "external_ids:port-security-first-table=10")
	s.mustPass(udp(mac1, ip1), false)
	f := s.mustFind(exposure.NoWayIn, exposure.Notice, "vif1", "vif2")
	runCommand(t, s.Switch, strings.Replace(f.Close[0], " "+bridge+" ", " "+s.Mgmt(bridge)+" ", 1))
	s.mustPass(udp(mac1, ip1), true)
	s.mustPass(forged(), false)
	s.mustNotFind()
}

// rstBPDU is what a guest that wants to be the root of a rapid spanning tree sends (IEEE
// 802.1D-2004 section 9.3.3), from any MAC.
func rstBPDU() []byte {
	b := make([]byte, 36)
	b[2], b[3], b[4] = 2, 2, 0x3c // RSTP, RST BPDU; designated, learning, forwarding
	copy(b[7:], foreign[:])       // root identifier, after its priority
	copy(b[19:], foreign[:])      // bridge identifier, after its priority
	b[25] = 0x80                  // port
	b[29], b[31], b[33] = 20, 2, 15
	return lab.LLC(lab.BridgeGroup, foreign, 0x42, 0x42, b)
}

func TestSTP(t *testing.T) {
	for _, test := range []struct {
		kind                 exposure.Kind
		column, config, show string
		bpdu                 []byte
	}{
		{exposure.STP, "stp_enable", "stp-enable", "stp/show", lab.STP(foreign)},
		{exposure.RSTP, "rstp_enable", "rstp-enable", "rstp/show", rstBPDU()},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			s := newScene(t)
			for _, vif := range []string{"vif1", "vif2"} { // the agent closes a Port that says nothing
				s.MustVsctl("set", "Port", vif, "other_config:"+test.config+"=true")
			}
			s.MustVsctl("set", "Bridge", bridge, test.column+"=true")
			isRoot := func() bool {
				s.MustInject("vif1", test.bpdu)
				s.MustBarrier()
				root, _, _ := strings.Cut(s.MustAppctl(test.show, bridge), "Bridge ID") // the root comes first
				return strings.Contains(root, "02:00:00:00:00:66")
			}
			lab.Eventually(t, "the guest becomes root", lab.True(isRoot))
			s.close(s.mustFind(test.kind, exposure.Exposed, "vif1", "vif2"))
			s.mustNotFind()
			s.MustVsctl("set", "Bridge", bridge, test.column+"=false")
			s.MustVsctl("set", "Bridge", bridge, test.column+"=true")
			for range 5 {
				if isRoot() {
					t.Fatal("the guest still becomes root")
				}
			}
		})
	}
}

// TestLinkProtocols: what Open vSwitch consumes itself never meets a flow.
func TestLinkProtocols(t *testing.T) {
	s := newScene(t)
	for _, test := range []struct {
		kind  exposure.Kind
		set   []string
		frame []byte
		trace string
	}{
		{exposure.BFD, []string{"set", "Interface", "vif1", "bfd:enable=true"},
			lab.IPFrame(s.ownMAC(), foreign, lab.IP(gateway, ip1, 17, []byte{0xc0, 0, 0x0e, 0xc8, 0, 32, 0, 0}, bfdControl)), "BFD"},
		{exposure.CFM, []string{"set", "Interface", "vif1", "cfm_mpid=5"},
			lab.Ether(lab.MAC{1, 0x80, 0xc2, 0, 0, 0x30}, foreign, 0x8902, make([]byte, 75)), "CFM"},
		{exposure.LACP, []string{"set", "Port", "vif1", "lacp=active"},
			lab.Ether(lab.MAC{1, 0x80, 0xc2, 0, 0, 2}, foreign, 0x8809, append([]byte{1, 1}, make([]byte, 108)...)), "LACP"},
		{exposure.LLDP, []string{"set", "Interface", "vif1", "lldp:enable=true"},
			lab.Ether(lab.MAC{1, 0x80, 0xc2, 0, 0, 14}, foreign, 0x88cc, make([]byte, 46)), "LLDP"},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			s := &scene{T: s.T, t: t}
			taken := func() bool {
				return strings.Contains(s.MustTrace(bridge, 1, test.frame), "Consists of "+test.trace+" packets")
			}
			if taken() {
				t.Error("taken before it was asked for")
			}
			s.MustVsctl(test.set...)
			if !taken() {
				t.Errorf("not taken:\n%s", s.MustTrace(bridge, 1, test.frame))
			}
			s.close(s.mustFind(test.kind, exposure.Exposed, "vif1"))
			if taken() {
				t.Error("still taken")
			}
			s.mustNotFind()
		})
	}
}

// bfdControl is a BFD control packet (RFC 5880 section 4.1) of a session that is down.
var bfdControl = []byte{0x20, 0x40, 3, 24, 0, 0, 0, 7, 0, 0, 0, 0, 0, 15, 0x42, 0x40, 0, 15, 0x42, 0x40, 0, 0, 0, 0}

// With a limit other than 1 a frame with a second tag passes where one may.
func TestVLANLimit(t *testing.T) {
	s := newScene(t)
	twice := lab.Tagged(udp(mac1, ip1), lab.VLAN{VID: 0}, lab.VLAN{VID: 5})
	for _, limit := range []string{"2", "0"} {
		s.MustSetIDs("vif1", map[string]string{"port-security-allow": "priority-tag"})
		s.programmed()
		s.mustPass(lab.Tagged(udp(mac1, ip1), lab.VLAN{VID: 0}), true)
		s.mustPass(twice, false)
		s.mustNotFind()
		s.MustVsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit="+limit)
		s.mustPass(twice, true)
		f := s.mustFind(exposure.VLANLimit, exposure.Exposed, "vif1")
		s.MustSetIDs("vif1", map[string]string{"port-security-allow": ""})
		s.programmed()
		s.mustPass(twice, false)
		s.mustNotFind()
		s.close(f)
	}
}

func (s *scene) mirror(settings ...string) {
	s.t.Helper()
	args := []string{"--", "--id=@vif1", "get", "Port", "vif1", "--", "--id=@vif2", "get", "Port", "vif2", "--", "--id=@up", "get", "Port", "up",
		"--", "--id=@m", "create", "Mirror", "name=m"}
	s.MustVsctl(append(append(args, settings...), "--", "set", "Bridge", bridge, "mirrors=@m")...)
}

func TestMirror(t *testing.T) {
	s := newScene(t)
	for _, test := range []struct {
		settings []string
		to       string // the port that the frame of vif1 comes out at
		severity exposure.Severity
		ports    []string
	}{
		{[]string{"select_src_port=@vif1", "output_port=@vif2"}, "vif2", exposure.Exposed, []string{"vif1"}},
		{[]string{"select_all=true", "output_port=@vif2"}, "vif2", exposure.Exposed, []string{"vif1", "vif2"}},
		{[]string{"select_src_port=@vif1", "output_port=@up"}, "up", exposure.Notice, []string{"vif1"}},
		{[]string{"select_src_port=@vif1", "output_vlan=7"}, "vif2", exposure.Exposed, []string{"vif1"}},
	} {
		t.Log(test.settings)
		s.mirror(test.settings...)
		if !s.passes("vif1", forged(), test.to) {
			t.Errorf("a forged frame doesn't reach %s", test.to)
		}
		s.close(s.mustFind(exposure.Mirror, test.severity, test.ports...))
		if s.passes("vif1", forged(), test.to) {
			t.Errorf("a forged frame still reaches %s", test.to)
		}
		s.mustNotFind()
	}
	s.mirror("select_dst_port=@vif2", "output_port=@up")
	if s.passes("vif1", forged(), "up") {
		t.Error("a frame that isn't delivered is mirrored")
	}
	s.mustNotFind()
}

// A guest's IGMP query is a packet like others, and makes its port a querier's: groups that
// nobody joined there come to it.
func TestQuerier(t *testing.T) {
	s := newScene(t)
	group := netip.MustParseAddr("225.1.1.1")
	stream := lab.UDPFrame(lab.GroupMAC(group), mac2, netip.AddrPortFrom(ip2, 4000), netip.AddrPortFrom(group, 4000))
	s.MustVsctl("set", "Bridge", bridge, "mcast_snooping_enable=true", "other_config:mcast-snooping-disable-flood-unregistered=true")
	if s.passes("vif2", stream, "vif1") {
		t.Error("a group that vif1 never joined comes to it before it asked")
	}
	hosts := netip.MustParseAddr("224.0.0.1")
	query := []byte{0x11, 100, 0xee, 0x9b, 0, 0, 0, 0} // IGMPv2, general
	s.MustInject("vif1", lab.IPFrame(lab.GroupMAC(hosts), mac1, lab.IP(ip1, hosts, 2, query)))
	s.MustBarrier()
	if !s.passes("vif2", stream, "vif1") {
		t.Errorf("the group doesn't come to the querier:\n%s", s.MustAppctl("mdb/show", bridge))
	}
	s.close(s.mustFind(exposure.IGMPQuerier, exposure.Notice, everyone))
	if list := s.findings(); len(list) > 0 {
		t.Errorf("findings: %+v", list)
	}
}

// What can't be read is exposed, and says why: another daemon's directory is nobody's.
func TestUnreadable(t *testing.T) {
	s := newScene(t)
	list := findingsIn(t, s.Switch, t.TempDir())
	if len(list) != 2 {
		t.Fatalf("findings: %+v", list)
	}
	for _, f := range list {
		if f.Kind != exposure.Unreadable || f.Severity != exposure.Exposed || !f.All || !strings.Contains(f.Guest, "can't be read: ") {
			t.Errorf("finding: %+v", f)
		}
	}
}
