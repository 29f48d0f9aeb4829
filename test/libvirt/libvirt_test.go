//go:build guides

package libvirt

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

var rootDir = flag.String("libvirt.root", "", "Debian with libvirt and QEMU, made by root.sh")

const (
	uuid1 = "6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11"
	uuid2 = "6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a12"
	mac1  = "52:54:00:00:00:10"
	mac2  = "52:54:00:00:00:11"
)

func metadata(port string) string {
	return `<vifguard:ports xmlns:vifguard="https://vifguard.org/libvirt/1"><vifguard:port ` + port + `/></vifguard:ports>`
}

func TestLibvirt(t *testing.T) {
	if *rootDir == "" {
		t.Fatal("-libvirt.root is missing: make guides-test runs this, with a Debian that it makes")
	}
	lab.Need(t, lab.Root, lab.OVS, lab.Netns)
	sw := lab.New(t, lab.Options{Datapath: lab.Userspace})
	sw.MustBridge("br0", "fail_mode=secure")
	peer, err := sw.AddGuest(t.Context(), "br0", lab.GuestOptions{
		Name: "peer", MAC: lab.MustMAC("52:54:00:00:00:01"), Addresses: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}, Quiet: true})
	must(t, err)
	labagent.Start(t, sw.Endpoint())
	h := newHost(t, *rootDir, sw)
	h.run("vifguard", "guard", "br0", "--checks", "mac,arp,ip")
	sw.MustVsctl("set", "Open_vSwitch", ".", `external_ids:port-security-profile-web="allow=priority-tag"`)

	t.Log("bad metadata refuses the start, with the reason, and leaves nothing behind")
	h.define("web2", uuid2, mac2, metadata(`mac="`+mac2+`" addresses="198.51.100.300"`))
	out, err := h.try("virsh", "start", "web2")
	if err == nil || !strings.Contains(out, `port `+mac2+`: addresses: "198.51.100.300" is not an IP address`) {
		t.Errorf("virsh start: %v\n%s", err, out)
	}
	if ports := sw.MustVsctl("list-ports", "br0"); strings.TrimSpace(ports) != "peer" {
		t.Errorf("ports after a refused start: %s", ports)
	}

	t.Log("what libvirt writes, and what the hook adds before the guest runs")
	h.define("web1", uuid1, mac1, metadata(`mac="`+mac1+`" addresses="198.51.100.16"`))
	h.run("virsh", "start", "--paused", "web1")
	vnet := port(sw, uuid1)
	ids := sw.MustIDs(vnet)
	for key, want := range map[string]string{
		"attached-mac": mac1, "vm-id": uuid1, "port-profile": "web", "iface-status": "active",
		"allowed-addresses": "198.51.100.16", "vifguard-state": "enforced", "vifguard-checks": "mac,arp,ip",
		"vifguard-seq": ids["port-security-seq"], "vifguard-error": "",
	} {
		if ids[key] != want {
			t.Errorf("%s is %q, want %q", key, ids[key], want)
		}
	}
	if ids["port-security-seq"] == "" || ids["iface-id"] == "" {
		t.Errorf("keys of %s: %v", vnet, ids)
	}
	h.run("virsh", "resume", "web1")

	t.Log("real frames of the guest")
	guest := h.connect("web1")
	heard, err := peer.Listen()
	must(t, err)
	defer heard.Close()
	guest.must("ip link set eth0 up && ip address add 198.51.100.16/24 dev eth0")
	guest.must("ping -c 1 -w 20 198.51.100.1")
	guest.must("ip address add 198.51.100.99/24 dev eth0")
	guest.fails("ping -c 1 -w 2 -I 198.51.100.99 198.51.100.1")
	guest.must("ip link set eth0 down && ip link set eth0 address 52:54:00:00:00:99 && ip link set eth0 up")
	guest.fails("ping -c 1 -w 2 198.51.100.1")
	guest.must("ip link set eth0 down && ip link set eth0 address " + mac1 + " && ip link set eth0 up")
	guest.must("ping -c 1 -w 20 198.51.100.1")
	frames, err := heard.Frames()
	must(t, err)
	own := 0
	for _, f := range frames {
		switch source := lab.MAC(f[6:12]); {
		case source == lab.MustMAC("52:54:00:00:00:99"), strings.Contains(string(f), "\xc6\x33\x64\x63"): // 198.51.100.99
			t.Errorf("a spoofed frame arrived: %x", f)
		case source == lab.MustMAC(mac1):
			own++
		}
	}
	if own < 2 {
		t.Errorf("of the guest's own frames %d arrived", own)
	}
	sw.MustPurge()
	drops := h.drops(vnet)
	if drops["mac"] == 0 || drops["ip"]+drops["arp"] == 0 {
		t.Errorf("drops: %v", drops)
	}

	t.Log("metadata of a running domain")
	h.run("virsh", "metadata", "web1", "https://vifguard.org/libvirt/1", "--key", "vifguard", "--live",
		"--set", `<ports><port mac="`+mac1+`" addresses="198.51.100.16 198.51.100.99"/></ports>`)
	h.run("sh", "-c", "virsh dumpxml web1 | vifguard libvirt-hook web1 started")
	guest.must("ping -c 1 -w 20 -I 198.51.100.99 198.51.100.1")

	t.Log("a domain that runs survives bad metadata, and no vifguard at all, when libvirtd starts again")
	h.run("virsh", "metadata", "web1", "https://vifguard.org/libvirt/1", "--key", "vifguard", "--live",
		"--set", `<ports><port mac="`+mac1+`" addresses="nonsense"/></ports>`)
	for _, before := range []string{"true", "rm /usr/sbin/vifguard"} {
		h.run("sh", "-c", before)
		h.run("sh", "-c", "p=$(cat /run/libvirtd.pid); kill $p; while kill -0 $p 2>/dev/null; do sleep 0.1; done; libvirtd -d")
		h.wait("libvirtd answers again", func() bool { _, err := h.try("virsh", "version"); return err == nil })
		if state := h.run("virsh", "domstate", "web1"); strings.TrimSpace(state) != "running" {
			t.Fatalf("web1 is %s after libvirtd started again (before: %s)", state, before)
		}
	}
	if ids := sw.MustIDs(vnet); ids["allowed-addresses"] != "198.51.100.16 198.51.100.99" || ids["vifguard-state"] != "enforced" {
		t.Errorf("keys of %s: %v", vnet, ids)
	}

	h.run("virsh", "destroy", "web1")
	if ports := sw.MustVsctl("list-ports", "br0"); strings.TrimSpace(ports) != "peer" {
		t.Errorf("ports in the end: %s", ports)
	}
	h.namesAreUsedAgain()
}

// namesAreUsedAgain shows that a guest gets nothing of another one whose row a crash of the
// host has left under the name of its port.
func (h *host) namesAreUsedAgain() {
	const names = 30 // libvirt counts on
	h.t.Log("names that are used again")
	h.run("install", "-m", "755", "/run/openvswitch/guest/vifguard", "/usr/sbin/vifguard")
	leftovers := []string{
		"external_ids:attached-mac=" + mac1, "external_ids:vm-id=" + uuid1, "external_ids:port-security-for=" + mac1,
		"external_ids:allowed-addresses=198.51.100.16", "external_ids:port-security-allow=router", "external_ids:port-security-action=observe",
	}
	rows := make(map[string]string)
	for i := range names {
		name := fmt.Sprintf("vnet%d", i)
		args := append([]string{"--", "add-port", "br0", name, "--", "set", "Interface", name}, leftovers...)
		if i%2 == 1 { // written by somebody who doesn't say whom for
			args = append(args, "--", "remove", "Interface", name, "external_ids", "port-security-for")
		}
		h.sw.MustVsctl(args...)
		rows[name] = h.sw.MustVsctl("get", "Interface", name, "_uuid")
	}
	for _, meta := range []string{"", metadata(`mac="` + mac2 + `" addresses="198.51.100.17"`)} {
		h.run("sh", "-c", "virsh undefine web2 2>/dev/null || true")
		h.define("web2", uuid2, mac2, meta)
		for range 2 { // a name with port-security-for, and one without
			h.run("virsh", "start", "--paused", "web2")
			vnet := port(h.sw, uuid2)
			if row := h.sw.MustVsctl("get", "Interface", vnet, "_uuid"); row != rows[vnet] {
				h.t.Errorf("%s isn't the row that was left: this libvirt makes a new one", vnet)
			}
			want := map[string]string{"attached-mac": mac2, "allowed-addresses": "", "port-security-allow": "", "port-security-action": ""}
			if meta != "" {
				want["allowed-addresses"], want["port-security-for"] = "198.51.100.17", mac2
			}
			h.wait(vnet+" to be enforced", func() bool {
				ids := h.sw.MustIDs(vnet)
				return ids["vifguard-state"] == "enforced" && ids["vifguard-error"] == ""
			})
			ids := h.sw.MustIDs(vnet)
			for key, value := range want {
				if ids[key] != value {
					h.t.Errorf("%s, metadata %q: %s is %q, want %q", vnet, meta, key, ids[key], value)
				}
			}
			h.run("virsh", "destroy", "web2")
		}
	}
}

// port returns the name of a domain's interface.
func port(sw *lab.T, uuid string) string {
	return strings.Trim(strings.TrimSpace(sw.MustVsctl("--bare", "--columns=name", "find", "Interface", `external_ids:vm-id="`+uuid+`"`)), `"`)
}

// drops are a port's counters by reason.
func (h *host) drops(port string) map[string]uint64 {
	h.t.Helper()
	var list []struct {
		Drops map[string]uint64 `json:"drops"`
	}
	must(h.t, json.Unmarshal([]byte(h.run("vifguard", "status", "-o", "json", port)), &list))
	if len(list) != 1 {
		h.t.Fatalf("status of %s has %d entries", port, len(list))
	}
	return list[0].Drops
}

func (c *console) must(command string) {
	c.h.t.Helper()
	if out, ok := c.run(command); !ok {
		c.h.t.Fatalf("guest: %s failed:\n%s", command, out)
	}
}

func (c *console) fails(command string) {
	c.h.t.Helper()
	if out, ok := c.run(command); ok {
		c.h.t.Errorf("guest: %s succeeded:\n%s", command, out)
	}
}
