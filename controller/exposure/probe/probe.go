// Package probe reads what package exposure judges and what neither OVSDB nor OpenFlow
// shows: the hidden flows of a bridge, and the host's addresses.
package probe

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vifguard/vifguard/controller/exposure"
	"github.com/vifguard/vifguard/controller/unixctl"
	"github.com/vifguard/vifguard/model"
)

// Reading hidden flows may take these parts of the time: when nothing says that they have
// changed, 1/200 (0.5 %); when they may have, or the last reading failed, 1/10. For
// ovs-vswitchd prints all flows of the bridge in one go, in its main thread: 1,000 VIFs take
// it 60 ms, 5,000 take 0.3 s (Open vSwitch 3.1).
const (
	calmShare = 200
	share     = 10
)

// timeout of one reading. A daemon that is this late is as good as silent.
const timeout = 5 * time.Second

// Hidden reads the hidden flows of a bridge over ovs-vswitchd's control socket, found by
// its pid file in the run directory.
func Hidden(ctx context.Context, runDir, bridge string) exposure.Hidden {
	ctl, err := unixctl.Find(runDir, "ovs-vswitchd")
	if err != nil {
		return exposure.Hidden{Err: err}
	}
	defer ctl.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dump, err := ctl.Call(ctx, "bridge/dump-flows", bridge)
	if err != nil {
		return exposure.Hidden{Err: err}
	}
	list, err := exposure.ParseHidden(dump)
	return exposure.Hidden{Flows: list, Err: err}
}

// Reader reads the hidden flows of one bridge as seldom as can be. Which of them there are
// follows from OVSDB: from controllers and whether they are connected, managers, in-band
// mode and fail_mode. So they are read when one of these has changed, when the last
// reading failed, and otherwise only to make sure. What follows from OVSDB is judged without
// it, so a reading that has to wait hides nothing that is known. It is for one goroutine.
type Reader struct {
	RunDir, Bridge string

	last  exposure.Hidden
	facts facts
	again bool      // once more, as the facts have just changed
	ended time.Time // when the last reading ended
	took  time.Duration

	addresses  map[string][]netip.Prefix
	addressed  time.Time // when they were last read
	addressing time.Duration
}

// facts are what hidden flows depend on.
type facts struct {
	failMode      string
	disableInBand bool
	remotes       []model.Remote // controllers, then managers
}

func factsOf(h *model.Host, b *model.Bridge) facts {
	f := facts{failMode: b.FailMode, disableInBand: b.Facts.NoInBand(), remotes: b.Facts.Controllers}
	if h != nil && h.Facts != nil {
		f.remotes = slices.Concat(f.remotes, h.Facts.Managers)
	}
	return f
}

func (f facts) equal(o facts) bool {
	return f.failMode == o.failMode && f.disableInBand == o.disableInBand && slices.Equal(f.remotes, o.remotes)
}

// Forget makes the next Read read: the switch is another one than before.
func (r *Reader) Forget() { r.ended = time.Time{} }

// Read returns the hidden flows, of now or as last read. After a change of facts the next
// Read reads once more, since Open vSwitch carries it out a moment later than OVSDB says.
func (r *Reader) Read(ctx context.Context, h *model.Host, b *model.Bridge) exposure.Hidden {
	now := factsOf(h, b)
	changed := !now.equal(r.facts)
	part := time.Duration(calmShare)
	if changed || r.again || r.last.Err != nil {
		part = share
	}
	if !r.ended.IsZero() && time.Since(r.ended) < part*r.took {
		return r.last
	}
	began := time.Now()
	r.last = Hidden(ctx, r.RunDir, r.Bridge)
	r.ended = time.Now()
	r.took, r.facts, r.again = r.ended.Sub(began), now, changed
	return r.last
}

// Addresses returns the addresses of the host's network devices, with their networks, by
// name of the device, of now or as last read: that takes the longer the more devices there
// are. Nil is unknown. They matter where there are tunnels only, so they are read only
// then.
func (r *Reader) Addresses(h *model.Host) map[string][]netip.Prefix {
	if !exposure.HasTunnels(h) {
		return nil
	}
	if !r.addressed.IsZero() && time.Since(r.addressed) < calmShare*r.addressing {
		return r.addresses
	}
	began := time.Now()
	r.addresses, _ = Addresses() // unknown is what it is judged as
	r.addressed = time.Now()
	r.addressing = r.addressed.Sub(began)
	return r.addresses
}

// Addresses returns the addresses of the host's network devices, with their networks, by
// name of the device.
func Addresses() (map[string][]netip.Prefix, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	all := make(map[string][]netip.Prefix, len(devices))
	for _, d := range devices {
		addrs, err := d.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				all[d.Name] = append(all[d.Name], p)
			}
		}
	}
	return all, nil
}
