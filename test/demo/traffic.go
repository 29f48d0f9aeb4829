package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// traffic sends something in the name of an attempt and tells whether it arrived
// at the attempt's receiver, whose interface ears capture.
type traffic func(s *stage, a *attempt, ears *lab.Listener) (arrived bool, err error)

// Offsets in an untagged Ethernet frame.
const (
	ipv4Source = 14 + 12
	arpSender  = 14 + 8  // the sender's hardware and protocol address
	arpTarget  = 14 + 18 // the target's, which follow
)

// unknownPort is the reason for a drop that belongs to no VIF.
var unknownPort = model.ReasonUnknownPort.String()

// frame sends a frame with a unique trailer, and looks for it at the receiver
// until a later frame of the same sender, one that always passes, has arrived.
func frame(data []byte) traffic {
	return func(s *stage, a *attempt, ears *lab.Listener) (bool, error) {
		return s.nics[a.from].Passes(s.ctx, data, sentinel(a.from), ears)
	}
}

// sentinel is a frame that the sender may always send, and that reaches everyone.
func sentinel(from *vif) []byte { return lab.GratuitousARP(from.mac, from.ip4) }

// alone sends a frame from a port that may send nothing, hence no sentinel
// either: it waits until the frame has arrived or was counted as dropped. The
// guest must have no IPv6, so that it sends nothing else.
func alone(data []byte) traffic {
	return func(s *stage, a *attempt, ears *lab.Listener) (arrived bool, err error) {
		before, err := s.drops(a.from.bridge)
		if err != nil {
			return false, err
		}
		marked, trailer := lab.Mark(data)
		if err := s.nics[a.from].Send(marked); err != nil {
			return false, err
		}
		err = lab.WaitUntil(s.ctx, "a frame from "+a.from.name+" arrives or is counted", func() (bool, error) {
			frames, err := ears.Frames()
			if err != nil {
				return false, err
			}
			arrived = slices.ContainsFunc(frames, lab.HasTrailer(trailer))
			now, err := s.drops(a.from.bridge)
			return arrived || len(now.since(before)) > 0, err
		})
		return arrived, err
	}
}

// ping runs ping in the guest, with a unique pattern in its packets: one must be
// seen at the receiver and the answer must come back.
func ping(target netip.Addr) traffic { return pinging(nil, nil, target) }

// pingFrom runs ping with a source address.
func pingFrom(src, target netip.Addr) traffic { return pinging(nil, &src, target) }

// pingSeen runs ping in a guest behind a NAT; the receiver must see it with the
// NAT's address as its source.
func pingSeen(as *vif, target netip.Addr) traffic { return pinging(as, nil, target) }

func pinging(as *vif, src *netip.Addr, target netip.Addr) traffic {
	return func(s *stage, a *attempt, ears *lab.Listener) (bool, error) {
		// A ping that is answered ends at once; one that isn't takes this long.
		patience := "0.5"
		if a.want.arrives {
			patience = "5"
		}
		pattern := make([]byte, 16)
		_, _ = rand.Read(pattern) // never fails
		args := []string{"-n", "-c", "1", "-W", patience, "-p", fmt.Sprintf("%x", pattern), target.String()}
		if src != nil {
			args = append([]string{"-I", src.String()}, args...)
		}
		output, exit, err := s.guests[a.from].Run(s.ctx, "ping", args...)
		if err != nil {
			return false, err
		}
		if exit > 1 { // 1: no answer
			return false, fmt.Errorf("%s: ping %s: exit status %d: %s", a.from.name, strings.Join(args, " "), exit, strings.TrimSpace(output))
		}
		frames, err := ears.Frames()
		seen := slices.ContainsFunc(frames, func(f []byte) bool {
			return bytes.Contains(f, pattern) && (as == nil || bytes.Equal(f[ipv4Source:ipv4Source+4], as.ip4.AsSlice()))
		})
		return seen && exit == 0, err
	}
}

// announce runs arping in the guest to announce an address, as failover scripts
// do, and looks for that announcement at the receiver.
func announce(address netip.Addr) traffic {
	return func(s *stage, a *attempt, ears *lab.Listener) (bool, error) {
		if err := s.shell(a.from, "arping -q -U -c 1 -I eth0 "+address.String()); err != nil {
			return false, err
		}
		// The frame has been judged once a later one has arrived.
		if _, err := s.nics[a.from].Passes(s.ctx, sentinel(a.from), sentinel(a.from), ears); err != nil {
			return false, err
		}
		frames, err := ears.Frames()
		want := lab.GratuitousARP(a.from.mac, address)
		return slices.ContainsFunc(frames, func(f []byte) bool {
			return len(f) >= len(want) && bytes.Equal(f[arpSender:arpTarget], want[arpSender:arpTarget])
		}), err
	}
}

// drops are the drop counters of every VIF, by "port reason".
type drops map[string]int

// drops reads them with vifguard's own tool, and the one counter that belongs to a
// bridge, after the switch has counted every packet so far.
func (s *stage) drops(bridge string) (drops, error) {
	if err := s.sw.Purge(); err != nil {
		return nil, err
	}
	list, err := s.status()
	if err != nil {
		return nil, err
	}
	all := drops{}
	for _, v := range list {
		for reason, n := range v.Drops {
			all[v.Port+" "+reason] = n
		}
	}
	all[bridge+" "+unknownPort], err = s.unknownPortDrops(bridge)
	return all, err
}

// unknownPortDrops reads the counter of packets from ports that aren't programmed.
func (s *stage) unknownPortDrops(bridge string) (int, error) {
	out, err := s.sw.Ofctl("dump-flows", bridge, fmt.Sprintf("cookie=%#x/-1", flows.NewCookie(0, model.ReasonUnknownPort)))
	if err != nil {
		return 0, err
	}
	total := 0
	for _, word := range strings.FieldsFunc(out, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		var n int
		if _, err := fmt.Sscanf(word, "n_packets=%d", &n); err == nil {
			total += n
		}
	}
	return total, nil
}

// since returns the counters that have grown, and by how much.
func (d drops) since(before drops) drops {
	grown := drops{}
	for key, n := range d {
		if n > before[key] {
			grown[key] = n - before[key]
		}
	}
	return grown
}
