package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/libvirt"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/ovsdb"
)

func newLibvirtHook(o *options) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "libvirt-hook DOMAIN OPERATION [SUB-OPERATION [EXTRA]]",
		Short: "Do a libvirt hook's work: metadata of a domain to keys of its VIFs",
		Long: `Do a libvirt hook's work: take what the domain's metadata says about its interfaces,
write it as keys of the VIFs, and wait until the agent has confirmed it.
packaging/libvirt/qemu is the hook that calls this; the domain's XML comes on standard
input. The metadata looks like this:

  <vifguard:ports xmlns:vifguard="https://vifguard.org/libvirt/1">
    <vifguard:port mac="52:54:00:12:34:56" addresses="192.0.2.10, 2001:db8::10"
                   pairs="192.0.2.100" checks="mac,arp,ip" action="enforce" allow="router"/>
  </vifguard:ports>

The attributes but mac are optional and take what the flags of vifguard set take. Keys
without an attribute stay as they are. Metadata that can't be used, and a guarded VIF
whose metadata the agent doesn't confirm, refuse the start of the domain. A domain that
runs already is never harmed: on reconnect and attach, errors are only printed.`,
		Example: `  virsh dumpxml web1 | vifguard libvirt-hook web1 started     after the metadata has changed`,
		Args:    cobra.RangeArgs(2, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := o.libvirtHook(cmd, args[1], !noWait)
			if err == nil {
				return nil
			}
			err = fmt.Errorf("domain %s: %w", args[0], err)
			if args[1] == "reconnect" || args[1] == "attach" {
				remark(cmd, "%v", err)
				return nil // libvirt would kill the domain
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "don't wait for the agent")
	return cmd
}

// libvirtHook does what is to be done at an operation of libvirt's hooks for guests.
// Standard output stays empty: on migrate and restore libvirt would take it for the
// domain's new description.
func (o *options) libvirtHook(cmd *cobra.Command, operation string, wait bool) error {
	switch operation {
	case "prepare", "migrate", "restore", "start", "started", "reconnect", "attach":
	default: // the domain ends, or libvirt has a new operation
		_, err := io.Copy(io.Discard, cmd.InOrStdin())
		return err
	}
	d, err := libvirt.Parse(cmd.InOrStdin())
	if err != nil {
		return err
	}
	switch operation {
	case "prepare", "migrate", "restore": // bad metadata is refused before anything exists
		return nil
	}
	if len(d.Ports) == 0 {
		return nil
	}
	s, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	defer s.close()
	vifs, err := findVIFs(s.Host(), d)
	if err != nil {
		// libvirt's QEMU driver adds the interfaces before "start", when the guest has
		// executed nothing yet. Where they come later, "started" is soon enough.
		if operation == "start" {
			return nil
		}
		return err
	}
	written, err := s.writeVIFs(vifs)
	if err != nil {
		return err
	}
	for _, v := range vifs {
		if !v.guarded {
			remark(cmd, "domain %s: bridge %s isn't guarded, so nothing is enforced on %s (opt it in with: vifguard guard %s)", d.Name, v.bridge, v.row.Name, v.bridge)
		}
	}
	if !wait || !written {
		return nil
	}
	return s.awaitVIFs(vifs)
}

// libvirtVIF is a port of a domain and its interface in Open vSwitch.
type libvirtVIF struct {
	libvirt.Port
	row     *model.Interface
	bridge  string
	guarded bool
	seq     string // what the agent echoes; "" when nothing had to be written
}

// findVIFs finds the interfaces of a domain's ports by what libvirt writes on them. Names
// won't do: the LXC driver has forgotten them when it calls the hook.
func findVIFs(h *model.Host, d *libvirt.Domain) ([]*libvirtVIF, error) {
	var vifs []*libvirtVIF
	var errs []error
	for _, p := range d.Ports {
		v := findVIF(h, d.UUID, p)
		if v == nil {
			errs = append(errs, fmt.Errorf("port %s: Open vSwitch has no interface with attached-mac %s and vm-id %s (want <virtualport type='openvswitch'/> in its <interface>)", p.MAC, p.MAC, d.UUID))
			continue
		}
		vifs = append(vifs, v)
	}
	return vifs, errors.Join(errs...)
}

func findVIF(h *model.Host, uuid string, p libvirt.Port) *libvirtVIF {
	for _, b := range h.Bridges {
		for _, i := range b.Interfaces {
			mac, err := model.ParseMAC(i.ExternalIDs[model.KeyAttachedMAC])
			if err == nil && mac == p.MAC && i.ExternalIDs["vm-id"] == uuid {
				return &libvirtVIF{Port: p, row: i, bridge: b.Name, guarded: model.ResolveBridge(b).Guarded}
			}
		}
	}
	return nil
}

// writeVIFs writes the keys of all VIFs in one transaction, and reports whether there is
// something to wait for. A VIF that has its keys in force already isn't written.
func (s *session) writeVIFs(vifs []*libvirtVIF) (written bool, err error) {
	var edits []ovsdb.Edit
	for _, v := range vifs {
		if v.done() {
			continue
		}
		set := merged(v.Keys, nil, nil)
		if v.guarded {
			v.seq = "libvirt-" + rand.Text()
			set[model.KeySeq] = v.seq
			written = true
		}
		if len(set) > 0 {
			edits = append(edits, ovsdb.Edit{Table: ovsdb.TableInterface, UUID: v.row.UUID, Set: set})
		}
	}
	if len(edits) == 0 {
		return false, nil
	}
	_, err = s.Apply(s.ctx, edits)
	return written, err
}

// done reports whether the agent has confirmed the VIF's keys as they are wanted.
func (v *libvirtVIF) done() bool {
	for k, want := range v.Keys {
		if have, ok := v.row.ExternalIDs[k]; !ok || have != want {
			return false
		}
	}
	seq, ok := v.row.ExternalIDs[model.KeySeq]
	return !v.guarded || ok && v.confirmed(v.row, seq)
}

// confirmed reports whether a row says that its metadata with this number is in force.
func (v *libvirtVIF) confirmed(i *model.Interface, seq string) bool {
	echo, ok := i.ExternalIDs[model.KeyStatusSeq]
	return ok && echo == seq && i.ExternalIDs[model.KeyStatusState] != string(model.StatePending)
}

// awaitVIFs waits until the agent has confirmed every VIF that was written. A VIF that is
// blocked because something is wrong with it is an error.
func (s *session) awaitVIFs(vifs []*libvirtVIF) error {
	for _, v := range vifs {
		for v.seq != "" {
			_, i := s.Host().FindInterface(v.row.Name)
			if i == nil || i.UUID != v.row.UUID {
				return fmt.Errorf("port %s: interface %s has gone", v.MAC, v.row.Name)
			}
			if v.confirmed(i, v.seq) {
				problem := i.ExternalIDs[model.KeyStatusError]
				if i.ExternalIDs[model.KeyStatusState] == string(model.StateBlocked) && problem != "" {
					return fmt.Errorf("port %s: %s is blocked: %s", v.MAC, v.row.Name, problem)
				}
				break
			}
			select {
			case <-s.ctx.Done():
				return fmt.Errorf("port %s: the agent hasn't confirmed %s within %s (is vifguard run running?)", v.MAC, v.row.Name, commandTimeout)
			case <-s.Done():
				return fmt.Errorf("port %s: the connection to ovsdb-server ended before the agent confirmed %s", v.MAC, v.row.Name)
			case <-s.Changed():
			}
		}
	}
	return nil
}
