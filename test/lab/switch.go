package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/controller/unixctl"
)

// vswitchdControl is the name of ovs-vswitchd's control socket, the same for every
// process that is started for a switch.
const vswitchdControl = "vswitchd.ctl"

// Options say what kind of Switch to start. The zero value is a Dummy one.
type Options struct {
	Datapath Datapath

	// Netns is the namespace a switch with real ports runs in; the caller closes
	// it. If nil, the switch gets one of its own. Two such switches can't share a
	// namespace, and a switch whose ovs-vswitchd was killed and not started again
	// leaves its bridges' devices in it.
	Netns *Namespace
}

// Switch is a private Open vSwitch. Its methods may be called from several
// goroutines, but starting and ending of daemons is up to one.
type Switch struct {
	// Dir holds the sockets, the database, the logs and the captures.
	Dir string

	datapath Datapath
	ns       *Namespace
	ownNS    bool

	daemons sync.Mutex
	ovsdb   *process
	vswitch *process
	waits   int // numbers the transactions of WaitVswitchd

	ctl    *unixctl.Client
	inject injector

	guestsMu sync.Mutex
	guests   map[string]*Guest

	fence fence

	stopOnce sync.Once
	stopErr  error
}

// maxDir leaves room for "/", a file name and the NUL in a unix socket
// address of 108 bytes.
const maxDir = 60

// StartSwitch starts a private Open vSwitch without bridges and returns when
// it is ready. ctx bounds the start only; end the switch with Stop.
func StartSwitch(ctx context.Context, opts Options) (_ *Switch, err error) {
	dir, err := shortTempDir()
	if err != nil {
		return nil, err
	}
	sw := &Switch{
		Dir:      dir,
		datapath: opts.Datapath,
		ctl:      unixctl.New(filepath.Join(dir, vswitchdControl)),
		guests:   map[string]*Guest{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sw.Stop())
		}
	}()

	if err := opts.Datapath.check(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if opts.Datapath.Real() {
		sw.ns = opts.Netns
		if sw.ns == nil {
			if sw.ns, err = NewNamespace(); err != nil {
				return nil, err
			}
			sw.ownNS = true
			// The bridges' own devices are silent; see newNIC.
			err := sw.ns.sysctl("ipv6/conf/default/disable_ipv6", "1")
			if err != nil && !errors.Is(err, unix.EROFS) {
				return nil, err
			}
		}
	}
	schema, err := findSchema()
	if err != nil {
		return nil, err
	}
	if _, err := sw.run(ctx, "ovsdb-tool", "create", sw.file("conf.db"), schema); err != nil {
		return nil, err
	}
	if err := sw.startOVSDB(ctx); err != nil {
		return nil, err
	}
	init := append([]string{"--db=" + sw.Endpoint(), "--timeout=10", "--no-wait", "init"}, opts.Datapath.settings()...)
	if _, err := sw.run(ctx, "ovs-vsctl", init...); err != nil {
		return nil, err
	}
	if err := sw.startVswitchd(ctx); err != nil {
		return nil, err
	}
	return sw, nil
}

// Stop ends the daemons and guests and removes the directory. Calling it again
// does nothing and returns the same error.
func (sw *Switch) Stop() error {
	sw.stopOnce.Do(func() {
		var errs []error
		sw.guestsMu.Lock()
		guests := sw.guests
		sw.guests = map[string]*Guest{}
		sw.guestsMu.Unlock()
		for _, g := range guests {
			errs = append(errs, g.release())
		}
		sw.fence.mu.Lock()
		errs = append(errs, sw.fence.releaseLocked())
		sw.fence.mu.Unlock()
		sw.daemons.Lock()
		defer sw.daemons.Unlock()
		if sw.ns != nil && !sw.ownNS && sw.vswitch.running() {
			// The devices of bridges and the kernel's datapath are persistent; only this
			// way of ending removes them from a namespace that goes on existing.
			_, err := sw.ctl.Call(context.Background(), "exit", "--cleanup")
			errs = append(errs, err)
			sw.vswitch.await()
		}
		sw.ctl.Close()
		errs = append(errs, sw.vswitch.stop(), sw.ovsdb.stop())
		if sw.ownNS {
			errs = append(errs, sw.ns.Close())
		}
		errs = append(errs, os.RemoveAll(sw.Dir))
		sw.stopErr = errors.Join(errs...)
	})
	return sw.stopErr
}

// Endpoint is the OVSDB address in the form "unix:PATH".
func (sw *Switch) Endpoint() string { return "unix:" + sw.file("db.sock") }

// Mgmt is the path of a bridge's OpenFlow management socket.
func (sw *Switch) Mgmt(bridge string) string { return sw.file(bridge + ".mgmt") }

// Netns is the namespace of a switch with real ports, nil for a Dummy one.
func (sw *Switch) Netns() *Namespace { return sw.ns }

// KillOVSDB kills ovsdb-server and returns after it has gone.
func (sw *Switch) KillOVSDB() error {
	sw.daemons.Lock()
	defer sw.daemons.Unlock()
	return sw.ovsdb.kill()
}

// StartOVSDB starts ovsdb-server again, with the database as it was, and
// returns when it accepts connections. It does nothing if one runs.
//
// Meanwhile ovs-vswitchd tries to reconnect every one to eight seconds, and
// until it has, it serves nothing but Appctl commands: OpenFlow connections
// and, with these datapaths, packets wait. See [Switch.WaitVswitchd].
func (sw *Switch) StartOVSDB() error { return sw.startOVSDB(context.Background()) }

// SignalOVSDB sends ovsdb-server a signal, such as SIGSTOP and SIGCONT. One that is
// stopped must be continued or killed.
func (sw *Switch) SignalOVSDB(sig os.Signal) error {
	sw.daemons.Lock()
	defer sw.daemons.Unlock()
	return sw.ovsdb.cmd.Process.Signal(sig)
}

// KillVswitchd kills ovs-vswitchd and returns after it has gone. OpenFlow
// flows and the ports of a Dummy switch go with it.
func (sw *Switch) KillVswitchd() error {
	sw.daemons.Lock()
	defer sw.daemons.Unlock()
	sw.ctl.Close()
	sw.inject.forget()
	return sw.vswitch.kill()
}

// StartVswitchd starts ovs-vswitchd again and returns when it has applied the
// database, or, while ovsdb-server is down, when it answers commands. It does
// nothing if one runs.
func (sw *Switch) StartVswitchd() error { return sw.startVswitchd(context.Background()) }

func (sw *Switch) startOVSDB(ctx context.Context) error {
	sw.daemons.Lock()
	defer sw.daemons.Unlock()
	if sw.ovsdb.running() {
		return nil
	}
	cmd, err := sw.command("ovsdb-server", sw.file("conf.db"),
		"--remote=p"+sw.Endpoint(), "--unixctl="+sw.file("ovsdb.ctl"),
		"--pidfile="+sw.file("ovsdb.pid"), "--log-file="+sw.file("ovsdb.log"), "-vconsole:off", "-vsyslog:off")
	if err != nil {
		return err
	}
	if sw.ovsdb, err = startProcess(nil, cmd); err != nil {
		return err
	}
	return sw.waitReady(ctx, sw.ovsdb, "ovsdb", func() (bool, error) {
		conn, err := net.Dial("unix", sw.file("db.sock"))
		if err == nil {
			err = conn.Close()
		}
		return err == nil, nil
	})
}

func (sw *Switch) startVswitchd(ctx context.Context) error {
	sw.daemons.Lock()
	defer sw.daemons.Unlock()
	if sw.vswitch.running() {
		return nil
	}
	args := []string{sw.Endpoint(), "--unixctl=" + sw.file(vswitchdControl),
		"--pidfile=" + sw.file("ovs-vswitchd.pid"), "--log-file=" + sw.file("vswitchd.log"),
		"-vconsole:off", "-vsyslog:off", "-vpoll_loop:warn"}
	args = append(args, sw.datapath.arguments()...)
	cmd, err := sw.command("ovs-vswitchd", args...)
	if err != nil {
		return err
	}
	sw.ctl.Close()
	if sw.vswitch, err = startProcess(sw.ns, cmd); err != nil {
		return err
	}
	// Where a packaged ovs-vswitchd has its control socket.
	usual := sw.file(fmt.Sprintf("ovs-vswitchd.%d.ctl", cmd.Process.Pid))
	if err := os.Symlink(vswitchdControl, usual); err != nil {
		return err
	}
	err = sw.waitReady(ctx, sw.vswitch, "vswitchd", func() (bool, error) {
		_, err := sw.ctl.Call(ctx, "version")
		return err == nil, nil
	})
	if err != nil || !sw.ovsdb.running() {
		return err
	}
	return sw.waitVswitchdLocked(ctx)
}

// WaitVswitchd returns when ovs-vswitchd is connected to ovsdb-server and has
// applied the database as it is now.
func (sw *Switch) WaitVswitchd(ctx context.Context) error {
	sw.daemons.Lock()
	defer sw.daemons.Unlock()
	return sw.waitVswitchdLocked(ctx)
}

// waitVswitchdLocked changes the database, since it is for a change only that
// ovs-vsctl waits.
func (sw *Switch) waitVswitchdLocked(ctx context.Context) error {
	sw.waits++
	_, err := sw.run(ctx, "ovs-vsctl", "--db="+sw.Endpoint(), "--timeout=20",
		"set", "Open_vSwitch", ".", fmt.Sprintf("external_ids:lab-waits=%d", sw.waits))
	return err
}

// waitReady waits until ready, or fails early when the daemon has ended.
func (sw *Switch) waitReady(ctx context.Context, p *process, name string, ready func() (bool, error)) error {
	err := WaitUntil(ctx, name+" is ready", func() (bool, error) {
		if !p.running() {
			return false, errors.Join(errors.New("it has ended"), p.err)
		}
		return ready()
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, sw.Log(name, 20))
	}
	return nil
}

// Log returns the last lines of a daemon's log: "vswitchd" or "ovsdb".
func (sw *Switch) Log(daemon string, lines int) string {
	text, err := os.ReadFile(sw.file(daemon + ".log"))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text), lines)
}

// file is a path inside the switch's directory.
func (sw *Switch) file(name string) string { return filepath.Join(sw.Dir, name) }

// command prepares a program of Open vSwitch that uses the switch's directory
// in place of every default one.
func (sw *Switch) command(name string, args ...string) (*exec.Cmd, error) {
	path, err := findProgram(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+sw.Dir, "OVS_LOGDIR="+sw.Dir,
		"OVS_DBDIR="+sw.Dir, "OVS_SYSCONFDIR="+sw.Dir)
	cmd.Dir = sw.Dir
	return cmd, nil
}

// run runs a program of Open vSwitch to its end and returns its output.
func (sw *Switch) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd, err := sw.command(name, args...)
	if err != nil {
		return "", err
	}
	return runCommand(ctx, cmd)
}
