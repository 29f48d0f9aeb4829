package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How a switch whose datapath is in the kernel processes frames, which the fence rests
// on:
//
//   - What a guest sends is processed on the CPU that sends it, before the next frame
//     that is sent there. A frame that hits a megaflow has then been forwarded; one that
//     misses is in the queue of that CPU's handler thread in ovs-vswitchd.
//   - A handler takes its queue in order. It installs the megaflows of a batch, and sends
//     the frames on, in order too.
//   - NORMAL looks at the whole source MAC. A frame whose source is new to the switch
//     thus always misses.
//
// So once a frame from a new source, sent on a CPU, has arrived anywhere, everything that
// was sent there before has been processed to the end. All bridges share the handlers;
// the fence has a bridge of its own, so that it needs no port that may send.
const (
	fenceBridge  = "lab-fence"
	fenceTimeout = 20 * time.Second
)

// fence tells when frames have been processed. The zero value is ready for use.
type fence struct {
	mu      sync.Mutex
	ns      *Namespace // of the far ends of both interfaces
	in, out *NIC
	arrived *Listener
	cpus    unix.CPUSet
}

// Fence returns when everything that was sent before, by any guest on any CPU, has been
// processed to the end by a switch whose datapath is in the kernel.
func (sw *Switch) Fence(ctx context.Context) error {
	if !sw.datapath.InKernel() {
		return errors.New("a fence is for datapaths in the kernel: see Barrier and Passes for others")
	}
	f := &sw.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.arrived == nil {
		if err := f.build(sw); err != nil {
			return errors.Join(fmt.Errorf("build the fence: %w", err), f.releaseLocked())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	for cpu := range len(f.cpus) * 64 {
		if !f.cpus.IsSet(cpu) {
			continue
		}
		if err := f.pass(ctx, cpu); err != nil {
			state, _ := sw.Appctl("upcall/show")
			ports, _ := sw.Appctl("dpctl/show", "-s")
			return fmt.Errorf("the fence on CPU %d: %w\n%s\n%s", cpu, err, state, ports)
		}
	}
	return nil
}

// build makes the fence's bridge and its two ports.
func (f *fence) build(sw *Switch) (err error) {
	if err := unix.SchedGetaffinity(os.Getpid(), &f.cpus); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	if f.ns, err = NewNamespace(); err != nil {
		return err
	}
	// What it learned would have all megaflows translated anew.
	if err := sw.AddBridge(fenceBridge, "flood_vlans=0"); err != nil {
		return err
	}
	for n, nic := range []**NIC{&f.in, &f.out} {
		opts := GuestOptions{Name: fmt.Sprintf("lab-fence%d", n), MAC: MAC{0x52, 0x54, 0xfe, 0, 0, byte(n)}, Quiet: true}
		if *nic, err = newNIC(sw.ns, f.ns, fmt.Sprintf("eth%d", n), opts); err != nil {
			return err
		}
		if err := sw.AddPort(fenceBridge, opts.Name, PortOptions{}); err != nil {
			return err
		}
	}
	f.arrived, err = f.out.Listen()
	return err
}

// pass sends a frame from a new source on a CPU and waits for it.
func (f *fence) pass(ctx context.Context, cpu int) error {
	source := MAC{0x52}
	// Read never fails: the program would end instead.
	_, _ = rand.Read(source[1:])
	frame, trailer := Mark(Ether(Broadcast, source, 0x88b5))
	if err := onCPU(cpu, func() error { return f.in.Send(frame) }); err != nil {
		return err
	}
	_, err := f.arrived.WaitFor(ctx, HasTrailer(trailer))
	f.arrived.forget()
	return err
}

// releaseLocked ends the fence; its bridge goes with the switch.
func (f *fence) releaseLocked() error {
	var errs []error
	if f.arrived != nil {
		errs = append(errs, f.arrived.Close())
	}
	for _, n := range []*NIC{f.in, f.out} {
		if n != nil {
			errs = append(errs, n.release())
		}
	}
	errs = append(errs, f.ns.Close())
	f.arrived, f.in, f.out, f.ns = nil, nil, nil, nil
	return errors.Join(errs...)
}

// onCPU runs fn on a CPU.
func onCPU(cpu int, fn func() error) error {
	return onOwnThread(func() (bool, error) {
		var before, only unix.CPUSet
		only.Set(cpu)
		if err := errors.Join(unix.SchedGetaffinity(0, &before), unix.SchedSetaffinity(0, &only)); err != nil {
			return true, fmt.Errorf("move to CPU %d: %w", cpu, err)
		}
		err := fn()
		back := unix.SchedSetaffinity(0, &before)
		return back == nil, errors.Join(err, back)
	})
}
