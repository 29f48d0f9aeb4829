package fault

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/test/lab"
)

// switchFaults are faults of ovs-vswitchd, and what others do to its flows.
var switchFaults = []fault{
	{
		name:     "ovs-vswitchd killed and started, fail_mode=secure",
		promise:  "closed until it is programmed again; nothing leaks",
		settings: []string{"fail_mode=secure"},
		strike:   restartVswitchd,
		lost:     anyone,
	},
	{
		name:    "ovs-vswitchd killed and started, fail_mode=standalone",
		promise: "Open vSwitch forwards everything until the agent has programmed it again",
		strike:  restartVswitchd,
		lost:    anyone,
		leaked:  anyone,
	},
	{
		name:     "ovs-vswitchd restarted as ovs-ctl does, with saved flows",
		promise:  "saved flows and the agent's end in exactly the wanted state",
		settings: []string{"fail_mode=secure"},
		strike:   restartWithSavedFlows,
		lost:     anyone,
	},
	{
		name:     "all flows deleted by somebody",
		promise:  "noticed and repaired at once; closed until then",
		prepare:  seldomCompared,
		settings: []string{"fail_mode=secure"},
		strike:   func(s *scene, _ *result) { s.MustOfctl("del-flows", bridge); s.awaitExact() },
		lost:     anyone,
	},
	{
		name:    "one VIF's flow changed to NORMAL by somebody",
		promise: "noticed and repaired at once; that VIF is open until then",
		prepare: seldomCompared,
		strike: func(s *scene, _ *result) {
			s.MustOfctl("--strict", "mod-flows", bridge, "table=0,priority=40400,in_port=11,actions=NORMAL")
			s.awaitExact()
		},
		leaked: only("vm1"),
	},
	{
		name:    "flows with vifguard's cookie added by somebody, one of them open",
		promise: "noticed and removed at once",
		prepare: seldomCompared,
		strike: func(s *scene, _ *result) {
			ours := fmt.Sprintf("cookie=0x%x", flows.CookiePrefix)
			s.MustOfctl("add-flow", bridge, ours+",table=99,actions=drop")
			s.MustOfctl("add-flow", bridge, ours+",table=0,priority=65000,in_port=12,actions=NORMAL")
			s.awaitExact()
		},
		leaked: only("vm2"),
	},
	{
		name:    "others' flows added and deleted in other tables and below ours",
		promise: "never touched, and they change no verdict",
		steady:  true,
		strike: func(s *scene, _ *result) {
			for n := range 20 {
				s.MustOfctl("add-flow", bridge, fmt.Sprintf("table=%d,priority=5,in_port=%d,actions=NORMAL", 30+n, n))
				s.MustOfctl("add-flow", bridge, fmt.Sprintf("table=0,priority=%d,dl_type=0x0842,actions=drop", n+1))
			}
			s.MustOfctl("del-flows", bridge, "table=30")
			s.rest()
			if dump := s.MustOfctl("dump-flows", bridge); strings.Count(dump, "dl_type=0x0842") != 20 {
				s.t.Errorf("flows of others are gone:\n%s", dump)
			}
			s.awaitExact()
		},
	},
	{
		name:     "fail_mode flipped from secure to standalone",
		promise:  "Open vSwitch deletes all flows and forwards everything; programmed again at once",
		prepare:  seldomCompared,
		settings: []string{"fail_mode=secure"},
		strike: func(s *scene, _ *result) {
			s.MustVsctl("set-fail-mode", bridge, "standalone")
			s.awaitExact()
		},
		lost:   anyone,
		leaked: anyone,
	},
	{
		name:    "fail_mode flipped from standalone to secure",
		promise: "Open vSwitch deletes all flows; programmed again at once, nothing leaks",
		prepare: seldomCompared,
		strike: func(s *scene, _ *result) {
			s.MustVsctl("set-fail-mode", bridge, "secure")
			s.awaitExact()
		},
		lost: anyone,
	},
	{
		name:    "fragment mode changed by somebody (ovs-ofctl set-frags)",
		promise: "set back by the next comparison; first fragments without visible ports are dropped until then",
		streams: func(s *scene) []lab.Stream {
			v := s.vms[0]
			link, all := lab.LinkLocal(v.MAC), lab.AllNodes
			fragment := func(src, dst netip.Addr, next uint8, packet []byte) []byte {
				return lab.IP(src, dst, lab.ProtoFragment, lab.FragmentHeader(next, 0, true, 1), packet)
			}
			datagram := lab.UDP(netip.AddrPortFrom(v.ip6, 4000), netip.AddrPortFrom(ip("2001:db8::200"), 4000), make([]byte, 32))
			return append(s.streams(),
				lab.Stream{Kind: "udp fragment", From: v.NIC, Frame: lab.IPFrame(s.sink.MAC, v.MAC, fragment(v.ip6, ip("2001:db8::200"), lab.ProtoUDP, datagram))},
				lab.Stream{Kind: "advert in a fragment", Spoofed: true, From: v.NIC, Frame: lab.IPFrame(lab.GroupMAC(all), v.MAC,
					fragment(link, all, lab.ProtoICMPv6, lab.ICMPv6(link, all, lab.ICMPv6RA, 0, lab.RABody())))})
		},
		strike: func(s *scene, _ *result) {
			s.MustOfctl("set-frags", bridge, "normal")
			s.wait("nx-match again", func() error {
				if mode, err := s.Ofctl("get-frags", bridge); err != nil || !strings.Contains(mode, "nx-match") {
					return fmt.Errorf("%s, %w", mode, err)
				}
				return nil
			})
		},
		lost: kind("udp fragment"),
	},
	{
		name:    "the switch refuses one VIF's flows",
		promise: "that VIF is blocked and named, all others go on",
		streams: func(s *scene) []lab.Stream {
			v := s.vms
			all := append(v[0].honest(s.sink.MAC), v[2].honest(s.sink.MAC)...)
			for n := range v {
				all = append(all, v[n].lies(s.sink.MAC, v[(n+1)%len(v)])...)
			}
			return all
		},
		strike: func(s *scene, _ *result) {
			full := strings.Count(s.MustOfctl("dump-flows", "--no-stats", bridge), fmt.Sprintf("table=%d, priority", flows.StageIP))
			s.MustVsctl("--", "--id=@t", "create", "Flow_Table", fmt.Sprintf("flow_limit=%d", full), "overflow_policy=refuse",
				"--", "set", "Bridge", bridge, fmt.Sprintf("flow_tables:%d=@t", flows.StageIP))
			s.MustSetIDs("vm2", map[string]string{"allowed-addresses": "192.0.2.2,2001:db8::2,198.51.100.0/24,203.0.113.7"})
			s.await("vm2", "state=blocked")
			if text := s.MustIDs("vm2")["vifguard-error"]; !strings.Contains(text, "the switch refused to add the flow") {
				s.t.Errorf("error: %q", text)
			}
			s.MustSetIDs("vm1", map[string]string{"port-security-allow": "dhcp-server", "port-security-seq": "1"})
			s.await("vm1", "state=enforced", "seq=1")
		},
	},
}

// seldomCompared guards the bridge with an agent that would notice nothing in time by
// comparing.
func seldomCompared(s *scene) {
	s.flags = []string{"--check-interval", "1h"}
	s.guard()
}

func restartVswitchd(s *scene, _ *result) {
	s.MustRun(s.KillVswitchd)
	s.MustRun(s.StartVswitchd)
	s.awaitExact()
}

// restartWithSavedFlows does what "ovs-ctl restart" does to a bridge's flows, with the
// script that it uses.
func restartWithSavedFlows(s *scene, r *result) {
	shell := func(script string) string {
		cmd := exec.Command("sh", "-eu", "-c", script)
		cmd.Env = append(cmd.Environ(), "OVS_RUNDIR="+s.Dir, "TMPDIR="+s.Dir, "PATH=/usr/sbin:/sbin:/usr/bin:/bin")
		out, err := cmd.Output()
		if err != nil {
			s.t.Fatalf("%s: %v", script, err)
		}
		return string(out)
	}
	restore := shell("/usr/share/openvswitch/scripts/ovs-save save-flows " + bridge)
	if !strings.Contains(restore, "replace-flows "+bridge) {
		s.t.Fatalf("ovs-save says:\n%s", restore)
	}
	r.now()
	s.MustVsctl("set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true")
	s.MustRun(s.KillVswitchd)
	s.MustRun(s.StartVswitchd)
	shell(restore)
	s.MustVsctl("remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait=true")
	s.awaitExact()
	s.await("vm1", "state=enforced")
}
