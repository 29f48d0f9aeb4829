package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NIC is a network interface of a guest: one end of a veth pair whose other
// end is a port of the switch.
type NIC struct {
	Port   string // the switch's end
	Device string // the guest's end
	MAC    MAC

	outside, inside *Namespace
	index           int // of the guest's end
	socket          int // for sending, -1 if none

	// fence, where the datapath is in the kernel: see [Switch.Fence].
	fence func(context.Context) error
}

// newNIC makes a veth pair across two namespaces. Neither end ever appears in
// the namespace of this program.
func newNIC(outside, inside *Namespace, device string, opts GuestOptions) (_ *NIC, err error) {
	n := &NIC{Port: opts.Name, Device: device, MAC: opts.MAC, outside: outside, inside: inside, socket: -1}
	out, err := outside.netlink()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = n.Port
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: device, PeerNamespace: netlink.NsFd(inside.FD()), PeerHardwareAddr: n.MAC[:],
	}
	if err := out.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("make the veth pair %s: %w", n.Port, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.release())
		}
	}()
	// The switch's own stack has nothing to say on this link. Where /proc/sys
	// is read-only, as in some containers, it announces itself: harmless.
	if err := outside.sysctl("ipv6/conf", n.Port, "disable_ipv6", "1"); err != nil && !errors.Is(err, unix.EROFS) {
		return nil, err
	}
	if err := outside.noTxChecksum(n.Port); err != nil {
		return nil, err
	}
	if err := out.LinkSetUp(pair); err != nil {
		return nil, fmt.Errorf("set %s up: %w", n.Port, err)
	}
	if err := n.configure(opts); err != nil {
		return nil, err
	}
	return n, nil
}

// configure sets up the guest's end.
func (n *NIC) configure(opts GuestOptions) error {
	if err := n.inside.noTxChecksum(n.Device); err != nil {
		return err
	}
	if opts.Quiet {
		settings := [][2]string{{"accept_dad", "0"}, {"accept_ra", "0"}, {"router_solicitations", "0"}}
		if !slices.ContainsFunc(opts.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
			settings = [][2]string{{"disable_ipv6", "1"}}
		}
		for _, s := range settings {
			if err := n.inside.sysctl("ipv6/conf", n.Device, s[0], s[1]); err != nil {
				return err
			}
		}
	}
	in, err := n.inside.netlink()
	if err != nil {
		return err
	}
	defer in.Close()
	link, err := in.LinkByName(n.Device)
	if err != nil {
		return fmt.Errorf("find %s of %s: %w", n.Device, n.Port, err)
	}
	n.index = link.Attrs().Index
	if err := in.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s of %s up: %w", n.Device, n.Port, err)
	}
	for _, prefix := range opts.Addresses {
		addr, err := netlink.ParseAddr(prefix.String())
		if err != nil {
			return fmt.Errorf("address %s of %s: %w", prefix, n.Port, err)
		}
		addr.Flags |= unix.IFA_F_NODAD
		if err := in.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add address %s to %s: %w", prefix, n.Port, err)
		}
	}
	return n.inside.Do(func() (err error) {
		// Protocol 0: this socket receives nothing.
		n.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return os.NewSyscallError("socket", err)
	})
}

// Send sends a frame as it is, VLAN tags and wrong addresses included.
func (n *NIC) Send(frame []byte) error {
	err := unix.Sendto(n.socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: n.index})
	if err != nil {
		return fmt.Errorf("send a frame from %s: %w", n.Port, err)
	}
	return nil
}

// Passes sends a frame and tells whether it arrives at the listener. sentinel
// must be a frame that the switch delivers there. Both get a trailer, by which
// they are recognised. After a change of flows, call [Switch.Purge] first.
//
// The answer doesn't depend on time. The switch takes frames from a port in
// batches, one after the other, and may reorder those of one batch. A first
// sentinel is taken in the frame's batch or in a later one, and once it has
// arrived, a second sentinel is taken in a later batch still: when that one
// arrives, the frame has been processed. Where the datapath is in the kernel, a
// sentinel could overtake the frame, and [Switch.Fence] is between the two.
func (n *NIC) Passes(ctx context.Context, frame, sentinel []byte, to *Listener) (bool, error) {
	frame, trailer := Mark(frame)
	if err := n.Send(frame); err != nil {
		return false, err
	}
	if n.fence != nil {
		if err := n.fence(ctx); err != nil {
			return false, err
		}
	}
	for range 2 {
		marked, last := Mark(sentinel)
		if err := n.Send(marked); err != nil {
			return false, err
		}
		if _, err := to.WaitFor(ctx, HasTrailer(last)); err != nil {
			return false, fmt.Errorf("the sentinel: %w", err)
		}
	}
	frames, err := to.Frames()
	return slices.ContainsFunc(frames, HasTrailer(trailer)), err
}

// release removes the veth pair, hence both ends.
func (n *NIC) release() error {
	var errs []error
	if n.socket >= 0 {
		errs = append(errs, os.NewSyscallError("close", unix.Close(n.socket)))
	}
	out, err := n.outside.netlink()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	defer out.Close()
	link, err := out.LinkByName(n.Port)
	if err == nil {
		err = out.LinkDel(link)
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("remove the veth pair %s: %w", n.Port, err))
	}
	return errors.Join(errs...)
}

// netlink is a route netlink connection into the namespace.
func (n *Namespace) netlink() (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(n.FD()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink in a network namespace: %w", err)
	}
	return h, nil
}

func (n *Namespace) loopbackUp() error {
	h, err := n.netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback interface: %w", err)
	}
	return h.LinkSetUp(lo)
}

// sysctl writes a setting below /proc/sys/net, which shows the namespace of
// the thread that opens it.
func (n *Namespace) sysctl(parts ...string) error {
	path := filepath.Join(append([]string{"/proc/sys/net"}, parts[:len(parts)-1]...)...)
	return n.Do(func() error {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.WriteString(parts[len(parts)-1])
		return errors.Join(err, file.Close())
	})
}

// noTxChecksum makes the kernel compute checksums of what it sends on a device
// before anyone sees it. By default a veth pair leaves that out, and packets
// that a userspace switch takes from it have none.
func (n *Namespace) noTxChecksum(device string) error {
	const setTxChecksum = 0x17 // ETHTOOL_STXCSUM
	value := struct{ cmd, data uint32 }{cmd: setTxChecksum}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of the union in struct ifreq
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		defer unix.Close(fd)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
		if errno != 0 {
			return fmt.Errorf("turn off transmit checksums of %s: %w", device, errno)
		}
		return nil
	})
}
