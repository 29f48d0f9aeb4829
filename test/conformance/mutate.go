package conformance

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/conformance/oracle"
	"github.com/vifguard/vifguard/test/lab"
)

// Random makes random policies and frames for tests that need no switch. The same seed
// gives the same ones.
type Random struct{ g *generator }

// NewRandom returns a source with a seed.
func NewRandom(seed uint64) Random { return Random{newGenerator(seed)} }

// Policy returns what vifguard's model makes of random keys of a VIF, and the keys.
func (r Random) Policy(v *VIF) (model.Policy, map[string]string) {
	ids := r.g.policy(v)
	return resolve(ids), ids
}

// Frame returns one of the suite's frames as a VIF sends it, changed in a few places.
func (r Random) Frame(v *VIF) []byte { return r.g.frame(v) }

// generator makes random policies and frames. The same seed gives the same ones.
type generator struct {
	*rand.Rand
	frames []Frame
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0)), frames: Frames()}
}

// pick returns one of several values.
func pick[T any](g *generator, values ...T) T { return values[g.IntN(len(values))] }

// some joins some of several words.
func (g *generator) some(words ...string) string {
	var chosen []string
	for _, w := range words {
		if g.IntN(3) == 0 {
			chosen = append(chosen, w)
		}
	}
	return strings.Join(chosen, ",")
}

// policyKeys are the keys that a random policy sets or leaves out.
var policyKeys = []string{model.KeyChecks, model.KeyAction, model.KeyAllow, model.KeyAddresses, model.KeyPairs}

// policy returns the external_ids of a VIF with a random policy.
func (g *generator) policy(v *VIF) map[string]string {
	checks := []string{"mac", "mac,arp", "mac,arp,ip", "mac,arp,ip", "mac,arp,ip", "auto"}
	ids := map[string]string{
		model.KeyAttachedMAC: "{MAC}",
		model.KeyChecks:      pick(g, checks...),
		model.KeyAddresses:   g.some("{Own4}", "{Own6}", "{Net4}", "{Net6}", "{Pair4}", "198.18.0.0/15", "2001:db8::/32"),
		model.KeyPairs: g.some("{Other4}@{Other}", "{Other6}@{Other}", "{Virtual4}@{VMAC4}", "{Virtual6}@{VMAC6}",
			"{Net4}@{VMAC4}", "{Net6}@{VMAC6}", "{Own6}@{VMAC6}", "fe80::/10", "0.0.0.0/8", "::/16", "::/16@{VMAC6}", "0.0.0.0/8@{VMAC4}",
			pick(g, "0.0.0.0/0", "0.0.0.0/0@{Other}", "0.0.0.0/0@{VMAC4}"), pick(g, "::/0", "::/0@{Other}", "::/0@{VMAC6}"), "0.0.0.0/1", "8000::/1", "198.0.0.0/7", "198.0.0.0/8", "2000::/15", "2001::/16"),
		model.KeyAllow: g.some("dhcp-server", "router", "priority-tag", "vlan-trunk", "ethertype:0x88cc", "ethertype:0x9100"),
	}
	if g.IntN(6) == 0 {
		ids[model.KeyAction] = "observe"
	}
	if g.IntN(40) == 0 {
		ids[model.KeyChecks] = pick(g, "off", "block")
	}
	for key, value := range ids {
		ids[key] = v.expand(value)
	}
	maps.DeleteFunc(ids, func(_, value string) bool { return value == "" })
	return ids
}

// maxFrame is the length at which frames no longer grow.
const maxFrame = 1400

// frame returns one of the suite's frames for a VIF, changed in a few places.
func (g *generator) frame(v *VIF) []byte {
	f := slices.Clone(pick(g, g.frames...).Bytes(v))
	for range g.IntN(4) {
		f = g.mutate(v, f)
	}
	return countable(f)
}

// countable changes a frame whose flow key Open vSwitch can't read back. It drops such
// frames as it should, but loses count of those that meet a megaflow, so the fuzzer
// would stop at them: ARP of opcode 255, and MPLS without a label.
func countable(f []byte) []byte {
	b := f[12:]
	for oracle.IsTag(be(b)) && len(b) >= 6 {
		b = b[4:]
	}
	switch t, body := oracle.TypeOf(b); {
	case (t == model.EtherTypeARP || t == model.EtherTypeRARP) && len(body) >= 8 && be(body[6:]) == 255:
		body[7]--
	case (t == 0x8847 || t == 0x8848) && len(body) < 4:
		f = append(f, 0, 0, 1, 0)
	}
	return f
}

func (g *generator) mutate(v *VIF, f []byte) []byte {
	switch g.IntN(16) {
	case 0, 1, 2:
		g.swap(f, macs(v))
	case 3, 4, 5:
		g.swap(f, addresses(v.V4))
		g.swap(f, slices.Concat(addresses(v.V6), linkLocals(v)))
	case 6:
		f = f[:ethernetBytes+g.IntN(len(f)-ethernetBytes+1)]
	case 7:
		if len(f) < maxFrame {
			f = trailing(f, 1+g.IntN(64))
		}
	case 8:
		f = lab.Tagged(f, lab.VLAN{VID: pick[uint16](g, 0, 0, 0, 5, 1), TPID: pick[uint16](g, 0, 0, 0, lab.TypeSVLAN, 0x9100), PCP: pick[uint8](g, 0, 0, 7)})
	case 9:
		f = lab.AsSNAP(f, pick[uint32](g, 0, 0, 0, 0xf8))
	case 10, 11:
		f = g.insertHeader(v, f)
	case 12:
		g.ethertype(f)
	case 13, 14:
		g.field(f)
	case 15:
		f[g.IntN(len(f))] ^= 1 << g.IntN(8)
	}
	return f
}

func macs(v *VIF) [][]byte {
	list := [][]byte{lab.Broadcast[:], make([]byte, 6)}
	for _, m := range []*lab.MAC{&v.MAC, &v.Other, &v.Foreign, &v.Peer, &v.VMAC4, &v.VMAC6} {
		list = append(list, m[:])
	}
	return list
}

func addresses(a Addresses) [][]byte {
	list := [][]byte{}
	for _, x := range []interface{ AsSlice() []byte }{a.Own, a.Pair, a.Other, a.Virtual, a.Foreign, a.Peer, a.First, a.Last, a.Before} {
		list = append(list, x.AsSlice())
	}
	return append(list, make([]byte, len(list[0])))
}

func linkLocals(v *VIF) [][]byte {
	list := [][]byte{lab.AllNodes.AsSlice(), lab.AllRouters.AsSlice(), mldRouters.AsSlice(), lab.VRRPGroup6.AsSlice()}
	for _, m := range []lab.MAC{v.MAC, v.Other, v.Foreign, v.Peer, v.VMAC4, v.VMAC6} {
		list = append(list, lab.LinkLocal(m).AsSlice())
	}
	return list
}

func be(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

// swap replaces one address that occurs in a frame by another of the same kind.
func (g *generator) swap(f []byte, pool [][]byte) {
	var at []int
	for _, old := range pool {
		for i := 0; i+len(old) <= len(f); i++ {
			if bytes.Equal(f[i:i+len(old)], old) {
				at = append(at, i)
			}
		}
	}
	if len(at) > 0 {
		copy(f[pick(g, at...):], pick(g, pool...))
	}
}

// insertHeader puts an extension header between an IPv6 header and what follows.
func (g *generator) insertHeader(v *VIF, f []byte) []byte {
	const fixed = ethernetBytes + 40
	if be(f[12:]) != lab.TypeIPv6 || len(f) < fixed || len(f) > maxFrame {
		return f
	}
	h := pick(g, hopByHop(), destOpts(), routing(v), authentication(), atomic(),
		fragment(0, true), fragment(0, true), fragment(1, false), fragment(9, true))
	inserted := h.bytes(f[20])
	f = slices.Concat(f[:fixed], inserted, f[fixed:])
	f[20] = h.protocol
	binary.BigEndian.PutUint16(f[18:], be(f[18:])+uint16(len(inserted)))
	return f
}

func (g *generator) ethertype(f []byte) {
	t := pick[uint16](g, lab.TypeARP, lab.TypeRARP, lab.TypeIPv4, lab.TypeIPv6, lab.TypeVLAN, lab.TypeSVLAN,
		0x9100, 0x88cc, 0x88b5, 0x05ff, 0x0600, 0, uint16(len(f)))
	binary.BigEndian.PutUint16(f[12:], t)
}

// field sets a byte or two, mostly in the headers, to a value that means something.
func (g *generator) field(f []byte) {
	i := ethernetBytes + g.IntN(70)
	if g.IntN(4) == 0 {
		i = g.IntN(len(f))
	}
	if i+2 > len(f) {
		return
	}
	if g.IntN(2) == 0 {
		f[i] = pick[byte](g, 0, 1, 2, 3, 4, 6, 17, 43, 44, 51, 58, 59, 60, 64, 112, 128, 130, 131, 133, 134, 135, 136, 137, 143, 254, 255, f[i]+1, f[i]-1)
		return
	}
	binary.BigEndian.PutUint16(f[i:], pick[uint16](g, 0, 1, 2, 3, 6, 67, 68, 546, 547, 0x0101, 0x2000, 0xffff, be(f[i:])+1, be(f[i:])-1, be(f[i:])+8, be(f[i:])-8))
}
