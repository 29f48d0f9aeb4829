package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// twoGuests are guests a and b at the bridge br0 of a switch with real ports.
func twoGuests(tb testing.TB) (sw *T, a, b *Guest) {
	sw = New(tb, Options{Datapath: Chosen(Userspace)})
	sw.MustBridge("br0")
	a = sw.MustGuest("br0", GuestOptions{Name: "a", MAC: macA, OFPort: 1, Quiet: true,
		Addresses: []netip.Prefix{netip.PrefixFrom(ip4A, 24), netip.PrefixFrom(ip6A, 64)}})
	b = sw.MustGuest("br0", GuestOptions{Name: "b", MAC: macB, OFPort: 2, Quiet: true,
		Addresses: []netip.Prefix{netip.PrefixFrom(ip4B, 24), netip.PrefixFrom(ip6B, 64)}})
	return sw, a, b
}

func TestGuestsReachEachOther(t *testing.T) {
	sw, a, b := twoGuests(t)
	ping := func(target netip.Addr) bool {
		t.Helper()
		output, exit, err := a.Run(t.Context(), "ping", "-c", "1", "-W", "5", target.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Log(output)
		return exit == 0
	}
	for _, target := range []netip.Addr{ip4B, ip6B} {
		if !ping(target) {
			t.Errorf("no answer from %s", target)
		}
	}

	// UDP with a payload: transmit checksums are not left to hardware.
	var server net.PacketConn
	if err := b.Netns().Do(func() (err error) {
		server, err = net.ListenPacket("udp", portB4.String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := a.Netns().Do(func() error {
		client, err := net.Dial("udp", portB4.String())
		if err != nil {
			return err
		}
		defer client.Close()
		_, err = client.Write([]byte("hello"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if deadline, ok := t.Deadline(); ok {
		if err := server.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 100)
	n, _, err := server.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Errorf("received %q, error %v", buf[:n], err)
	}

	sw.MustOfctl("add-flow", "br0", "priority=9,in_port=1,actions=drop")
	sw.MustPurge()
	if _, exit, err := a.Run(t.Context(), "ping", "-c", "1", "-W", "1", ip4B.String()); err != nil || exit != 1 {
		t.Errorf("ping across a drop flow: exit %d, error %v", exit, err)
	}
}

func TestRawFrames(t *testing.T) {
	sw, a, b := twoGuests(t)
	at := sw.MustListen(b.NIC)
	arp := ARPRequest(macA, ip4A, ip4B)
	frames := map[string][]byte{
		"plain":     arp,
		"one tag":   Tagged(arp, VLAN{VID: 5, PCP: 3}),
		"802.1ad":   Tagged(arp, VLAN{TPID: TypeSVLAN, VID: 5}),
		"two tags":  Tagged(arp, VLAN{VID: 5}, VLAN{VID: 6}),
		"LLC/SNAP":  AsSNAP(arp, 0),
		"short":     Ether(macB, macA, 0x88b5),
		"not its":   ARPRequest(MustMAC("02:00:00:00:00:99"), ip4B, ip4A),
		"for other": Ether(MustMAC("02:00:00:00:00:77"), macA, 0x88b5, []byte("flooded")),
	}
	for name, frame := range frames {
		marked, trailer := Mark(frame)
		if err := a.Send(marked); err != nil {
			t.Fatal(err)
		}
		got, err := at.WaitFor(t.Context(), HasTrailer(trailer))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(marked, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	for range 100 {
		if !sw.MustPass(a.NIC, arp, plain(1), at) {
			t.Fatal("not passed without a drop flow")
		}
	}
	sw.MustOfctl("add-flow", "br0", "priority=9,in_port=1,arp,actions=drop")
	sw.MustPurge()
	if sw.MustPass(a.NIC, arp, plain(1), at) {
		t.Error("passed in spite of a drop flow")
	}
}

func TestSecondInterface(t *testing.T) {
	sw, a, b := twoGuests(t)
	sw.MustBridge("br1")
	n, err := a.AddNIC(t.Context(), "br1", GuestOptions{Name: "a1", MAC: MustMAC("02:00:00:00:01:0a"), Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	c := sw.MustGuest("br1", GuestOptions{Name: "c", MAC: MustMAC("02:00:00:00:00:0c"), Quiet: true})
	atB, atC := sw.MustListen(b.NIC), sw.MustListen(c.NIC)
	if !sw.MustPass(n, plain(1), plain(2), atC) {
		t.Error("not passed from the second interface")
	}
	if !sw.MustPass(a.NIC, plain(3), plain(4), atB) {
		t.Error("not passed from the first interface")
	}
	if output, exit, err := a.Run(t.Context(), "ip", "-o", "link", "show", "eth1"); err != nil || exit != 0 || !strings.Contains(output, "02:00:00:00:01:0a") {
		t.Errorf("ip link: %s, exit %d, error %v", output, exit, err)
	}
}

func TestCloseGuest(t *testing.T) {
	sw, a, b := twoGuests(t)
	for range 2 {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if ports, err := sw.Vsctl("list-ports", "br0"); err != nil || strings.TrimSpace(ports) != "b" {
		t.Errorf("ports %q, error %v", ports, err)
	}
	again := sw.MustGuest("br0", GuestOptions{Name: "a", MAC: macA, OFPort: 1, Quiet: true})
	if !sw.MustPass(again.NIC, plain(1), plain(2), sw.MustListen(b.NIC)) {
		t.Error("not passed from a guest that was made again")
	}
}

func TestGuestErrors(t *testing.T) {
	sw, a, _ := twoGuests(t)
	if _, err := sw.AddGuest(t.Context(), "br0", GuestOptions{Name: "a", MAC: macA}); err == nil {
		t.Error("two guests have the same name")
	}
	if _, err := sw.AddGuest(t.Context(), "nobridge", GuestOptions{Name: "x", MAC: macA}); err == nil {
		t.Error("a guest was added to no bridge")
	}
	if _, _, err := a.Run(t.Context(), "no-such-program"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	if _, err := New(t, Options{}).AddGuest(t.Context(), "br0", GuestOptions{Name: "a"}); err == nil {
		t.Error("a Dummy switch has a guest")
	}
}

// processesIn lists the processes inside a namespace.
func processesIn(t *testing.T, id string) (found []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if got, err := os.Readlink(link); err == nil && got == id {
			found = append(found, link)
		}
	}
	return found
}

func TestStopLeavesNoNamespaceAndNoLink(t *testing.T) {
	Need(t, Root, OVS, Netns)
	before, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	outer, err := NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	id, err := os.Readlink(outer.Path())
	if err != nil {
		t.Fatal(err)
	}
	sw, err := StartSwitch(t.Context(), Options{Datapath: Userspace, Netns: outer})
	if err != nil {
		t.Fatal(err)
	}
	err = sw.AddBridge("br0")
	if err == nil {
		_, err = sw.AddGuest(t.Context(), "br0", GuestOptions{Name: "a", MAC: macA})
	}
	if len(processesIn(t, id)) == 0 {
		t.Error("ovs-vswitchd is not inside the namespace it was given")
	}
	if err := errors.Join(err, sw.Stop()); err != nil {
		t.Fatal(err)
	}
	if found := processesIn(t, id); len(found) > 0 {
		t.Errorf("processes are left in the namespace: %v", found)
	}
	var inside []net.Interface
	if err := outer.Do(func() (err error) {
		inside, err = net.Interfaces()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(inside) != 1 {
		t.Errorf("links are left beside the loopback in the namespace: %v", inside)
	}
	after, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("links before %v, after %v", before, after)
	}
}

// killedChild is the environment variable that makes TestNothingOutlivesUs
// the program that gets killed.
const killedChild = "VIFGUARD_LAB_KILLED_CHILD"

// The kernel ends daemons, guests and namespaces of a program that is killed.
func TestNothingOutlivesUs(t *testing.T) {
	if os.Getenv(killedChild) != "" {
		sw, a, _ := twoGuests(t)
		id, err := os.Readlink(a.Netns().Path())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("started", sw.ovsdb.cmd.Process.Pid, sw.vswitch.cmd.Process.Pid, id, sw.Dir)
		_, _, err = a.Run(t.Context(), "sleep", "1000")
		t.Fatal(err)
	}
	Need(t, Root, OVS, Netns)
	child := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesUs$")
	child.Env = append(os.Environ(), killedChild+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var ovsdb, vswitchd int
	var id, dir string
	for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
		// Other lines don't match, which leaves dir empty.
		_, _ = fmt.Sscanf(lines.Text(), "started %d %d %s %s", &ovsdb, &vswitchd, &id, &dir)
	}
	defer os.RemoveAll(dir) // nobody is left to remove it
	err = WaitUntil(t.Context(), "a program runs in the guest", func() (bool, error) {
		return len(processesIn(t, id)) > 0, nil
	})
	if err := errors.Join(err, child.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	err = WaitUntil(t.Context(), "everything has gone", func() (bool, error) {
		return !alive(ovsdb) && !alive(vswitchd) && len(processesIn(t, id)) == 0, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// alive tells whether a process runs; one that ended but wasn't reaped by its
// new parent doesn't.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// Megaflows are where the datapath that was chosen has them.
func TestChosenDatapathForwards(t *testing.T) {
	sw, a, b := twoGuests(t)
	frame := IPFrame(macB, macA, IP(ip4A, ip4B, 253))
	if !sw.MustPass(a.NIC, frame, frame, sw.MustListen(b.NIC)) {
		t.Fatal("the frame doesn't pass")
	}
	want := map[Datapath]string{Kernel: "dp:ovs", Offload: "dp:tc"}[Chosen(Userspace)]
	flows := sw.MustAppctl("dpctl/dump-flows", "-m")
	if !strings.Contains(flows, "src="+net.HardwareAddr(macA[:]).String()) || !strings.Contains(flows, want) {
		t.Errorf("want a megaflow with %q in\n%s", want, flows)
	}
}

// A fence is behind every frame that was sent before, each of which misses the megaflows.
func TestChosenDatapathHasFences(t *testing.T) {
	sw, a, b := twoGuests(t)
	if !Chosen(Userspace).InKernel() {
		if err := sw.Fence(t.Context()); err == nil {
			t.Error("a fence where the datapath isn't in the kernel")
		}
		return
	}
	arrived := sw.MustListen(b.NIC)
	const rounds, frames = 10, 20
	for round := range rounds {
		for n := range frames {
			if err := a.Send(Pad(Ether(Broadcast, MAC{0x52, byte(round), byte(n)}, 0x88b5))); err != nil {
				t.Fatal(err)
			}
		}
		sw.MustRun(func() error { return sw.Fence(t.Context()) })
		if got, err := arrived.Take(); err != nil || len(got) != frames {
			t.Fatalf("%d frames in front of the fence, want %d (%v)", len(got), frames, err)
		}
	}
	if flows := sw.MustAppctl("dpctl/dump-flows"); strings.Count(flows, "eth_type(0x88b5)") < frames {
		t.Errorf("the frames have left no megaflows:\n%s", flows)
	}
}
