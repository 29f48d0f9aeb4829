package exposure

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// mirrors judges copies of frames, which Open vSwitch makes of what a port sends before
// any flow has refused it. To a port that nobody checks they are what the operator asked
// for; to a VLAN, or a port whose guest is checked, they are frames that went around.
func (j *judge) mirrors() {
	for i := range j.Bridge.Facts.Mirrors {
		m := &j.Bridge.Facts.Mirrors[i]
		from := j.names(func(v *VIF) bool { return m.All || slices.Contains(m.From, v.Port) })
		if (m.Output == "" && m.OutputVLAN == 0) || len(from) == 0 {
			continue
		}
		f := Finding{
			Kind: Mirror, Severity: Notice, Ports: from, Detail: "mirror " + m.Name,
			Guest: fmt.Sprintf("has what it sends copied to port %s by mirror %s, refused frames too", m.Output, m.Name),
			Close: []string{fmt.Sprintf("ovs-vsctl -- --id=@m get Mirror %s -- remove Bridge %s mirrors @m", m.Name, j.Bridge.Name)},
		}
		switch {
		case m.OutputVLAN != 0:
			f.Severity = Exposed
			f.Guest = fmt.Sprintf("reaches every port of VLAN %d with any frame, as mirror %s copies it there", m.OutputVLAN, m.Name)
		case slices.ContainsFunc(j.VIFs, func(v VIF) bool { return v.Port == m.Output }):
			f.Severity = Exposed
			f.Guest = fmt.Sprintf("reaches the guest at %s with any frame, as mirror %s copies it there; that guest overhears it", m.Output, m.Name)
		}
		j.add(f)
	}
}

// tunnelTypes are the interface types that carry frames of others in IP packets
// (ovs-vswitchd.conf.db(5)).
var tunnelTypes = []string{"vxlan", "geneve", "gre", "ip6gre", "erspan", "ip6erspan", "gtpu", "stt", "lisp", "bareudp", "srv6"}

// tunnels judges the host's tunnels by whether guests of this bridge can reach their
// endpoint: where its address is one of the bridge's own port. What comes out of a tunnel
// is a trusted port's.
func (j *judge) tunnels() {
	if len(j.VIFs) == 0 || j.Host == nil {
		return
	}
	for _, b := range j.Host.Bridges {
		for _, i := range b.Interfaces {
			if isTunnel(i) {
				j.tunnel(b, i)
			}
		}
	}
}

func isTunnel(i *model.Interface) bool { return i.Type != "" && slices.Contains(tunnelTypes, i.Type) }

// HasTunnels reports whether some bridge of the host has a tunnel, so that [Input].Addresses
// matter.
func HasTunnels(h *model.Host) bool {
	for _, b := range h.Bridges {
		if slices.ContainsFunc(b.Interfaces, isTunnel) {
			return true
		}
	}
	return false
}

func (j *judge) tunnel(b *model.Bridge, i *model.Interface) {
	dev, known := j.endpoint(i)
	anyone := i.Facts.RemoteIP == "flow"
	f := Finding{
		Kind: Tunnel, Severity: Exposed, Detail: fmt.Sprintf("tunnel %s of bridge %s, remote_ip=%s", i.Name, b.Name, i.Facts.RemoteIP),
		Guest: fmt.Sprintf("sends any frame into bridge %s, wrapped for tunnel %s, whose endpoint is on this bridge", b.Name, i.Name),
		Close: []string{"move the address of " + dev + " to a network without guests, or drop the tunnel's protocol from them in port-security-exit-table"},
	}
	switch {
	case !known && !anyone:
		return
	case !known:
		f.Severity, f.All = Notice, true
		f.Guest = fmt.Sprintf("sends any frame into bridge %s, wrapped for tunnel %s, if it can reach the host's address: the tunnel takes it from everybody", b.Name, i.Name)
		f.Close = []string{"let only the peers reach the tunnel's endpoint, or set remote_ip of " + i.Name}
	case anyone:
		f.All = true
	default: // only who can pass for the peer
		if f.Ports = j.names(func(v *VIF) bool { return !v.IP }); len(f.Ports) == 0 {
			return
		}
		f.Guest += ", with the peer's address as source"
	}
	j.add(f)
}

// endpoint returns the port of this bridge, its own or another internal one, at which a
// tunnel's packets arrive; known is false when there is none, or that can't be told.
func (j *judge) endpoint(tunnel *model.Interface) (device string, known bool) {
	for _, i := range j.Bridge.Interfaces {
		if i.Type != "internal" && i.OFPort != model.LocalPort {
			continue
		}
		for _, p := range j.Addresses[i.Name] {
			if ends(p, tunnel.Facts) {
				return i.Name, true
			}
		}
	}
	return "", false
}

// ends reports whether a tunnel ends at an address with the prefix of its network: it is
// the local one, or, where none is set, the one next to the peer. From everybody a tunnel
// takes packets at any address.
func ends(p netip.Prefix, f model.InterfaceFacts) bool {
	if local, err := netip.ParseAddr(f.LocalIP); err == nil {
		return local == p.Addr()
	}
	remote, err := netip.ParseAddr(f.RemoteIP)
	return err != nil || p.Contains(remote)
}
