//go:build guides

// Package libvirt tries docs/guides/libvirt.md with a real libvirtd, whose QEMU guest has
// its interface on a private Open vSwitch. "make guides-test" runs it.
package libvirt

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// patience bounds waits for a guest that boots on an emulated processor.
const patience = 3 * time.Minute

// host is a machine with libvirtd beside a lab's switch.
type host struct {
	t   *testing.T
	sw  *lab.T
	pid string // of its first process
}

// newHost starts libvirtd in namespaces of its own; they end with the test.
func newHost(t *testing.T, root string, sw *lab.T) *host {
	t.Helper()
	// The parent-death signal comes when the starting thread ends.
	runtime.LockOSThread()
	dir := filepath.Join(sw.Dir, "guest")
	must(t, os.Mkdir(dir, 0o755))
	command(t, "go", "build", "-o", filepath.Join(dir, "vifguard"), "../../cmd/vifguard")
	command(t, "cp", "../../packaging/libvirt/qemu", dir)
	kernel, err := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil || len(kernel) != 1 {
		t.Fatalf("kernel in %s: %v, %v", root, kernel, err)
	}
	command(t, "cp", kernel[0], filepath.Join(dir, "kernel"))
	initrd, err := initramfs(root)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "initrd"), initrd, 0o644))

	script, err := filepath.Abs("host.sh")
	must(t, err)
	cmd := exec.Command("nsenter", "--net="+sw.Netns().Path(), "unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
		"sh", script, root, t.TempDir(), sw.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	h := &host{t: t, sw: sw}
	h.wait("libvirtd answers", func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil || len(bytes.Fields(children)) != 1 {
			return false
		}
		h.pid = string(bytes.Fields(children)[0])
		_, err = h.try("virsh", "version")
		return err == nil
	})
	return h
}

// try runs a program on the host and returns what it prints.
func (h *host) try(args ...string) (string, error) {
	all := append([]string{"-t", h.pid, "--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wd",
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LIBVIRT_DEFAULT_URI=qemu:///system"}, args...)
	out, err := exec.Command("nsenter", all...).CombinedOutput()
	return string(out), err
}

func (h *host) run(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// define makes a domain with one interface at br0.
func (h *host) define(name, uuid, mac, metadata string) {
	h.t.Helper()
	xml := fmt.Sprintf(`<domain type='qemu'>
  <name>%s</name><uuid>%s</uuid>
  <metadata>%s</metadata>
  <memory unit='MiB'>96</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>/run/openvswitch/guest/kernel</kernel><initrd>/run/openvswitch/guest/initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1</cmdline></os>
  <devices>
    <interface type='bridge'>
      <mac address='%s'/><source bridge='br0'/>
      <virtualport type='openvswitch'><parameters profileid='web'/></virtualport>
      <model type='virtio'/>
    </interface>
    <serial type='unix'><source mode='bind' path='/run/openvswitch/guest/%s.sock'/></serial>
  </devices>
</domain>`, name, uuid, metadata, mac, name)
	must(h.t, os.WriteFile(filepath.Join(h.sw.Dir, "guest", name+".xml"), []byte(xml), 0o644))
	h.run("virsh", "define", "/run/openvswitch/guest/"+name+".xml")
}

// console is a shell inside a guest.
type console struct {
	h    *host
	conn net.Conn
	in   *bufio.Reader
	n    int
}

// connect opens the guest's serial port and waits for its shell.
func (h *host) connect(name string) *console {
	h.t.Helper()
	conn, err := net.Dial("unix", filepath.Join(h.sw.Dir, "guest", name+".sock"))
	must(h.t, err)
	h.t.Cleanup(func() { conn.Close() })
	c := &console{h: h, conn: conn, in: bufio.NewReader(conn)}
	must(h.t, conn.SetReadDeadline(time.Now().Add(patience)))
	// The shell may not be there yet: type until somebody answers.
	h.wait("the guest's shell answers", func() bool {
		fmt.Fprintf(conn, "\necho rea'dy'\n")
		must(h.t, conn.SetReadDeadline(time.Now().Add(2*time.Second)))
		for {
			line, err := c.in.ReadString('\n')
			if err != nil {
				return false
			}
			if strings.TrimSpace(line) == "ready" {
				return true
			}
		}
	})
	return c
}

// run runs a command in the guest and returns its output and whether it succeeded.
func (c *console) run(command string) (output string, ok bool) {
	c.h.t.Helper()
	c.n++
	mark := fmt.Sprintf("exit-%d=", c.n)
	// The quotes keep the echo of what is typed from looking like the answer.
	fmt.Fprintf(c.conn, "%s; echo exi't'-%d=$?\n", command, c.n)
	must(c.h.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.h.t.Fatalf("guest: %s: %v\n%s", command, err, output)
		}
		if _, status, found := strings.Cut(line, mark); found {
			return output, strings.TrimSpace(status) == "0"
		}
		output += line
	}
}

func (h *host) wait(what string, done func() bool) {
	h.t.Helper()
	lab.EventuallyWithin(h.t, patience, what, lab.True(done))
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
