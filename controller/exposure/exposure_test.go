package exposure_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
)

// input is a bridge as it should be, with two VIFs and an uplink, on a host with a tunnel.
func input() *exposure.Input {
	row := func(name string, port uint32) *model.Interface {
		return &model.Interface{Name: name, Port: name, OFPort: port}
	}
	own := row("br0", model.LocalPort)
	own.Type = "internal"
	b := &model.Bridge{Name: "br0", FailMode: model.FailSecure, Interfaces: []*model.Interface{own, row("up", 9), row("vif1", 1), row("vif2", 2)}}
	tun := &model.Interface{Name: "vx0", Port: "vx0", Type: "vxlan", OFPort: 3, Facts: model.InterfaceFacts{RemoteIP: "192.0.2.9"}}
	return &exposure.Input{
		Host:   &model.Host{Bridges: []*model.Bridge{b, {Name: "br1", Interfaces: []*model.Interface{tun}}}, Facts: &model.HostFacts{}},
		Bridge: b, Stages: flows.Pipeline{Exit: -1},
		VIFs: []exposure.VIF{{Name: "vif1", Port: "vif1", InPort: 1, IP: true}, {Name: "vif2", Port: "vif2", InPort: 2, IP: true}},
	}
}

// brief is what a test says of findings.
func brief(list []exposure.Finding) (words []string) {
	for _, f := range list {
		who := strings.Join(f.Ports, "+")
		if f.All {
			who = "all"
		}
		words = append(words, fmt.Sprintf("%s %s %s", f.Severity, f.Kind, who))
	}
	return words
}

func TestJudgeFacts(t *testing.T) {
	local := func(prefix string) map[string][]netip.Prefix {
		return map[string][]netip.Prefix{"br0": {netip.MustParsePrefix(prefix)}, "eth0": {netip.MustParsePrefix("192.0.2.1/24")}}
	}
	tunnel := func(in *exposure.Input) *model.InterfaceFacts { return &in.Host.Bridges[1].Interfaces[0].Facts }
	remotes := func(targets ...model.Remote) []model.Remote { return targets }
	for name, test := range map[string]struct {
		change func(in *exposure.Input)
		want   []string
	}{
		"as it should be": {func(*exposure.Input) {}, nil},
		"no VIFs": {func(in *exposure.Input) {
			in.VIFs = nil
			in.Bridge.Facts.STP, in.Bridge.Facts.McastSnooping = true, true
		}, nil},
		"nothing known of the host": {func(in *exposure.Input) { in.Host = nil }, nil},

		"name of a controller": {func(in *exposure.Input) {
			in.Bridge.Facts.Controllers = remotes(model.Remote{Target: "ssl:c.example:6653"})
		}, []string{"exposed in-band all"}},
		"service controller": {func(in *exposure.Input) {
			in.Bridge.Facts.Controllers = remotes(model.Remote{Target: "tcp:192.0.2.9", Service: true})
		}, []string{"exposed in-band all"}},
		"out of band": {func(in *exposure.Input) {
			in.Bridge.Facts.Controllers = remotes(model.Remote{Target: "tcp:192.0.2.9", OutOfBand: true})
		}, nil},
		"not open, in band off": {func(in *exposure.Input) {
			in.Bridge.Facts.Controllers, in.Bridge.Facts.DisableInBand = remotes(model.Remote{Target: "tcp:192.0.2.9"}), "true"
		}, nil},
		"hidden in-band flows": {func(in *exposure.Input) {
			in.Hidden.Flows = []exposure.HiddenEntry{{Priority: 180005, Text: "arp,actions=NORMAL"}}
		}, []string{"exposed in-band all"}},
		"in-band flow of the host": {func(in *exposure.Input) {
			in.Hidden.Flows = []exposure.HiddenEntry{{Priority: 180000, Text: "udp,in_port=LOCAL,tp_src=68,actions=NORMAL"}}
		}, nil},
		"another hidden flow": {func(in *exposure.Input) {
			in.Hidden.Flows = []exposure.HiddenEntry{{Priority: 180009, Text: "actions=NORMAL"}}
		}, []string{"exposed hidden-flow all"}},
		"hidden flows unreadable": {func(in *exposure.Input) { in.Hidden.Err = errors.New("x") }, []string{"exposed unreadable all"}},
		"flows unreadable":        {func(in *exposure.Input) { in.FlowsErr = errors.New("x") }, []string{"exposed unreadable all"}},

		"standalone": {func(in *exposure.Input) { in.Bridge.FailMode = "" }, []string{"notice fail-mode all"}},
		"standalone, controller": {func(in *exposure.Input) {
			in.Bridge.FailMode, in.Bridge.Facts.Controllers = "", remotes(model.Remote{Target: "unix:x", Connected: true})
		}, []string{"exposed fail-open all"}},
		"standalone, service": {func(in *exposure.Input) {
			in.Bridge.FailMode, in.Bridge.Facts.Controllers = "", remotes(model.Remote{Target: "ptcp:1", Service: true})
		}, nil},
		"open though OVSDB denies it": {func(in *exposure.Input) {
			in.Hidden.Flows = []exposure.HiddenEntry{{Priority: 15790320, Text: "actions=NORMAL"}}
		}, []string{"exposed fail-open all"}},

		"stp": {func(in *exposure.Input) {
			in.Bridge.Facts.STP, in.VIFs[0].Facts.STP, in.VIFs[1].Facts.RSTP = true, "false", "false"
		}, []string{"exposed stp vif2"}},
		"rstp": {func(in *exposure.Input) {
			in.Bridge.Facts.RSTP, in.VIFs[0].Facts.STP, in.VIFs[1].Facts.RSTP = true, "false", "false"
		}, []string{"exposed rstp vif1"}},
		"stp nowhere": {func(in *exposure.Input) {
			in.Bridge.Facts.STP, in.VIFs[0].Facts.STP, in.VIFs[1].Facts.STP = true, "false", "False"
		}, nil},
		"protocols at an uplink": {func(in *exposure.Input) {
			in.Bridge.Interfaces[1].Facts = model.InterfaceFacts{LACP: true, BFD: true, CFM: true, LLDP: true}
		}, nil},
		"protocols at VIFs": {func(in *exposure.Input) {
			in.VIFs[0].Facts, in.VIFs[1].Facts = model.InterfaceFacts{LACP: true, BFD: true}, model.InterfaceFacts{BFD: true}
		},
			[]string{"exposed bfd vif1+vif2", "exposed lacp vif1"}},

		"vlan-limit, no tags":  {func(in *exposure.Input) { in.Host.Facts.VLANLimit = "0" }, nil},
		"vlan-limit 1":         {func(in *exposure.Input) { in.Host.Facts.VLANLimit, in.VIFs[0].Tags = "1", true }, nil},
		"vlan-limit 0":         {func(in *exposure.Input) { in.Host.Facts.VLANLimit, in.VIFs[0].Tags = "0", true }, []string{"exposed vlan-limit vif1"}},
		"vlan-limit of nobody": {func(in *exposure.Input) { in.Host.Facts.VLANLimit, in.VIFs[1].Tags = "many", true }, []string{"exposed vlan-limit vif2"}},

		"tunnel elsewhere":               {func(in *exposure.Input) { in.Addresses = local("198.51.100.1/24") }, nil},
		"tunnel here, addresses checked": {func(in *exposure.Input) { in.Addresses = local("192.0.2.254/24") }, nil},
		"tunnel here":                    {func(in *exposure.Input) { in.Addresses = local("192.0.2.254/24"); in.VIFs[1].IP = false }, []string{"exposed tunnel vif2"}},
		"tunnel at another local address": {func(in *exposure.Input) {
			in.Addresses = local("192.0.2.254/24")
			in.VIFs[1].IP = false
			tunnel(in).LocalIP = "192.0.2.1"
		}, nil},
		"tunnel at this local address": {func(in *exposure.Input) {
			in.Addresses = local("192.0.2.254/24")
			in.VIFs[1].IP = false
			*tunnel(in) = model.InterfaceFacts{RemoteIP: "203.0.113.1", LocalIP: "192.0.2.254"}
		}, []string{"exposed tunnel vif2"}},
		"tunnel from anybody, elsewhere": {func(in *exposure.Input) {
			in.Addresses = local("198.51.100.1/24")
			*tunnel(in) = model.InterfaceFacts{RemoteIP: "flow", LocalIP: "192.0.2.1"}
		}, []string{"notice tunnel all"}},
		"tunnel from anybody, here": {func(in *exposure.Input) { in.Addresses = local("192.0.2.254/24"); tunnel(in).RemoteIP = "flow" }, []string{"exposed tunnel all"}},
		"tunnel, addresses unknown": {func(in *exposure.Input) { tunnel(in).RemoteIP = "flow" }, []string{"notice tunnel all"}},

		"mirror to nowhere": {func(in *exposure.Input) { in.Bridge.Facts.Mirrors = []model.Mirror{{Name: "m", All: true}} }, nil},
		"mirror of the uplink": {func(in *exposure.Input) {
			in.Bridge.Facts.Mirrors = []model.Mirror{{Name: "m", From: []string{"up"}, Output: "vif1"}}
		}, nil},
		"mirror to the uplink": {func(in *exposure.Input) {
			in.Bridge.Facts.Mirrors = []model.Mirror{{Name: "m", All: true, Output: "up"}}
		}, []string{"notice mirror vif1+vif2"}},
		"mirror to a VIF": {func(in *exposure.Input) {
			in.Bridge.Facts.Mirrors = []model.Mirror{{Name: "m", From: []string{"vif1"}, Output: "vif2"}}
		}, []string{"exposed mirror vif1"}},
		"mirror to a VLAN": {func(in *exposure.Input) {
			in.Bridge.Facts.Mirrors = []model.Mirror{{Name: "m", All: true, OutputVLAN: 7}}
		}, []string{"exposed mirror vif1+vif2"}},

		"snooping":             {func(in *exposure.Input) { in.Bridge.Facts.McastSnooping = true }, []string{"notice igmp-querier all"}},
		"offload":              {func(in *exposure.Input) { in.Host.Facts.HWOffload = "true" }, []string{"notice datapath all"}},
		"offload in userspace": {func(in *exposure.Input) { in.Host.Facts.HWOffload, in.Bridge.Facts.DatapathType = "true", "netdev" }, nil},
		"exposed ones first": {func(in *exposure.Input) {
			in.Bridge.Facts.McastSnooping, in.Bridge.Facts.STP, in.Hidden.Err = true, true, errors.New("x")
		},
			[]string{"exposed stp vif1+vif2", "exposed unreadable all", "notice igmp-querier all"}},
	} {
		in := input()
		test.change(in)
		list := exposure.Judge(in)
		if diff := cmp.Diff(test.want, brief(list)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", name, diff)
		}
		for _, f := range list {
			checkFinding(t, name, &f)
		}
	}
}

// checkFinding: a finding says what a guest can do and how that ends, in words that fit.
func checkFinding(t *testing.T, name string, f *exposure.Finding) {
	t.Helper()
	if words := f.Words(); len(words) > 300 || !strings.HasPrefix(words, f.Severity.String()+": ") || !strings.Contains(words, "("+string(f.Kind)+"; close it: ") {
		t.Errorf("%s: %q", name, words)
	}
	if f.Guest == "" || len(f.Close) == 0 || f.All == (len(f.Ports) > 0) {
		t.Errorf("%s: incomplete: %+v", name, f)
	}
}

func TestVIFs(t *testing.T) {
	config := model.ResolveBridge(&model.Bridge{Name: "br0", ExternalIDs: map[string]string{model.KeyChecks: "auto"}})
	var rows []*model.Interface
	var policies []*model.Policy
	for i, keys := range []map[string]string{
		nil, // trusted
		{model.KeyAttachedMAC: "52:54:00:00:00:01", model.KeyChecks: "off"},
		{model.KeyAttachedMAC: "52:54:00:00:00:02", model.KeyChecks: "block"},
		{model.KeyAttachedMAC: "52:54:00:00:00:03"},
		{model.KeyAttachedMAC: "52:54:00:00:00:04", model.KeyAddresses: "192.0.2.4", model.KeyAllow: "vlan-trunk"},
	} {
		row := &model.Interface{Name: fmt.Sprintf("vif%d", i), Port: "p", OFPort: uint32(i), ExternalIDs: keys}
		p := model.Resolve(&config, nil, row)
		rows, policies = append(rows, row), append(policies, &p)
	}
	want := []exposure.VIF{
		{Name: "vif2", Port: "p", InPort: 2, IP: true},
		{Name: "vif3", Port: "p", InPort: 3},
		{Name: "vif4", Port: "p", InPort: 4, IP: true, Tags: true},
	}
	if diff := cmp.Diff(want, exposure.VIFs(rows, policies)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWords(t *testing.T) {
	f := exposure.Finding{Kind: exposure.InBand, Severity: exposure.Exposed, Guest: "does\nthis\x00", Close: []string{"ovs-vsctl x\n\u009b", "y"}}
	if got, want := f.Words(), "exposed: does this  (in-band; close it: ovs-vsctl x  , ...)"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for n := range 400 {
		long := exposure.Finding{Kind: exposure.InBand, Guest: strings.Repeat("é", n), Close: []string{strings.Repeat("ü", n)}}
		if words := long.Words(); len(words) > 300 || strings.ContainsRune(words, '\uFFFD') || !strings.HasSuffix(words, ")") {
			t.Fatalf("%d: %d bytes: %q", n, len(words), words)
		}
	}
}

func TestOf(t *testing.T) {
	list := []exposure.Finding{
		{Kind: exposure.STP, Severity: exposure.Exposed, Ports: []string{"vif1", "vif3"}},
		{Kind: exposure.InBand, Severity: exposure.Exposed, All: true},
		{Kind: exposure.IGMPQuerier, All: true},
	}
	for port, want := range map[string]exposure.Kind{"vif1": exposure.STP, "vif2": exposure.InBand, "vif3": exposure.STP} {
		if f := exposure.Of(list, port); f == nil || f.Kind != want {
			t.Errorf("%s: %+v", port, f)
		}
	}
	if f := exposure.Of(list[2:], "vif1"); f != nil {
		t.Errorf("a notice makes a state: %+v", f)
	}
	if !exposure.Equal(list, slices.Clone(list)) || exposure.Equal(list, list[1:]) {
		t.Error("Equal")
	}
}

// dump is what Open vSwitch 3.1 answers.
const dump = `duration=0s, n_packets=0, n_bytes=0, priority=180008,tcp,nw_src=10.0.0.9,tp_src=6640,actions=NORMAL
duration=3s, n_packets=7, n_bytes=0, priority=15790320,actions=NORMAL
duration=0s, n_packets=0, n_bytes=0, priority=5,actions=drop
duration=0s, n_packets=0, n_bytes=0, ,actions=drop
table_id=3, duration=0s, n_packets=1, n_bytes=68, in_port=1,actions=output:9
table_id=3, duration=0s, n_packets=1, n_bytes=68, priority=65535,in_port=1,actions=learn(table=4,priority=99,output:NXM_OF_IN_PORT[])
table_id=254, duration=0s, n_packets=0, n_bytes=0, priority=2,recirc_id=0,actions=drop
`

func TestParseHidden(t *testing.T) {
	want := []exposure.HiddenEntry{{Priority: 180008, Text: "tcp,nw_src=10.0.0.9,tp_src=6640,actions=NORMAL"}, {Priority: 15790320, Text: "actions=NORMAL"}}
	for version, text := range map[string]string{
		"3.1":                   dump,
		"3.5":                   strings.ReplaceAll(dump, "duration=", "cookie=0x7667008a6fc70b46, duration="), // with or without the table first
		"3.5, the cookie first": strings.ReplaceAll(strings.ReplaceAll("\n"+dump, "\ntable_id", "\ncookie=0x1, table_id"), "\nduration", "\ncookie=0x0, duration"),
	} {
		got, err := exposure.ParseHidden(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", version, err, diff)
		}
	}
	for _, bad := range []string{
		"", "\n\n", "no such bridge", "ok", "duration=0s, n_packets=0, n_bytes=0", "priority=180008,actions=NORMAL",
		"duration=0s, n_packets=0, n_bytes=0, actions=drop", "table_id=254, duration=0s, n_packets=0, n_bytes=0, prio=2,recirc_id=0,actions=drop",
		"duration=0s, n_packets=0, n_bytes=0, priority=x,actions=NORMAL", "duration=0s, n_packets=0, n_bytes=0, priority=180008,tcp",
		"duration=0s, n_packets=0, n_bytes=0, idle_timeout=5, priority=180008,actions=NORMAL",
		"duration=0s, n_packets=0, priority=180008,actions=NORMAL", "duration=0s, n_packets=0, n_bytes=0, priority=-1,actions=NORMAL",
		dump + "Flow: priority=180008,actions=NORMAL\n",
	} {
		if list, err := exposure.ParseHidden(bad); err == nil {
			t.Errorf("%q: %v", bad, list)
		}
	}
}

// FuzzParseHidden: whatever is answered, a line with a priority above those of OpenFlow is
// found or refused.
func FuzzParseHidden(f *testing.F) {
	for line := range strings.Lines(dump) {
		f.Add(line)
		f.Add(dump + line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := exposure.ParseHidden(text)
		if err == nil && len(list) == 0 && strings.Contains(text, "\nduration=0s, n_packets=0, n_bytes=0, priority=180008,actions=") {
			t.Errorf("%q: no hidden flow", text)
		}
	})
}

// entry is a flow of somebody else: from a port, or from any if that is 0.
func entry(table uint8, priority uint16, inPort uint32, instructions []byte) flows.Entry {
	match := []byte{0, 1, 0, 4, 0, 0, 0, 0}
	if inPort != 0 {
		match = append(binary.BigEndian.AppendUint32([]byte{0, 1, 0, 12, 0x80, 0, 0, 4}, inPort), 0, 0, 0, 0)
	}
	return flows.Entry{Key: flows.Key{Table: table, Priority: priority, Match: string(match)}, Instructions: string(instructions)}
}

func gotoTable(n uint8) []byte { return []byte{0, 1, 0, 8, n, 0, 0, 0} }

// normal is apply_actions(NORMAL).
var normal = []byte{0, 4, 0, 24, 0, 0, 0, 0, 0, 0, 0, 16, 0xff, 0xff, 0xff, 0xfa, 0, 0, 0, 0, 0, 0, 0, 0}

// Of flows with the same priority either may be met, in whatever order they were read.
func TestSamePriority(t *testing.T) {
	list := []flows.Entry{entry(0, 5, 1, gotoTable(10)), entry(0, 5, 0, normal), entry(0, 6, 2, gotoTable(10))}
	for range 2 {
		in := input()
		in.Stages.First, in.Foreign = 10, slices.Clone(list)
		if diff := cmp.Diff([]string{"exposed no-way-in vif1"}, brief(exposure.Judge(in))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		slices.Reverse(list)
	}
}

// A VIF without a port number yet may get any.
func TestPendingVIF(t *testing.T) {
	in := input()
	in.Stages.First = 10
	in.VIFs[1].InPort = 0
	in.Foreign = []flows.Entry{entry(0, 5, 1, gotoTable(10)), entry(0, 5, 2, gotoTable(10)), entry(0, 1, 0, normal)}
	if diff := cmp.Diff([]string{"exposed no-way-in vif2"}, brief(exposure.Judge(in))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What no flow matches is a controller's, where there is one.
func TestMissWithController(t *testing.T) {
	in := input()
	in.Stages.First = 10
	in.Bridge.Facts.Controllers = []model.Remote{{Target: "unix:c"}}
	in.Foreign = []flows.Entry{entry(0, 5, 1, gotoTable(10))}
	want := []string{"exposed no-way-in vif2", "notice no-way-in vif2"}
	if diff := cmp.Diff(want, brief(exposure.Judge(in))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// many makes a large bridge: n VIFs, and as many flows in front of each as an integration
// bridge has.
func many(n, each int) *exposure.Input {
	in := &exposure.Input{Bridge: &model.Bridge{Name: "br0", FailMode: model.FailSecure}, Stages: flows.Pipeline{First: 10, Exit: -1}}
	for i := range n {
		in.VIFs = append(in.VIFs, exposure.VIF{Name: fmt.Sprintf("vif%05d", i), InPort: uint32(i + 1)})
		for k := range each {
			in.Foreign = append(in.Foreign, entry(uint8(k%10), uint16(k), uint32(i+1), gotoTable(uint8(k%10+1))))
		}
	}
	rand.Shuffle(len(in.Foreign), func(i, j int) { in.Foreign[i], in.Foreign[j] = in.Foreign[j], in.Foreign[i] })
	return in
}

func BenchmarkJudge(b *testing.B) {
	for _, test := range []struct {
		vifs, each int
		first      uint8
	}{{5000, 0, 0}, {5000, 20, 0}, {1000, 20, 10}, {5000, 20, 10}} {
		b.Run(fmt.Sprintf("%d VIFs, %d flows each, first table %d", test.vifs, test.each, test.first), func(b *testing.B) {
			in := many(test.vifs, test.each)
			if in.Stages.First = test.first; test.first == 0 {
				for i := range in.Foreign {
					in.Foreign[i].Table += 10
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if list := exposure.Judge(in); len(list) > 0 {
					b.Fatal(list[0].Words())
				}
			}
		})
	}
}
