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
  <devices><interface type='bridge'><mac address='52:54:00:00:00:01'/></interface></devices></domain>`, libvirtUUID, port)
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
	want["port-security-seq"] = ids["port-security-seq"]
	if diff := cmp.Diff(want, c.inputIDs()); diff != "" {
		t.Errorf("after start (-want +got)\n%s", diff)
	}

	// In force already: nothing is written. A change is, and keys without an attribute stay.
	if _, _, err := c.hook("started", port); err != nil || c.MustIDs("tap1")["port-security-seq"] != want["port-security-seq"] {
		t.Errorf("started: %v, %v", err, c.MustIDs("tap1"))
	}
	if _, _, err := c.hook("reconnect", `<v:port mac="52:54:00:00:00:01" addresses="192.0.2.2"/>`); err != nil {
		t.Error(err)
	}
	if ids := c.MustIDs("tap1"); ids["allowed-addresses"] != "192.0.2.2" || ids["allowed-address-pairs"] != "192.0.2.100" || ids["vifguard-seq"] == want["port-security-seq"] {
		t.Errorf("after reconnect: %v", ids)
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
