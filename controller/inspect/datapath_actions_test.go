package inspect

import "testing"

// Only what goes to vifguard's agent, to collectors or nowhere isn't forwarded; what isn't
// known is.
func TestForwards(t *testing.T) {
	const (
		sample  = "sample(sample=100.0%,actions(meter(1),userspace(pid=0,controller(reason=1,rule_cookie=0x766704596c471b23,controller_id=3,max_len=256))))"
		foreign = "userspace(pid=0,controller(reason=1,dont_send=0,rule_cookie=0x5,controller_id=0,max_len=65535))"
		again   = "push_mpls(label=0,tc=0,ttl=0,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800),recirc(0x4)"
	)
	for _, test := range []struct {
		actions string
		own     bool // recirculation
		want    bool
	}{
		{"", false, false},
		{"drop", false, false},
		{"2", false, true},
		{"100,2", false, true},
		{"tap1", false, true},
		{sample, false, false},
		{sample + ",2", false, true},
		{foreign, false, true},
		{"userspace(pid=0,controller(reason=1))", false, true},
		{"userspace(pid=4294967295,sFlow(vid=0,pcp=0,output=0),actions)", false, false},
		{again, true, false},
		{again, false, true},
		{"2," + again, true, true},
		{"ct(zone=1),recirc(0x2)", true, true},
		{"clone(tnl_push(tnl_port(4)))", false, true},
		{"check_pkt_len(size=85,gt(drop),le(meter(1),drop))", false, false},
		{"check_pkt_len(size=85,gt(drop),le(3))", false, true},
		{"sample(sample=50.0%,actions(7))", false, true},
		{"something_new(1)", false, true},
		{"set(eth(src=52:54:00:00:00:01)),pop_vlan", false, false},
	} {
		if got := forwards(test.actions, test.own); got != test.want {
			t.Errorf("%q, own recirculation %v: %v", test.actions, test.own, got)
		}
	}
}
