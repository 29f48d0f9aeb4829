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
`, 60)
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

// Hidden flows have priorities that no flow of OpenFlow can have.
func TestParseTraceOfHiddenFlows(t *testing.T) {
	got := ParseTrace(` 0. arp,arp_spa=10.0.0.1,arp_op=1, priority 180006
    NORMAL
 0. priority 15790320
    NORMAL
 0. priority 65535
    drop
`, 60)
	want := []Step{
		{Priority: 180006, Match: "arp_op=1,arp_spa=10.0.0.1,dl_type=2054", Actions: []string{"NORMAL"}},
		{Priority: 15790320, Actions: []string{"NORMAL"}},
		{Priority: 65535, Actions: []string{"drop"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, hidden := range []bool{true, true, false} {
		if want[i].IsHidden() != hidden {
			t.Errorf("priority %d: hidden %v", want[i].Priority, !hidden)
		}
	}
}

// A packet takes one of the ways behind a question for its length.
func TestParseTraceByLength(t *testing.T) {
	const output = `bridge("br0")
-------------
 3. icmp6,in_port=1, priority 40400, cookie 0x1
    load:0x10003->NXM_NX_REG15[]
    check_pkt_larger(85)->NXM_NX_REG15[7]
    load:0x1->NXM_NX_REG15[5]
    resubmit(,104)
     104. icmp6,reg15=0x80/0x80, priority 9
            push_mpls:0x8847
            pop_mpls:0x86dd
    load:0x1->NXM_NX_REG15[5]
    resubmit(,104)
104. reg15=0/0x80, priority 5
    goto_table:6
 6. priority 1
    NORMAL
     -> no learned MAC for destination, flooding
`
	asks := Step{Table: 3, Priority: 40400, Cookie: 1, Match: "dl_type=34525,in_port=1,nw_proto=58", Actions: []string{
		"load:0x10003->NXM_NX_REG15[]", "check_pkt_larger(85)->NXM_NX_REG15[7]", "load:0x1->NXM_NX_REG15[5]", "resubmit(,104)"}}
	longer := Step{Table: 104, Priority: 9, Match: "dl_type=34525,nw_proto=58,reg15=128/128", Actions: []string{"push_mpls:0x8847", "pop_mpls:0x86dd"}}
	other := Step{Table: 104, Priority: 5, Match: "reg15=0/128", Actions: []string{"goto_table:6"}}
	exit := Step{Table: 6, Priority: 1, Actions: []string{"NORMAL", "-> no learned MAC for destination, flooding"}}
	for length, want := range map[int][]Step{85: {asks, other, exit}, 86: {asks, longer}} {
		if diff := cmp.Diff(want, ParseTrace(output, length)); diff != "" {
			t.Errorf("length %d (-want +got):\n%s", length, diff)
		}
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add(" 0. in_port=1,dl_vlan=5, priority 4, cookie 0x1\n    drop\n")
	f.Fuzz(func(_ *testing.T, s string) { ParseTrace(s, len(s)) })
}
