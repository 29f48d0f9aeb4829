//go:build datapath

package datapath

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// machine is a virtual machine that runs programs one after the other, and ends.
type machine struct {
	image    string // the directory made by image.sh
	programs []string
	env      []string // of the commands, as NAME=VALUE
	commands []command
}

// command is a line of shell that the machine runs beside the programs.
type command struct{ name, line string }

// Marks that the job prints on the serial port, at the beginning of a line.
const (
	markBegin = "@@@ begin "
	markEnd   = "@@@ end "
	markAll   = "@@@ all commands have ended"
)

// modules are those of the kernel that the datapaths need.
const modules = "tun veth openvswitch sch_ingress cls_flower act_mirred act_gact act_vlan act_pedit act_csum act_police act_sample"

// job is what the machine's first process runs.
func (m *machine) job() string {
	var b strings.Builder
	fmt.Fprintf(&b, "modprobe -a %s\n", modules)
	fmt.Fprintf(&b, "echo \"Linux $(uname -r), $(ovs-vswitchd --version | head -1)\"\n")
	fmt.Fprintf(&b, "export CI=true %s\n", strings.Join(m.env, " "))
	for _, c := range m.commands {
		fmt.Fprintf(&b, "echo; echo '%s%s'\n( %s ) 2>&1\nstatus=$?; echo; echo \"%s$status\"\n", markBegin, c.name, c.line, markEnd)
	}
	fmt.Fprintf(&b, "echo '%s'\n", markAll)
	return b.String()
}

// disk writes the job and the programs to a file that the machine reads as a disk.
func (m *machine) disk(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	for _, program := range m.programs {
		data, err := os.ReadFile(program)
		if err == nil {
			err = write(w, filepath.Base(program), data)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(write(w, "job", []byte(m.job())), w.Close())
}

func write(w *tar.Writer, name string, data []byte) error {
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))})
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}

// qemu is the command that runs a machine with a second disk.
func qemu(ctx context.Context, image, disk, accelerator string) *exec.Cmd {
	cpu := map[string]string{"kvm": "host", "tcg,thread=multi": "max"}[accelerator]
	drive := func(path string) string { return "file=" + path + ",format=raw,if=virtio,snapshot=on" }
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", accelerator, "-cpu", cpu, "-smp", "2", "-m", "2048",
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", filepath.Join(image, "kernel"), "-initrd", filepath.Join(image, "initrd"),
		"-drive", drive(filepath.Join(image, "disk")), "-drive", drive(disk),
		"-append", "console=ttyS0 root=/dev/vda rw init=/init quiet panic=-1")
	// The machine ends with this program, however that ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// result is how a command ended.
type result struct {
	name   string
	output []string // its lines
	status string   // "0", or "" when it didn't end
}

// run boots the machine and returns how its commands ended. What they print goes to out
// at once.
func (m *machine) run(ctx context.Context, dir, accelerator string, out io.Writer) ([]*result, *os.ProcessState, error) {
	disk := filepath.Join(dir, "job")
	if err := m.disk(disk); err != nil {
		return nil, nil, err
	}
	defer os.Remove(disk)
	cmd := qemu(ctx, m.image, disk, accelerator)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	serial, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	results, done := read(serial, out)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("the machine took too long: %w", context.Cause(ctx))
	case !done:
		err = fmt.Errorf("the machine ended before its commands did (%w): %s", errors.Join(err, errEarly), complaint.String())
	}
	return results, cmd.ProcessState, err
}

var errEarly = errors.New("see its output for why")

// read follows the machine's serial port to its end, and reports whether the job ended.
func read(serial io.Reader, out io.Writer) (results []*result, done bool) {
	var now *result
	lines := bufio.NewReader(serial)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return results, done
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, markBegin):
			now = &result{name: line[len(markBegin):]}
			results = append(results, now)
		case strings.HasPrefix(line, markEnd) && now != nil:
			now.status = line[len(markEnd):]
			now = nil
		case line == markAll:
			done = true
			continue
		case now != nil:
			now.output = append(now.output, line)
		}
		fmt.Fprintln(out, line)
	}
}

// probeTime is within which a machine boots where KVM works.
const probeTime = 20 * time.Second

// accelerator tells whether KVM runs a machine: /dev/kvm may be there and be of no use.
var accelerator = sync.OnceValue(func() string {
	const emulation = "tcg,thread=multi"
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return emulation
	}
	kvm.Close()
	dir, err := os.MkdirTemp("", "vifguard-kvm")
	if err != nil {
		return emulation
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	probe := machine{image: filepath.Join(*images, suites[0])}
	if _, _, err := probe.run(ctx, dir, "kvm", io.Discard); err != nil {
		return emulation
	}
	return "kvm"
})

// play runs the machine and fails the test with each command that fails.
func (m *machine) play(t *testing.T, patience time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := time.Now()
	results, used, err := m.run(ctx, t.TempDir(), accelerator(), t.Output())
	if used != nil {
		t.Logf("%s: %.0f s, of which the machine used %.0f s of CPU", accelerator(), time.Since(begin).Seconds(), (used.UserTime() + used.SystemTime()).Seconds())
	}
	if err != nil {
		t.Error(err)
	}
	for n, c := range m.commands {
		t.Run(c.name, func(t *testing.T) {
			if n >= len(results) || results[n].name != c.name {
				t.Fatal("the machine never began it")
			}
			results[n].check(t)
		})
	}
}

// check fails the test of a command that failed, that skipped something, or that tested
// nothing.
func (r *result) check(t *testing.T) {
	text := strings.Join(r.output, "\n")
	switch {
	case r.status == "":
		t.Error("it didn't end")
	case r.status != "0":
		t.Errorf("exit status %s:\n%s", r.status, strings.Join(failures(r.output), "\n"))
	case strings.Contains(text, "--- SKIP"):
		t.Error("tests were skipped")
	case strings.Contains(text, "no tests to run"):
		t.Error("it ran no test")
	}
}

// failures are the lines that say what failed, without what the agent logs.
func failures(lines []string) []string {
	var out []string
	for _, line := range lines {
		if !strings.Contains(line, "level=info") && !strings.Contains(line, "=== RUN") && !strings.Contains(line, "--- PASS") {
			out = append(out, line)
		}
	}
	return out
}
