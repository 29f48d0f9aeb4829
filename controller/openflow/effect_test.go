package openflow_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/openflow"
	"github.com/vifguard/vifguard/flows"
)

// effects are flows as ovs-ofctl takes them, and what is to be known of each.
var effects = map[string]openflow.Effect{
	"drop":                                 {},
	"clear_actions":                        {},
	"goto_table:9":                         {Tables: []uint8{9}},
	"resubmit(,9),resubmit(,4)":            {Tables: []uint8{4, 9}},
	"resubmit(,3)":                         {Tables: []uint8{3}},
	"resubmit(1,9)":                        {Unclear: "resubmit as another port"},
	"resubmit:1":                           {Unclear: "resubmit as another port"},
	"NORMAL":                               {Output: true},
	"output:5":                             {Output: true},
	"IN_PORT":                              {Output: true},
	"FLOOD,goto_table:9":                   {Output: true, Tables: []uint8{9}},
	"write_actions(output:3),goto_table:9": {Output: true, Tables: []uint8{9}},
	"write_actions(set_field:02:00:00:00:00:01->eth_dst)": {},
	"output(port=5,max_len=64)":                           {Output: true},
	"output:NXM_NX_REG1[]":                                {Output: true},
	"enqueue:5:1":                                         {Output: true},
	"group:7":                                             {Output: true},
	"bundle(eth_src,0,active_backup,ofport,members:4,5)": {Output: true},
	"CONTROLLER":                       {Unclear: "CONTROLLER"},
	"controller(id=3,reason=no_match)": {Unclear: "CONTROLLER"},
	"controller(userdata=01,pause)":    {Unclear: "CONTROLLER"},
	"learn(table=2,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),goto_table:9": {Tables: []uint8{9}, Unclear: "learn"},
	"learn(table=2,limit=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])":                              {Unclear: "learn"},
	"clone(output:5),goto_table:9":                                                          {Output: true, Tables: []uint8{9}},
	"clone(set_field:1->reg1,resubmit(,8))":                                                 {Tables: []uint8{8}},
	"ct(table=9)":                                                                           {Tables: []uint8{9}},
	"ct(commit,zone=5,exec(set_field:1->ct_mark))":                                          {},
	"ct(commit,table=9,exec(set_field:1->ct_mark))":                                         {Tables: []uint8{9}},
	"ct(commit,nat(src=192.0.2.1)),ct_clear,goto_table:9":                                   {Tables: []uint8{9}},
	"set_field:5->in_port,goto_table:9":                                                     {Tables: []uint8{9}, Unclear: "set in_port"},
	"load:5->NXM_OF_IN_PORT[],goto_table:9":                                                 {Tables: []uint8{9}, Unclear: "set in_port"},
	"move:NXM_NX_REG1[0..15]->NXM_OF_IN_PORT[],goto_table:9":                                {Tables: []uint8{9}, Unclear: "set in_port"},
	"push:NXM_OF_IN_PORT[],pop:NXM_OF_IN_PORT[]":                                            {Unclear: "set in_port"},
	"set_field:02:00:00:00:00:01->eth_src,push_vlan:0x8100,set_field:4101->vlan_vid,strip_vlan,dec_ttl,set_queue:1,pop_queue,note:01,write_metadata:0x1,goto_table:9": {Tables: []uint8{9}},
	"set_field:1->reg15,load:0x1->NXM_NX_REG1[0..3],move:NXM_NX_REG1[]->NXM_NX_REG2[],push:NXM_NX_REG1[],pop:NXM_NX_REG2[],goto_table:9":                              {Tables: []uint8{9}},
	"check_pkt_larger(100)->NXM_NX_REG0[0],set_tunnel:5,fin_timeout(idle_timeout=1),exit":                                                                             {},
	"multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])":                                                                                                                {Unclear: "nicira(10)"},
	"check_pkt_larger(100)->NXM_OF_IN_PORT[0]":                                                                                                                        {Unclear: "set in_port"},
	"decap": {Unclear: "nicira(47)"},
}

// TestEffects reads what a real switch made of each flow.
func TestEffects(t *testing.T) {
	sw, c, ctx := start(t)
	sw.MustOfctl("add-group", sw.Mgmt("br0"), "group_id=7,type=all,bucket=output:5")
	for actions, want := range effects {
		sw.MustOfctl("del-flows", sw.Mgmt("br0"))
		match := "tcp"
		if actions == "decap" {
			match = "dl_src=02:00:00:00:00:01"
		}
		sw.MustOfctl("add-flow", sw.Mgmt("br0"), fmt.Sprintf("table=3,%s,actions=%s", match, actions))
		got, err := c.Flows(ctx, 0, 0)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %d flows, %v", actions, len(got), err)
		}
		if diff := cmp.Diff(want, openflow.EffectOf(&got[0].Entry)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", actions, diff)
		}
	}
}

func TestInPortOf(t *testing.T) {
	sw, c, ctx := start(t)
	for match, want := range map[string]struct {
		port uint32
		only bool
	}{
		"":                                   {0, true},
		"in_port=5":                          {5, true},
		"in_port=LOCAL":                      {0xfffffffe, true},
		"in_port=5,dl_src=02:00:00:00:00:01": {5, false},
		"udp,tp_dst=67":                      {0, false},
	} {
		sw.MustOfctl("del-flows", sw.Mgmt("br0"))
		sw.MustOfctl("add-flow", sw.Mgmt("br0"), match+",actions=drop")
		got, err := c.Flows(ctx, 0, 0)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %d flows, %v", match, len(got), err)
		}
		if port, only := openflow.InPortOf(&got[0].Entry); port != want.port || only != want.only {
			t.Errorf("%q: port %#x, only %t", match, port, only)
		}
	}
}

// The stages' own rules drop or stay inside the pipeline; only the exit leaves it.
func TestEffectOfEveryRule(t *testing.T) {
	for _, p := range []flows.Pipeline{{First: 0, Exit: -1}, {First: 40, Exit: 100}} {
		for _, r := range everyRule() {
			e, err := openflow.Encode(&r, p)
			if err != nil {
				t.Fatal(err)
			}
			fx := openflow.EffectOf(&e)
			leaves := r.Actions.Next == flows.Leave
			if r.Actions.Sample == nil && (fx.Unclear != "" || fx.Output != (leaves && p.Exit < 0)) {
				t.Errorf("%s: %+v", r.Text(p), fx)
			}
			if fx.Drops() != (r.Actions.Next == flows.Drop && r.Actions.Sample == nil) {
				t.Errorf("%s: drops %t", r.Text(p), fx.Drops())
			}
		}
	}
}

// FuzzEffect: no bytes make it panic, and what can't be read isn't a drop.
func FuzzEffect(f *testing.F) {
	for _, r := range everyRule() {
		e, err := openflow.Encode(&r, flows.Pipeline{Exit: 9})
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(e.Match), []byte(e.Instructions))
	}
	f.Fuzz(func(t *testing.T, match, instructions []byte) {
		e := flows.Entry{Key: flows.Key{Match: string(match)}, Instructions: string(instructions)}
		fx := openflow.EffectOf(&e)
		openflow.InPortOf(&e)
		if n := len(instructions); n > 0 && n < 8 && fx.Drops() {
			t.Errorf("%x drops", instructions)
		}
	})
}
