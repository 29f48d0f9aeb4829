package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"

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
without an attribute are removed, since a port's name may have been another guest's; of an
interface without metadata those are that nobody has written for its MAC. Metadata that
can't be used, and a guarded VIF whose metadata the agent doesn't confirm, refuse the
start of the domain. A domain that runs already is never harmed: on reconnect and attach,
errors are only printed.`,
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
	if len(d.Ports)+len(d.Unstated) == 0 {
		return nil
	}
	s, err := o.open(cmd.Context())
	if err != nil {
		if len(d.Ports) == 0 { // what nothing is stated of starts as ever
			return nil
		}
		return err
	}
	defer s.close()
	vifs, leftovers, err := libvirt.Find(s.Host(), d)
	if err != nil {
		// libvirt's QEMU driver adds the interfaces before "start", when the guest has
		// executed nothing yet. Where they come later, "started" is soon enough.
		if operation == "start" {
			return nil
		}
		return err
	}
	if operation != "start" && operation != "started" {
		leftovers = nil // it runs already, and somebody may have written them since
	}
	awaited, err := s.writeVIFs(vifs, leftovers)
	if err != nil {
		return err
	}
	for _, v := range leftovers {
		remark(cmd, "domain %s: removed from %s what an earlier guest left, and its metadata doesn't state: %s", d.Name, v.Row.Name, strings.Join(v.Delete, ", "))
	}
	for _, v := range vifs {
		if !v.Guarded {
			remark(cmd, "domain %s: bridge %s isn't guarded, so nothing is enforced on %s (opt it in with: vifguard guard %s)", d.Name, v.Bridge, v.Row.Name, v.Bridge)
		}
	}
	if !wait {
		return nil
	}
	return s.awaitVIFs(cmd, awaited)
}

// awaited is a VIF that the agent is to confirm.
type awaited struct {
	*libvirt.VIF
	seq string
}

// writeVIFs writes and removes the keys of all VIFs in one transaction, and returns those
// that the agent is to confirm. A VIF that has its keys in force already isn't written.
func (s *session) writeVIFs(vifs, leftovers []*libvirt.VIF) (list []awaited, err error) {
	var edits []ovsdb.Edit
	for _, v := range slices.Concat(vifs, leftovers) {
		if v.Want != nil && v.Done() {
			continue
		}
		edit := ovsdb.Edit{Table: ovsdb.TableInterface, UUID: v.Row.UUID, Set: merged(v.Want, nil, nil), Delete: v.Delete}
		if v.Want != nil && v.Guarded {
			seq := libvirt.SeqPrefix + rand.Text()
			edit.Set[model.KeySeq] = seq
			list = append(list, awaited{v, seq})
		}
		edits = append(edits, edit)
	}
	if len(edits) == 0 {
		return nil, nil
	}
	_, err = s.Apply(s.ctx, edits)
	return list, err
}

// awaitVIFs waits until the agent has confirmed every VIF that was written. A VIF that is
// blocked because something is wrong with it is an error.
func (s *session) awaitVIFs(cmd *cobra.Command, list []awaited) error {
	for _, v := range list {
		for {
			_, i := s.Host().FindInterface(v.Row.Name)
			if i == nil || i.UUID != v.Row.UUID {
				return fmt.Errorf("port %s: interface %s has gone", v.MAC, v.Row.Name)
			}
			if libvirt.Confirmed(i, v.seq) {
				problem, state := i.ExternalIDs[model.KeyStatusError], model.State(i.ExternalIDs[model.KeyStatusState])
				exposed := state == model.StateExposed
				if blocked := state == model.StateBlocked || exposed && i.ExternalIDs[model.KeyStatusChecks] == ""; blocked && problem != "" {
					return fmt.Errorf("port %s: %s is blocked: %s", v.MAC, v.Row.Name, problem)
				} else if exposed {
					remark(cmd, "port %s: %s is %s", v.MAC, v.Row.Name, problem)
				}
				break
			}
			select {
			case <-s.ctx.Done():
				return fmt.Errorf("port %s: the agent hasn't confirmed %s within %s (is vifguard run running?)", v.MAC, v.Row.Name, commandTimeout)
			case <-s.Done():
				return fmt.Errorf("port %s: the connection to ovsdb-server ended before the agent confirmed %s", v.MAC, v.Row.Name)
			case <-s.Changed():
			}
		}
	}
	return nil
}
