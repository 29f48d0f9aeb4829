package main

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// What is said of one port is what is said of it among all, whatever it is.
func TestOnePortIsAsAmongAll(t *testing.T) {
	c := newConsole(t)
	for i, ids := range []map[string]string{
		{"attached-mac": "52:54:00:00:00:02", "port-security-action": "observe", "allowed-addresses": "192.0.2.2"},
		{"port-security": "block"},
		{"attached-mac": "52:54:00:00:00:04", "port-security": "off"},
		{"attached-mac": "nonsense"},
	} {
		c.MustPort("br0", "vif"+strconv.Itoa(i), lab.PortOptions{OFPort: 10 + i, ExternalIDs: ids})
	}
	c.must("guard", "br0")
	stop := c.agent()
	c.must("wait", "tap1")
	c.must("wait", "vif3", "--state", "blocked")
	c.MustReach("tap1", lab.RARPAnnounce(lab.MustMAC("52:54:00:00:00:66")))
	c.MustPurge()
	stop()
	// A flow that nobody asks for shows in both ways.
	c.MustOfctl("add-flow", "br0", "table=2,priority=3,cookie=0x"+cookieOf(c, "vif0")+",actions=drop")
	o := options{endpoint: c.Endpoint()}
	s, err := o.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	b := s.Host().Bridge("br0")
	all := s.inspect(b)
	if all.Switch != nil || all.InForce() || len(all.Ports) != 7 {
		t.Fatalf("the whole bridge: %d ports, in force %v, %v", len(all.Ports), all.InForce(), all.Switch)
	}
	ignore := cmpopts.IgnoreFields(inspect.RuleInspection{}, "Age")
	compare := cmp.Options{ignore, cmp.Exporter(func(reflect.Type) bool { return true }), cmp.Comparer(func(a, b *model.Interface) bool { return a.UUID == b.UUID })}
	for i := range all.Ports {
		want := &all.Ports[i]
		alone, err := o.openFor(t.Context(), want.Row.Name)
		if err != nil {
			t.Fatal(err)
		}
		defer alone.close()
		its, row := alone.Host().FindInterface(want.Row.Name)
		if len(its.Interfaces) != 1 && want.Row.Name != "br0" {
			t.Errorf("%s: the session knows %d ports", want.Row.Name, len(its.Interfaces))
		}
		one := alone.inspect(its, row)
		if len(one.Ports) != 1 {
			t.Fatalf("%s: %d ports", want.Row.Name, len(one.Ports))
		}
		if diff := cmp.Diff(*want, one.Ports[0], compare); diff != "" {
			t.Errorf("%s (-among all +alone):\n%s", want.Row.Name, diff)
		}
		if diff := cmp.Diff(all.Shared, one.Shared, compare); diff != "" {
			t.Errorf("shared, beside %s (-among all +alone):\n%s", want.Row.Name, diff)
		}
	}
}

// Waiting for a switch that has nothing to say costs it little, whatever else happens in
// OVSDB meanwhile.
func TestWaitAsksTheSwitchSeldom(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	c.must("set", "tap1", "--address", "192.0.2.1")
	stop := c.agent()
	c.must("wait", "tap1")
	stop()
	messages := func() int {
		n, err := strconv.Atoi(strings.TrimSpace(c.MustAppctl("coverage/read-counter", "ofproto_recv_openflow")))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := messages()
	c.must("explain", "tap1")
	once := messages() - before
	if once == 0 {
		t.Fatal("explain asks the switch nothing")
	}
	c.must("set", "tap1", "--address", "192.0.2.2") // which nobody programs
	before = messages()
	end := c.later("wait", "tap1", "--timeout", "1s")
	for i := range 40 {
		c.MustSetIDs("eth0", map[string]string{"other": strconv.Itoa(i)})
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := end(); exit.Code(err) != exit.Timeout {
		t.Errorf("wait: %v", err)
	}
	if asked := (messages() - before) / once; asked < 2 || asked > 12 {
		t.Errorf("the switch was asked %d times within a second: %d messages, once takes %d", asked, messages()-before, once)
	}
}
