package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vifguard/vifguard/test/conformance/oracle"
	"github.com/vifguard/vifguard/test/lab"
)

// variant is a frame that differs from another one in what the parts of a switch may
// read differently.
type variant struct {
	name  string
	frame []byte
}

// variants are what an attacker would send before a frame, to prepare the megaflow cache
// for it. None is the frame itself, and no two are the same.
func variants(frame []byte) []variant {
	c := &varied{frame: frame, seen: map[string]bool{string(frame): true}}
	c.link()
	t, body := oracle.TypeOf(frame[typeOffset(frame):])
	c.l3 = len(frame) - len(body)
	switch t {
	case lab.TypeIPv4:
		c.ipv4()
	case lab.TypeIPv6:
		c.ipv6()
	case lab.TypeARP, lab.TypeRARP:
		c.arp()
	}
	c.cutAndPadded()
	return c.list
}

// varied collects the variants of a frame.
type varied struct {
	frame []byte
	l3    int // where the packet begins
	list  []variant
	seen  map[string]bool
}

func (c *varied) add(frame []byte, format string, args ...any) {
	if len(frame) < ethernetBytes || c.seen[string(frame)] {
		return
	}
	c.seen[string(frame)] = true
	c.list = append(c.list, variant{fmt.Sprintf(format, args...), frame})
}

// set returns the frame with bytes at an offset of the packet, or the frame as it is
// when it isn't as long.
func (c *varied) set(at int, value ...byte) []byte {
	f := slices.Clone(c.frame)
	if c.l3+at+len(value) <= len(f) {
		copy(f[c.l3+at:], value)
	}
	return f
}

func (c *varied) set16(at int, value int) []byte {
	return c.set(at, byte(value>>8), byte(value))
}

// link varies what comes before the packet.
func (c *varied) link() {
	at := typeOffset(c.frame)
	if at == 12 && be(c.frame[at:]) >= typeMin {
		snap := lab.AsSNAP(c.frame, 0)
		c.add(snap, "in SNAP")
		for _, control := range []byte{0, 0x13} {
			f := slices.Clone(snap)
			f[16] = control
			c.add(f, "in SNAP with control %#x", control)
		}
		c.add(lab.AsSNAP(c.frame, 0xf8), "in SNAP of another organisation")
		c.add(lab.Tagged(c.frame, lab.VLAN{}), "with a priority tag")
	}
	for _, t := range []uint16{0, 0x0101, 0x0600} {
		f := slices.Clone(c.frame)
		binary.BigEndian.PutUint16(f[at:], t)
		c.add(f, "ethertype %#04x", t)
	}
}

// lengths are values for a length field: too short, too long, that of the buffer, and
// those that end before, in and after what follows a header.
func lengths(now, header int) []int {
	all := []int{0, 1, header - 1, header, header + 1, header + 4, header + 8, header + 20, header + 24, now - 8, now - 1, now + 1, now + 8, 1400, 0xffff}
	return slices.DeleteFunc(all, func(n int) bool { return n < 0 || n > 0xffff || n == now })
}

// ipv4 varies an IPv4 packet.
func (c *varied) ipv4() {
	if len(c.frame) < c.l3+20 {
		return
	}
	p := c.frame[c.l3:]
	header := int(p[0]&0xf) * 4
	for _, n := range lengths(int(be(p[2:])), header) {
		c.add(c.set16(2, n), "total length %d", n)
		c.add(trailing(c.set16(2, n), 18), "total length %d, padded", n)
	}
	c.add(c.set(0, 0x44), "header length 16")
	c.add(c.set(0, 0x46), "header length 24")
	c.add(c.set(0, 0x65), "version 6")
	for _, protocol := range []byte{0, 1, 6, 17, 58, 255} {
		c.add(c.set(9, protocol), "protocol %d", protocol)
	}
	c.add(c.set16(6, 0x2000), "first fragment")
	c.add(c.set16(6, 0x0001), "last fragment")
	c.add(c.set16(6, 0x2001), "middle fragment")
	c.add(c.set16(6, 0), "no fragment")
	c.ports(header)
}

// ports clears ports, or type and code, behind a header.
func (c *varied) ports(header int) {
	c.add(c.set16(header, 0), "source port 0")
	c.add(c.set16(header+2, 0), "destination port 0")
	c.add(c.set(header, 0, 0, 0, 0), "both ports 0")
	c.add(c.set16(header+4, 0), "length or checksum 0")
	c.add(c.set(header, 0), "type 0")
}

// ipv6 varies an IPv6 packet.
func (c *varied) ipv6() {
	const fixed = 40
	if len(c.frame) < c.l3+fixed {
		return
	}
	p := c.frame[c.l3:]
	for _, n := range append(lengths(int(be(p[4:])), 0), 24, 32, 40) {
		c.add(c.set16(4, n), "payload length %d", n)
		c.add(trailing(c.set16(4, n), 18), "payload length %d, padded", n)
	}
	c.add(c.set(0, 0x45), "version 4")
	for _, next := range []byte{0, 6, 17, 43, 44, 51, 58, 59, 60, 255} {
		c.add(c.set(6, next), "next header %d", next)
	}
	endless := header{lab.ProtoFragment, func(n uint8) []byte { return []byte{n, 0, 0, 0} }}
	for _, h := range []header{hopByHop(), destOpts(), authentication(), atomic(), fragment(0, true), fragment(1, false), fragment(9, true), endless} {
		inserted := c.insert(h)
		c.add(inserted, "with an extension header: %x", inserted[c.l3+fixed:c.l3+fixed+4])
	}
	if p[6] == lab.ProtoFragment && len(p) >= fixed+8 {
		for _, offset := range []int{0, 1, 8, 9} {
			c.add(c.set16(fixed+2, offset), "fragment offset and flags %#x", offset)
		}
	}
	c.ports(fixed)
	c.add(c.set(fixed+8, make([]byte, 16)...), "target ::")
	c.options(fixed + 24)
}

// insert puts an extension header behind the IPv6 header.
func (c *varied) insert(h header) []byte {
	p := c.frame[c.l3:]
	inserted := h.bytes(p[6])
	f := slices.Concat(c.frame[:c.l3+40], inserted, p[40:])
	f[c.l3+6] = h.protocol
	binary.BigEndian.PutUint16(f[c.l3+4:], be(p[4:])+uint16(len(inserted)))
	return f
}

// options varies the first option of neighbour discovery.
func (c *varied) options(at int) {
	if len(c.frame) < c.l3+at+8 {
		return
	}
	for _, t := range []byte{0, 1, 2, 3, optionNonce} {
		c.add(c.set(at, t), "option of type %d", t)
	}
	for _, n := range []byte{0, 2, 255} {
		c.add(c.set(at+1, n), "option of length %d", n)
	}
	c.add(c.set(at+2, make([]byte, 6)...), "option with address 0")
	c.add(c.set(at+2, c.frame[6:12]...), "option with the frame's source")
}

// arp varies an ARP packet.
func (c *varied) arp() {
	if len(c.frame) < c.l3+8 {
		return
	}
	for _, op := range []int{0, 1, 2, 3, 4, 254, 256, 257, 0x0201} {
		c.add(c.set16(6, op), "opcode %d", op)
	}
	c.add(c.set16(0, 6), "hardware 6")
	c.add(c.set16(2, 0), "protocol 0")
	c.add(c.set(4, 8), "hardware length 8")
	c.add(c.set(5, 0), "protocol length 0")
	c.add(c.set(8, make([]byte, 6)...), "sender MAC 0")
	c.add(c.set(14, make([]byte, 4)...), "sender address 0")
	c.add(c.set(18, make([]byte, 6)...), "target MAC 0")
	c.add(c.set(24, make([]byte, 4)...), "target address 0")
	c.add(c.set(8, c.frame[6:12]...), "sender MAC of the frame")
}

// cutAndPadded varies the length of the frame.
func (c *varied) cutAndPadded() {
	for _, n := range []int{0, 1, 4, 8, 14, 19, 20, 21, 24, 27, 28, 29, 32, 39, 40, 41, 44, 48, 63, 64, 65, 72} {
		if c.l3+n < len(c.frame) {
			c.add(bytes.Clone(c.frame[:c.l3+n]), "cut after %d bytes", n)
		}
	}
	c.add(c.frame[:len(c.frame)-1], "cut by a byte")
	c.add(c.frame[:min(len(c.frame), ethernetBytes)], "an Ethernet header alone")
	for _, n := range []int{1, 18, 46} {
		c.add(trailing(c.frame, n), "padded by %d bytes", n)
	}
}
