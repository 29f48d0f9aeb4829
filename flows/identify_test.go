package flows

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTrace(t *testing.T) {
	got := ParseTrace(`Flow: arp,in_port=1,vlan_tci=0x0000

bridge("br0")
-------------
 0. in_port=1, priority 40400, cookie 0x7667004169cc01f7
    load:0x10003->NXM_NX_REG15[]
    goto_table:1
10. icmp6,reg15=0/0x20,nw_frag=first,icmp_type=0, priority 40299, cookie 0x7667000000000000
    goto_table:11
11. priority 40000
    NORMAL
     -> no learned MAC for destination, flooding
12. No match.
    drop

Final flow: unchanged
Datapath actions: 100,2
`)
	want := []Step{
		{Table: 0, Priority: 40400, Cookie: 0x7667004169cc01f7, Match: "in_port=1", Actions: []string{"load:0x10003->NXM_NX_REG15[]", "goto_table:1"}},
		{Table: 10, Priority: 40299, Cookie: 0x7667000000000000, Match: "dl_type=34525,icmpv6_type=0,ip_frag=first,nw_proto=58,reg15=0/32", Actions: []string{"goto_table:11"}},
		{Table: 11, Priority: 40000, Actions: []string{"NORMAL", "-> no learned MAC for destination, flooding"}},
		{Table: 12, NoMatch: true, Actions: []string{"drop"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add(" 0. in_port=1,dl_vlan=5, priority 4, cookie 0x1\n    drop\n")
	f.Fuzz(func(_ *testing.T, s string) { ParseTrace(s) })
}
