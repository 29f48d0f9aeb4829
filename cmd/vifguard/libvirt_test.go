package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const libvirtUUID = "6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11" // tap1's vm-id

func libvirtXML(port string) string {
	return fmt.Sprintf(`<domain type='qemu'><name>web1</name><uuid>%s</uuid>
  <metadata><v:ports xmlns:v="https://vifguard.org/libvirt/1">%s</v:ports></metadata>
  <devices><interface type='bridge'><mac address='52:54:00:00:00:01'/><virtualport type='openvswitch'/></interface></devices></domain>`, libvirtUUID, port)
}

// hook runs the hook as libvirt does, and returns both outputs.
func (c *console) hook(operation, port string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	root := newRoot(&out, &errs)
	root.SetArgs([]string{"--ovsdb", c.Endpoint(), "libvirt-hook", "web1", operation, "begin", "-"})
	root.SetIn(strings.NewReader(libvirtXML(port)))
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	err = root.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

// What libvirt and others wrote on tap1, and nothing of the agent's.
func (c *console) inputIDs() map[string]string {
	c.t.Helper()
	ids := c.MustIDs("tap1")
	maps.DeleteFunc(ids, func(k, _ string) bool { return strings.HasPrefix(k, "vifguard-") })
	return ids
}

func TestLibvirtHook(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0", "--checks", "mac,arp,ip")
	stop := c.agent()
	defer stop()
	c.awaitState("tap1", "enforced")
	before := c.inputIDs()

	const port = `<v:port mac="52:54:00:00:00:01" addresses="192.0.2.1" pairs="192.0.2.100"/>`
	for _, operation := range []string{"prepare", "migrate", "restore", "stopped", "release"} {
		if out, errs, err := c.hook(operation, port); err != nil || out+errs != "" {
			t.Errorf("%s: %v\n%s%s", operation, err, out, errs)
		}
	}
	if diff := cmp.Diff(before, c.inputIDs()); diff != "" {
		t.Errorf("written before there is an interface or after it has gone (-before +after)\n%s", diff)
	}

	out, errs, err := c.hook("start", port)
	if err != nil || out+errs != "" {
		t.Fatalf("start: %v\n%s%s", err, out, errs)
	}
	ids := c.MustIDs("tap1") // the hook has waited
	if ids["vifguard-seq"] == "" || ids["vifguard-seq"] != ids["port-security-seq"] || ids["vifguard-checks"] != "mac,arp,ip" {
		t.Errorf("after start: %v", ids)
	}
	want := maps.Clone(before)
	want["allowed-addresses"], want["allowed-address-pairs"] = "192.0.2.1", "192.0.2.100"
	want["port-security-for"], want["port-security-seq"] = "52:54:00:00:00:01", ids["port-security-seq"]
	if diff := cmp.Diff(want, c.inputIDs()); diff != "" {
		t.Errorf("after start (-want +got)\n%s", diff)
	}

	// In force already: nothing is written. A change is, and keys without an attribute go.
	if _, _, err := c.hook("started", port); err != nil || c.MustIDs("tap1")["port-security-seq"] != want["port-security-seq"] {
		t.Errorf("started: %v, %v", err, c.MustIDs("tap1"))
	}
	if _, _, err := c.hook("reconnect", `<v:port mac="52:54:00:00:00:01" addresses="192.0.2.2"/>`); err != nil {
		t.Error(err)
	}
	if ids := c.MustIDs("tap1"); ids["allowed-addresses"] != "192.0.2.2" || ids["allowed-address-pairs"] != "" || ids["vifguard-seq"] == want["port-security-seq"] {
		t.Errorf("after reconnect: %v", ids)
	}
}

// A tap's name that is used again brings nothing of the guest that had it before: libvirt
// rewrites attached-mac and vm-id only.
func TestLibvirtHookOnANameUsedAgain(t *testing.T) {
	leftovers := map[string]string{
		"allowed-addresses": "192.0.2.66", "allowed-address-pairs": "192.0.2.67", "port-security": "mac", "port-security-allow": "router",
		"port-security-action": "observe", "port-profile": "old", "port-security-seq": "1",
	}
	operators := map[string]string{"allowed-addresses": "192.0.2.5", "port-security-for": "52:54:00:00:00:01"}
	hooks := map[string]string{"allowed-addresses": "192.0.2.5", "port-security-for": "52:54:00:00:00:01", "port-security-seq": "libvirt-X"}
	const stated = `<v:port mac="52:54:00:00:00:01" addresses="192.0.2.1"/>`
	for name, test := range map[string]struct {
		left      map[string]string
		operation string
		port      string
		want      map[string]string // beside attached-mac, vm-id and port-security-seq
	}{
		"with metadata":                   {leftovers, "start", stated, map[string]string{"allowed-addresses": "192.0.2.1", "port-security-for": "52:54:00:00:00:01"}},
		"with metadata, on reconnect":     {leftovers, "reconnect", stated, map[string]string{"allowed-addresses": "192.0.2.1", "port-security-for": "52:54:00:00:00:01"}},
		"without":                         {leftovers, "start", "", map[string]string{}},
		"without, once it has started":    {leftovers, "started", "", map[string]string{}},
		"without, while it runs":          {map[string]string{"allowed-addresses": "192.0.2.5"}, "reconnect", "", map[string]string{"allowed-addresses": "192.0.2.5"}},
		"without, written by an operator": {operators, "start", "", operators},
		"without, written by a hook":      {hooks, "start", "", map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConsole(t)
			c.must("guard", "br0", "--checks", "mac,arp,ip")
			c.MustSetIDs("tap1", map[string]string{"attached-mac": "52:54:00:00:00:66"})
			c.MustSetIDs("tap1", test.left)
			defer c.agent()()
			c.MustWait("the leftovers to be in force", func() (bool, error) { return c.MustIDs("tap1")["vifguard-state"] != "", nil })
			c.MustSetIDs("tap1", map[string]string{"attached-mac": "52:54:00:00:00:01"}) // as libvirt does
			if _, errs, err := c.hook(test.operation, test.port); err != nil {
				t.Fatalf("%v\n%s", err, errs)
			}
			got := c.inputIDs()
			delete(got, "attached-mac")
			delete(got, "vm-id")
			delete(got, "port-security-seq")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			state := "enforced"
			if test.want["allowed-addresses"] == "" {
				c.awaitState("tap1", state) // the hook doesn't wait for what nothing is stated of
			} else if s := c.MustIDs("tap1")["vifguard-state"]; s != state {
				t.Errorf("state %s", s)
			}
		})
	}
}

func TestLibvirtHookRefuses(t *testing.T) {
	c := newConsole(t)
	c.must("guard", "br0")
	const (
		bad  = `<v:port mac="52:54:00:00:00:01" addresses="192.0.2.300"/>`
		good = `<v:port mac="52:54:00:00:00:01" addresses="192.0.2.1"/>`
	)
	before := c.inputIDs()
	for _, operation := range []string{"prepare", "migrate", "restore", "start", "started"} {
		_, _, err := c.hook(operation, bad)
		if want := `domain web1: port 52:54:00:00:00:01: addresses: "192.0.2.300" is not an IP address`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", operation, err, want)
		}
	}
	for _, operation := range []string{"reconnect", "attach"} { // libvirt would kill the domain
		if _, errs, err := c.hook(operation, bad); err != nil || !strings.Contains(errs, "192.0.2.300") {
			t.Errorf("%s: %v\n%s", operation, err, errs)
		}
	}
	if diff := cmp.Diff(before, c.inputIDs()); diff != "" {
		t.Errorf("bad metadata was written (-before +after)\n%s", diff)
	}

	// Of another domain, or not on Open vSwitch: "started" is the last chance.
	c.MustSetIDs("tap1", map[string]string{"vm-id": "00000000-0000-0000-0000-000000000001"})
	if _, _, err := c.hook("start", good); err != nil {
		t.Errorf("start before there is an interface: %v", err)
	}
	if _, _, err := c.hook("started", good); err == nil || !strings.Contains(err.Error(), "no interface with attached-mac 52:54:00:00:00:01 and vm-id "+libvirtUUID) {
		t.Errorf("started without an interface: %v", err)
	}
	c.MustSetIDs("tap1", map[string]string{"vm-id": libvirtUUID})

	// No agent: the start is refused. An unguarded bridge has nobody to wait for.
	if _, _, err := c.hook("start", good); err == nil || !strings.Contains(err.Error(), "is vifguard run running?") {
		t.Errorf("start without an agent: %v", err)
	}
	c.must("release", "br0")
	if _, errs, err := c.hook("start", `<v:port mac="52:54:00:00:00:01" addresses="192.0.2.9"/>`); err != nil || !strings.Contains(errs, "bridge br0 isn't guarded") {
		t.Errorf("start on an unguarded bridge: %v\n%s", err, errs)
	}
	if ids := c.MustIDs("tap1"); ids["allowed-addresses"] != "192.0.2.9" {
		t.Errorf("on an unguarded bridge: %v", ids)
	}
}

// A domain without vifguard's metadata needs neither Open vSwitch nor the agent.
func TestLibvirtHookWithoutMetadata(t *testing.T) {
	for _, operation := range []string{"prepare", "start", "started", "reconnect", "stopped"} {
		root := newRoot(io.Discard, io.Discard)
		root.SetArgs([]string{"--ovsdb", "unix:/nonexistent/db.sock", "libvirt-hook", "web1", operation, "begin", "-"})
		root.SetIn(strings.NewReader(libvirtXML("")))
		if err := root.Execute(); err != nil {
			t.Errorf("%s: %v", operation, err)
		}
	}
}
