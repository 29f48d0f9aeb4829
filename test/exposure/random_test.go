package exposure

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/controller/exposure"
)

// randomFlows are flows of somebody else, in front of the stages at table 10, between
// them and behind, with every kind of action that leads anywhere.
func randomFlows(rnd *rand.Rand) string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	table := func() string { return pick("1", "2", "3", "10", "10", "10", "11", "14", "16", "100") }
	var b strings.Builder
	for range 1 + rnd.IntN(8) {
		actions := pick("drop", "NORMAL", "output:9", "output:2", "resubmit(,"+table()+")", "resubmit(9,"+table()+")",
			"clone(resubmit(,"+table()+"))", "clone(output:2)", "set_field:9->in_port,resubmit(,"+table()+")", "set_field:1->reg15,resubmit(,"+table()+")",
			"resubmit(,"+table()+"),resubmit(,"+table()+")", "group:7", "note:01", "CONTROLLER")
		if rnd.IntN(4) == 0 {
			actions = pick("goto_table:10", "write_actions(output:9),goto_table:10", "output:2,goto_table:10", "goto_table:100", "goto_table:16")
		}
		fmt.Fprintf(&b, "cookie=1,table=%s,priority=%s,%sactions=%s\n", pick("0", "0", "0", "1", "2", "3"), pick("1", "5", "9", "50000"),
			pick("", "", "in_port=1,", "in_port=2,", "in_port=9,", "udp,", "arp,", "tcp,", "dl_src=02:00:00:00:00:66,", "in_port=1,udp,", "in_port=1,arp,"), actions)
		if rnd.IntN(3) == 0 {
			fmt.Fprintf(&b, "cookie=1,table=%s,priority=%s,%sactions=%s\n", pick("10", "12", "15", "16", "100"), pick("1", "50000"),
				pick("", "in_port=1,", "udp,"), pick("drop", "NORMAL", "goto_table:100", "output:2", "resubmit(,16)"))
		}
	}
	return b.String()
}

// TestRandomFlows: whatever others put into the switch, a forged frame that comes out of it
// is a VIF's that is said to be exposed.
func TestRandomFlows(t *testing.T) {
	s := newScene(t, "external_ids:port-security-first-table=10")
	s.MustOfctl("add-group", s.Mgmt(bridge), "group_id=7,type=all,bucket=output:9")
	file := filepath.Join(t.TempDir(), "flows")
	passed, told := 0, 0
	for seed := range uint64(150) {
		flows := randomFlows(rand.New(rand.NewPCG(seed, 7)))
		if err := os.WriteFile(file, []byte(flows), 0o600); err != nil {
			t.Fatal(err)
		}
		s.MustOfctl("del-flows", s.Mgmt(bridge), "cookie=1/-1")
		if _, err := s.Ofctl("--bundle", "add-flows", s.Mgmt(bridge), file); err != nil {
			continue // such as a goto_table that leads back
		}
		list := s.findings()
		for _, vif := range []string{"vif1", "vif2"} {
			reached, err := s.Reach(vif, forged())
			passes := len(reached) > 0 || err != nil && strings.Contains(err.Error(), "twice")
			exposed := exposure.Of(list, vif) != nil
			if passes {
				passed++
			}
			if exposed {
				told++
			}
			if passes && !exposed {
				t.Errorf("seed %d: a forged frame of %s reaches %d ports, and nothing tells:\n%s", seed, vif, len(reached), flows)
			}
		}
	}
	t.Logf("forged frames passed %d times, exposed %d times", passed, told)
	if passed < 50 || told == 300 {
		t.Errorf("%d passed, %d told: these flows show nothing", passed, told)
	}
}
