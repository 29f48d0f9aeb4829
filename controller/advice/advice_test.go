package advice

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
)

const own = "52:54:00:00:00:01"

// vif is a VIF of the table below.
func vif(port, keys string, claims ...drops.ClaimCount) VIF {
	bridge := &model.Bridge{Name: "br0", ExternalIDs: map[string]string{"port-security": "auto", "port-security-action": "observe"}}
	config := model.ResolveBridge(bridge)
	row := &model.Interface{UUID: port, Name: port, ExternalIDs: make(map[string]string)}
	for _, word := range strings.Fields(keys) {
		k, v, _ := strings.Cut(word, "=")
		row.ExternalIDs[k] = v
	}
	return VIF{Bridge: "br0", Config: &config, Row: row, Policy: model.Resolve(&config, nil, row), Claims: claims}
}

// claim is a sample, as words: eth, sha, option, spa, source, target, kind, vlans, type, n.
func claim(reason, words string) drops.ClaimCount {
	s := drops.ClaimCount{Reason: reason, Passed: true, Samples: 2}
	s.Claim.EthSrc = mac(own)
	for _, word := range strings.Fields(words) {
		k, v, _ := strings.Cut(word, "=")
		switch k {
		case "eth":
			s.Claim.EthSrc = mac(v)
		case "sha":
			s.Claim.SHA = mac(v)
		case "option":
			s.Claim.Option = mac(v)
		case "spa":
			s.Claim.SPA = netip.MustParseAddr(v)
		case "source":
			s.Claim.Source = netip.MustParseAddr(v)
		case "target":
			s.Claim.Target = netip.MustParseAddr(v)
		case "kind":
			s.Claim.Kind = v
		case "vlans":
			s.Claim.VLANs = v
		case "type":
			if err := s.Claim.EtherType.UnmarshalText([]byte(v)); err != nil {
				panic(err)
			}
		case "n":
			if _, err := fmt.Sscan(v, &s.Samples); err != nil {
				panic(err)
			}
		default:
			panic(word)
		}
	}
	if reason == "arp" && s.Claim.SHA == (model.MAC{}) {
		s.Claim.SHA = s.Claim.EthSrc
	}
	return s
}

func mac(s string) model.MAC {
	m, err := net.ParseMAC(s) // group addresses too
	if err != nil {
		panic(err)
	}
	return model.MAC(m)
}

// many are claims of n addresses, the number in place of %d.
func many(reason, words string, n int) (list []drops.ClaimCount) {
	for i := range n {
		list = append(list, claim(reason, fmt.Sprintf(words, i+10)))
	}
	return list
}

const one = "attached-mac=" + own + " allowed-addresses=192.0.2.10"

func TestAdvise(t *testing.T) {
	web1 := vif("web1", "attached-mac=52:54:00:00:00:31 allowed-addresses=192.0.2.31 allowed-address-pairs=192.0.2.100,192.0.2.101@00:00:5e:00:01:07 vm-id=w1")
	wide := vif("wide", "attached-mac=52:54:00:00:00:32 allowed-addresses=198.51.100.0/24 allowed-address-pairs=0.0.0.0/0")
	rival := vif("rival", "attached-mac=52:54:00:00:00:33 allowed-addresses=192.0.2.33", claim("arp", "eth=52:54:00:00:00:33 spa=192.0.2.77"))
	for _, tc := range []struct {
		name   string
		vif    VIF
		want   []string // verdict, reason and command, or what why has to say
		others []VIF
	}{
		{"nothing", vif("tap1", one), nil, nil},
		{"a forgotten address", vif("tap1", one, claim("arp", "spa=192.0.2.66"), claim("ip", "source=192.0.2.66"), claim("ip", "source=2001:db8::66")),
			[]string{"allow arp vifguard set tap1 --address 192.0.2.10,192.0.2.66,2001:db8::66"}, nil},
		{"an ARP probe and DAD", vif("tap1", one, claim("arp", "spa=0.0.0.0 target=192.0.2.66 kind=probe"), claim("nd", "source=:: target=fe80::1234:5678:9abc:def0 kind=DAD")),
			[]string{"allow arp vifguard set tap1 --address 192.0.2.10,192.0.2.66,fe80::1234:5678:9abc:def0"}, nil},
		{"a gateway's address", vif("tap1", one, claim("arp", "spa=192.0.2.1 kind=x")), []string{"decide arp vifguard set tap1 --address 192.0.2.10,192.0.2.1"}, nil},
		{"answers only", vif("tap1", one, drops.ClaimCount{Reason: "arp", Passed: true, Samples: 1, Claim: frame.Claim{
			EthSrc: mac(own), SHA: mac(own), SPA: netip.MustParseAddr("192.0.2.66"), Kind: "ARP reply"}}),
			[]string{"decide arp vifguard set tap1 --address 192.0.2.10,192.0.2.66"}, nil},
		{"settled", vif("tap1", one+" port-security-allow=router", claim("arp", "spa=192.0.2.10"), claim("router", "kind=RA"), claim("mac", "")),
			[]string{"settled arp", "settled mac", "settled router"}, nil},
		{"another VIF's address", vif("tap1", one, claim("arp", "spa=192.0.2.31")), []string{"suspicious arp owned by web1 (VM w1)."}, nil},
		{"within another VIF's prefix", vif("tap1", one, claim("ip", "source=198.51.100.7")), []string{"suspicious ip owned by wide through 198.51.100.0/24."}, nil},
		{"failover", vif("tap1", one+" allowed-address-pairs=192.0.2.200", claim("arp", "spa=192.0.2.100 n=9")),
			[]string{"decide arp vifguard set tap1 --pair 192.0.2.200,192.0.2.100"}, nil},
		{"two claim it", vif("tap1", one, claim("arp", "spa=192.0.2.77")), []string{"decide arp vifguard set tap1 --pair 192.0.2.77"}, []VIF{rival}},
		{"the metadata service", vif("tap1", one, claim("arp", "spa=169.254.169.254")), []string{"suspicious arp pose as that service"}, nil},
		{"noise", vif("tap1", one, claim("ip", "source=169.254.3.4"), claim("ip", "source=::"), claim("ip", "source=0.0.0.0"), claim("arp", "spa=169.254.3.4")),
			[]string{"harmless ip nobody answers them"}, nil},
		{"malformed IP", vif("tap1", one, claim("ip", "type=0x0800")), []string{"settled ip"}, nil},
		{"a router", vif("fw1", one, many("ip", "source=203.0.113.%d n=20", 9)...), []string{"decide ip vifguard set fw1 --checks mac,arp"}, nil},
		{"a flood", vif("fw1", one, many("ip", "source=203.0.113.%d n=1", 60)...), []string{"decide ip vifguard set fw1 --checks mac,arp", "made-up sources"}, nil},
		{"a router that lies", vif("fw1", one, append(many("ip", "source=203.0.113.%d", 9), claim("arp", "spa=192.0.2.31"))...),
			[]string{"suspicious ip also announces", "suspicious arp owned by web1"}, nil},
		{"privacy addresses", vif("tap1", one, many("ip", "source=2001:db8:1:2::%d:1", 9)...), []string{"decide ip vifguard set tap1 --address 192.0.2.10,2001:db8:1:2::/64"}, nil},
		{"privacy addresses where others are", vif("tap1", one, many("ip", "source=2001:db8:1:2::%d:1", 9)...), []string{"decide ip vifguard set tap1 --checks mac,arp"},
			[]VIF{vif("tap2", "attached-mac=52:54:00:00:00:02 allowed-addresses=2001:db8:1:2::2")}},
		{"VRRP", vif("tap1", one, claim("mac", "eth=00:00:5e:00:01:09 sha=00:00:5e:00:01:09 spa=192.0.2.50"), claim("mac", "eth=00:00:5e:00:01:09 source=192.0.2.10 kind=VRRP")),
			[]string{"decide mac vifguard set tap1 --pair 192.0.2.50@00:00:5e:00:01:09"}, nil},
		{"VRRP of a pair", vif("tap1", one, claim("mac", "eth=00:00:5e:00:01:07 source=192.0.2.10 kind=VRRP")),
			[]string{"decide mac vifguard set tap1 --pair 192.0.2.101@00:00:5e:00:01:07"}, nil},
		{"VRRP without addresses", vif("tap1", one, claim("mac", "eth=00:00:5e:00:01:09 kind=VRRP source=192.0.2.10")), []string{"decide mac --pair ADDRESS@00:00:5e:00:01:09"}, nil},
		{"VRRP for another VIF's address", vif("tap1", one, claim("mac", "eth=00:00:5e:00:01:09 source=192.0.2.31")), []string{"suspicious mac which web1 (VM w1) owns"}, nil},
		{"VRRP where auto checks MACs only", vif("tap1", "attached-mac="+own, claim("mac", "eth=00:00:5e:00:01:09 source=192.0.2.50")),
			[]string{"decide mac vifguard set tap1 --pair 192.0.2.50@00:00:5e:00:01:09 --checks mac"}, nil},
		{"another VIF's MAC", vif("tap1", one, claim("mac", "eth=52:54:00:00:00:31")), []string{"suspicious mac It is the MAC of web1"}, nil},
		{"a foreign MAC", vif("tap1", one, claim("mac", "eth=52:54:00:00:00:99 source=192.0.2.99")), []string{"suspicious mac --pair 192.0.2.99@52:54:00:00:00:99"}, nil},
		{"foreign MACs", vif("tap1", one, claim("mac", "eth=52:54:00:00:00:99"), claim("mac", "eth=52:54:00:00:00:98")),
			[]string{"suspicious mac --checks off", "suspicious mac --checks off"}, nil},
		{"a sender MAC inside", vif("tap1", one, claim("mac", "sha=52:54:00:00:00:31 spa=192.0.2.10")), []string{"suspicious mac It is the MAC of web1"}, nil},
		{"guards", vif("tap1", one, claim("dhcp-server", "kind=OFFER"), claim("router", "kind=RA"), claim("ethertype", "type=0x8863"), claim("ethertype", "type=0x88cc"), claim("ethertype", "type=0x0000")),
			[]string{"decide dhcp-server vifguard set tap1 --allow dhcp-server", "decide router vifguard set tap1 --allow router",
				"decide ethertype vifguard set tap1 --allow ethertype:0x8863", "harmless ethertype --allow ethertype:0x88cc", "harmless ethertype --checks mac",
				"together vifguard set tap1 --allow dhcp-server,router,ethertype:0x8863"}, nil},
		{"malformed", vif("tap1", one, claim("malformed", "kind=NS")), []string{"suspicious malformed no guard lifts it"}, nil},
		{"malformed, with only MACs checked", vif("tap1", one+" port-security=mac", claim("malformed", "kind=NS")), []string{"settled malformed"}, nil},
		{"tags", vif("tap1", one, claim("vlan", "vlans=0"), claim("vlan", "vlans=7"), claim("vlan", "vlans=0,7")),
			[]string{"suspicious vlan hop", "decide vlan vifguard set tap1 --allow vlan-trunk", "allow vlan vifguard set tap1 --allow priority-tag",
				"together vifguard set tap1 --allow vlan-trunk,priority-tag"}, nil},
		{"no MAC", vif("tap1", "allowed-addresses=192.0.2.10", claim("blocked", "eth=52:54:00:00:00:77")), []string{"decide blocked vifguard set tap1 --mac 52:54:00:00:00:77"}, nil},
		{"no MAC, and another's", vif("tap1", "allowed-addresses=192.0.2.10", claim("blocked", "eth=52:54:00:00:00:31")), []string{"suspicious blocked MAC of web1"}, nil},
		{"blocked", vif("tap1", one+" port-security=block", claim("blocked", "")), []string{"harmless blocked Its metadata says so"}, nil},
		{"an odd name", vif("tap$(1)", one, claim("arp", "spa=192.0.2.66")), []string{"allow arp vifguard set 'tap$(1)' --address 192.0.2.10,192.0.2.66"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			vifs := append([]VIF{tc.vif, web1, wide}, tc.others...)
			a := NewHost(vifs, nil).Advise(&vifs[0])
			compare(t, a, tc.want)
			obey(t, vifs, a)
		})
	}
}

// compare looks for one finding a line. Lines without a reason are looked for anywhere.
func compare(t *testing.T, a Advice, want []string) {
	t.Helper()
	var got []string
	for _, f := range a.Findings {
		got = append(got, fmt.Sprintf("%s %s %s %s", f.Verdict, f.Reason, f.Command, f.Why))
		if (f.Verdict != Decide && f.Verdict != Allow) && f.Command != "" {
			t.Errorf("a command for what is %s: %s", f.Verdict, f.Command)
		}
	}
	if a.Together != "" {
		got = append(got, "together "+a.Together)
	}
	all := strings.Join(got, "\n")
	n := 0
	for _, w := range want {
		words := strings.SplitN(w, " ", 3)
		switch words[0] {
		case "suspicious", "decide", "allow", "unknown", "harmless", "settled", "together":
			if n >= len(got) || !strings.HasPrefix(got[n], words[0]+" "+words[1]) || len(words) > 2 && !strings.Contains(got[n], words[2]) {
				t.Errorf("finding %d isn't %q:\n%s", n+1, w, all)
			}
			n++
		default:
			if !strings.Contains(all, w) {
				t.Errorf("nothing says %q:\n%s", w, all)
			}
		}
	}
	if n != len(got) {
		t.Errorf("want %d findings:\n%s", n, all)
	}
}

// obey does what the commands say: they are settled then, all else stays as it was, and
// nothing that was allowed before is refused.
func obey(t *testing.T, vifs []VIF, a Advice) {
	t.Helper()
	v := &vifs[0]
	before := v.Policy
	var stay []string
	set := make(map[string]string)
	for _, f := range a.Findings {
		if f.set == nil && f.Verdict != Settled {
			stay = append(stay, string(f.Verdict)+" "+f.What)
		}
		for k, value := range f.set {
			if k != model.KeyChecks {
				value = union(set[k], value)
			}
			set[k] = value
		}
	}
	row := *v.Row
	row.ExternalIDs = make(map[string]string)
	for k, value := range v.Row.ExternalIDs {
		row.ExternalIDs[k] = value
	}
	for k, value := range set {
		row.ExternalIDs[k] = value
	}
	v.Row, v.Policy = &row, model.Resolve(v.Config, nil, &row)
	for _, b := range before.Bindings {
		if !bound(&v.Policy, []model.MAC{b.MAC}, b.Prefix.Addr(), b.IPOnly()) {
			t.Errorf("%s was lost", b)
		}
	}
	if len(v.Policy.Problems) > len(before.Problems) {
		t.Errorf("problems: %v", v.Policy.Problems)
	}
	var left []string
	for _, f := range NewHost(vifs, nil).Advise(v).Findings {
		if f.Verdict != Settled {
			left = append(left, string(f.Verdict)+" "+f.What)
		}
	}
	if d := cmp.Diff(stay, left); d != "" {
		t.Errorf("after the commands (-want +got):\n%s", d)
	}
}

// What only counters tell of can't be judged, and isn't passed over.
func TestUnknown(t *testing.T) {
	v := vif("tap1", one, claim("arp", "spa=192.0.2.31"))
	v.Drops = map[string]uint64{"ip": 7, "arp": 2, "nd": 0, "flood": 9}
	v.Others = 12
	a := NewHost([]VIF{v}, nil).Advise(&v)
	compare(t, a, []string{"allow arp vifguard set tap1 --address 192.0.2.10,192.0.2.31", "unknown ip", "unknown any"})
}

// A command with many addresses stays one that a shell and vifguard set understand.
func TestLongCommands(t *testing.T) {
	var addresses []string
	for i := range 12 {
		addresses = append(addresses, fmt.Sprintf("2001:db8:aaaa:bbbb:cccc:dddd:eeee:%x", i+0x1000))
	}
	v := vif("tap1", "attached-mac="+own+" allowed-addresses="+strings.Join(addresses, ","), claim("arp", "spa=192.0.2.66"))
	command := NewHost([]VIF{v}, nil).Advise(&v).Findings[0].Command
	var got []string
	for _, part := range strings.Split(command, " --address ")[1:] {
		if len(part) > 70 {
			t.Errorf("a long word: %s", part)
		}
		got = append(got, strings.Split(part, ",")...)
	}
	if d := cmp.Diff(append(addresses, "192.0.2.66"), got); d != "" {
		t.Error(d)
	}
}
