package main

import (
	"strings"
	"testing"

	"github.com/vifguard/vifguard/model"
)

// A bridge that something else programs isn't guarded by mistake.
func TestGuardRefusesForeignBridges(t *testing.T) {
	for name, test := range map[string]struct {
		set  []string
		want string
	}{
		"OVN":               {[]string{"set", "Open_vSwitch", ".", "external_ids:ovn-remote=unix:/run/ovn/ovnsb_db.sock", "external_ids:ovn-bridge=br0"}, "programmed by OVN"},
		"OVN, another name": {[]string{"set", "Bridge", "br0", "external_ids:ct-zone-p1=3"}, "its external_ids has ct-zone-p1"},
		"Neutron":           {[]string{"set-controller", "br0", "punix:unused.ctl"}, "ovs-vsctl get-controller br0"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsole(t)
			c.MustVsctl(test.set...)
			out, err := c.run("guard", "br0")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("guard: %v, want %q\n%s", err, test.want, out)
			}
			if ids, err := c.Map("Bridge", "br0", "external_ids"); err != nil || ids[model.KeyChecks] != "" {
				t.Errorf("refused, but written: %v, %v", ids, err)
			}
			if out := c.must("guard", "br0", "--force"); !strings.Contains(out, "is guarded") {
				t.Errorf("guard --force: %s", out)
			}
		})
	}
	t.Run("OVN on another bridge", func(t *testing.T) {
		c := newConsole(t)
		c.MustVsctl("set", "Open_vSwitch", ".", "external_ids:ovn-remote=unix:/run/ovn/ovnsb_db.sock")
		c.must("guard", "br0")
	})
}
