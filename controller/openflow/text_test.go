package openflow_test

import (
	"strings"
	"testing"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
)

// A flow reads like the rule that it came from.
func TestTextOfEveryRule(t *testing.T) {
	for _, p := range []flows.Pipeline{{First: 0, Exit: -1}, {First: 40, Exit: 100}} {
		for _, r := range everyRule() {
			e, err := openflow.Encode(&r, p)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := openflow.Text(&e), r.Text(p); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
}

// Flows of others read as nearly as possible as ovs-ofctl prints them, and never as
// something that they aren't.
func TestTextOfOthersFlows(t *testing.T) {
	sw, c, ctx := start(t)
	for flow, want := range map[string]string{
		"priority=1,dl_src=02:00:00:00:00:00/02:00:00:00:00:00,actions=NORMAL":      "priority=1,dl_src=02:00:00:00:00:00/02:00:00:00:00:00 actions=NORMAL",
		"priority=2,ip,nw_src=10.0.0.1/255.0.0.255,actions=drop":                    "priority=2,dl_type=0x0800,nw_src=0x0a000001/0xff0000ff actions=drop",
		"priority=3,tcp,tp_dst=22,actions=output:5,LOCAL":                           "priority=3,dl_type=0x0800,nw_proto=6,tcp_dst=0x0016 actions=output:5,LOCAL",
		"priority=4,dl_dst=ff:ff:ff:ff:ff:ff,reg3=0x7,actions=resubmit(,9)":         "priority=4,dl_dst=ff:ff:ff:ff:ff:ff,reg3=0x00000007 actions=resubmit(,9)",
		"priority=5,ct_state=+trk,ip,actions=ct(table=9)":                           "priority=5,dl_type=0x0800,oxm(0x0001,105)=0x00000020/0x00000020 actions=nicira(35)",
		"priority=6,ip,nw_frag=later,actions=write_actions(output:3),goto_table:9":  "priority=6,dl_type=0x0800,ip_frag=0x03 actions=write_actions(output:3),goto_table:9",
		"priority=7,actions=load:0x1->OXM_OF_METADATA[3..5],mod_vlan_vid:5,IN_PORT": "priority=7 actions=load:0x1->oxm(0x8000,2)[3..5],action(17),action(25),IN_PORT",
	} {
		sw.MustOfctl("del-flows", sw.Mgmt("br0"))
		sw.MustOfctl("add-flow", sw.Mgmt("br0"), flow)
		got, err := c.Flows(ctx, 0, 0)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d flows, %v", len(got), err)
		}
		if text := openflow.Text(&got[0].Entry); !strings.HasSuffix(text, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", flow, text, want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, r := range everyRule() {
		e, err := openflow.Encode(&r, flows.Pipeline{Exit: 9})
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(e.Match), []byte(e.Instructions))
	}
	f.Fuzz(func(_ *testing.T, match, instructions []byte) {
		e := flows.Entry{Key: flows.Key{Match: string(match)}, Instructions: string(instructions)}
		_ = openflow.Text(&e)
	})
}
