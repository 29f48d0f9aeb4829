package flows_test

import (
	"encoding/binary"

	"github.com/vifguard/vifguard/flows"
)

// key is what Open vSwitch 3.1 sees of a packet: the fields that it would match, by the
// rules of miniflow_extract in lib/flow.c with the fragment mode nx-match. Fields that
// it doesn't find are zero.
type key map[flows.FieldID][]byte

// parser is one packet being parsed.
type parser struct {
	key  key
	rest []byte // what no field was taken from yet

	behind int // bytes behind the IP packet
}

// extract parses a frame of at least 14 bytes that has come in on a port. length is that
// of the frame without what follows its packet, which the userspace datapath measures.
func extract(inPort uint32, frame []byte) (k key, length int) {
	p := parser{key: key{}, rest: frame[12:]}
	p.key[flows.FieldInPort] = binary.BigEndian.AppendUint32(nil, inPort)
	p.key[flows.FieldEthSrc] = frame[6:12]
	if !p.vlan() {
		return p.key, len(frame)
	}
	p.set16(flows.FieldEthType, p.etherType())
	switch number(p.key[flows.FieldEthType]) {
	case 0x0806, 0x8035:
		p.arp()
	case 0x0800:
		p.ipv4()
	case 0x86dd:
		p.ipv6()
	}
	return p.key, len(frame) - p.behind
}

func (p *parser) set8(id flows.FieldID, v uint8) { p.key[id] = []byte{v} }
func (p *parser) set16(id flows.FieldID, v uint16) {
	p.key[id] = binary.BigEndian.AppendUint16(nil, v)
}

// pull takes n bytes off what is left; nil when there are fewer.
func (p *parser) pull(n int) []byte {
	if len(p.rest) < n {
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

// vlan takes off one tag, which is all that the switch looks at by default. The flow of a
// tag that is cut off has no type, and nothing else is looked at.
func (p *parser) vlan() bool {
	if t := be16(p.rest); t != 0x8100 && t != 0x88a8 {
		return true
	}
	if len(p.rest) < 6 {
		p.set16(flows.FieldEthType, 0)
		return false
	}
	const present = 0x1000
	p.set16(flows.FieldVLAN, be16(p.rest[2:])&0x0fff|present)
	p.rest = p.rest[4:]
	return true
}

func (p *parser) etherType() uint16 {
	const none, least = 0x05ff, 0x0600
	if t := be16(p.pull(2)); t >= least {
		return t
	}
	if len(p.rest) < 8 || string(p.rest[:6]) != "\xaa\xaa\x03\x00\x00\x00" {
		return none
	}
	if t := be16(p.pull(8)[6:]); t >= least {
		return t
	}
	return none
}

func (p *parser) arp() {
	b := p.pull(28)
	if b == nil || string(b[:6]) != "\x00\x01\x08\x00\x06\x04" {
		return
	}
	if op := be16(b[6:]); op <= 0xff {
		p.set16(flows.FieldARPOp, op)
	}
	p.key[flows.FieldARPSHA], p.key[flows.FieldARPSPA] = b[8:14], b[14:18]
	p.key[flows.FieldARPTHA], p.key[flows.FieldARPTPA] = b[18:24], b[24:28]
}

// Values of nw_frag.
const (
	fragAny   = 1
	fragLater = 2
)

func (p *parser) ipv4() {
	b := p.rest
	if len(b) < 20 {
		return
	}
	header, total := int(b[0]&0xf)*4, int(be16(b[2:]))
	if header < 20 || header > total || total > len(b) || len(b)-total > 0xffff {
		return
	}
	p.rest, p.behind = b[header:total], len(b)-total
	p.key[flows.FieldIPv4Src], p.key[flows.FieldIPv4Dst] = b[12:16], b[16:20]
	p.set8(flows.FieldTTL, b[8])
	frag := uint8(0)
	if be16(b[6:])&0x3fff != 0 {
		frag = fragAny
	}
	if be16(b[6:])&0x1fff != 0 {
		frag |= fragLater
	}
	p.upper(b[9], frag)
}

func (p *parser) ipv6() {
	b := p.rest
	if len(b) < 40 || int(be16(b[4:])) > len(b)-40 || len(b)-40-int(be16(b[4:])) > 0xffff {
		return
	}
	p.rest = b[40 : 40+int(be16(b[4:]))]
	p.behind = len(b) - 40 - len(p.rest)
	p.key[flows.FieldIPv6Src], p.key[flows.FieldIPv6Dst] = b[8:24], b[24:40]
	proto, frag, ok := p.extensions(b[6])
	if !ok {
		return
	}
	p.set8(flows.FieldTTL, b[7])
	p.upper(proto, frag)
}

// extensions skips extension headers (parse_ipv6_ext_hdrs__).
func (p *parser) extensions(proto uint8) (last, frag uint8, ok bool) {
	for {
		switch proto {
		case 0, 43, 44, 51, 60:
		default:
			return proto, frag, true
		}
		if len(p.rest) < 8 {
			return 0, 0, false
		}
		next, length := p.rest[0], (int(p.rest[1])+1)*8
		switch proto {
		case 51:
			length = (int(p.rest[1]) + 2) * 4
		case 44:
			length = 8
		}
		b := p.pull(length)
		if b == nil {
			return 0, 0, false
		}
		if proto == 44 && be16(b[2:]) != 0 {
			frag = fragAny
			if be16(b[2:])&0xfff8 != 0 {
				return 44, fragAny | fragLater, true
			}
		}
		proto = next
	}
}

// upper parses the header of layer 4, which later fragments don't have.
func (p *parser) upper(proto, frag uint8) {
	p.set8(flows.FieldIPProto, proto)
	p.set8(flows.FieldIPFrag, frag)
	if frag&fragLater != 0 || len(p.rest) < 8 {
		return
	}
	b := p.pull(8)
	switch {
	case proto == 17:
		p.key[flows.FieldUDPSrc], p.key[flows.FieldUDPDst] = b[:2], b[2:4]
	case proto == 1 && p.key[flows.FieldIPv4Src] != nil:
		p.set8(flows.FieldICMPv4Type, b[0])
	case proto == 58 && p.key[flows.FieldIPv6Src] != nil:
		p.set8(flows.FieldICMPv6Type, b[0])
		p.set8(flows.FieldICMPv6Code, b[1])
		if t := b[0]; (t == 135 || t == 136) && b[1] == 0 {
			p.neighbour()
		}
	}
}

// neighbour parses the target and the options of a solicitation or advertisement
// (parse_icmpv6). Two of a kind make it forget them, and the target.
func (p *parser) neighbour() {
	target := p.pull(16)
	if target == nil {
		return
	}
	p.key[flows.FieldNDTarget] = target
	for len(p.rest) >= 8 {
		kind, length := p.rest[0], int(p.rest[1])*8
		if length == 0 || length > len(p.rest) {
			return
		}
		id, known := map[uint8]flows.FieldID{1: flows.FieldNDSLL, 2: flows.FieldNDTLL}[kind]
		option := p.pull(length)
		if !known || length != 8 {
			continue
		}
		if number(p.key[id]) != 0 {
			delete(p.key, flows.FieldNDTarget)
			delete(p.key, flows.FieldNDSLL)
			delete(p.key, flows.FieldNDTLL)
			return
		}
		p.key[id] = option[2:]
	}
}

// number reads a field of at most 8 bytes; one that isn't there is 0.
func number(b []byte) (n uint64) {
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}
