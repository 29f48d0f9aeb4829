package frame

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vifguard/vifguard/model"
)

// Ethernet (IEEE 802.3 section 3.2.6). Its types are those of the model.
const (
	headerLen   = 14    // destination, source, ethertype
	maxLength   = 1500  // greatest value that is a length of an IEEE 802.3 frame
	reservedVID = 0xfff // IEEE 802.1Q table 9-2
)

// LLC (IEEE 802.2, RFC 1042).
const (
	sapSNAP        = 0xaa
	unnumberedInfo = 0x03
	llcLen         = 3
	snapLen        = 5
)

// maxProblems is how many problems are told: enough for every person.
const maxProblems = 16

// parser fills in a Frame.
type parser struct {
	*Frame
	// end is what ends where the bytes do: the frame, or a packet in it that says
	// that it is shorter.
	end string
}

// Parse reads a frame. It works for any bytes.
func Parse(b []byte) Frame {
	var f Frame
	p := parser{Frame: &f, end: "frame"}
	p.ethernet(b)
	return f
}

// problem notes what is malformed. The arguments are numbers, addresses and
// constant strings, never bytes of the frame as they are.
func (p *parser) problem(format string, args ...any) {
	problem := fmt.Sprintf(format, args...)
	if len(p.Problems) < maxProblems && !slices.Contains(p.Problems, problem) {
		p.Problems = append(p.Problems, problem)
	}
}

// cut notes that the bytes end too early.
func (p *parser) cut(layer, inside string) {
	p.problem("%s: %s ends inside the %s", layer, p.end, inside)
}

func (p *parser) ethernet(b []byte) {
	if len(b) < headerLen {
		p.problem("Ethernet: frame of %d bytes (want at least %d)", len(b), headerLen)
		return
	}
	p.Dst, p.Src = model.MAC(b[0:6]), model.MAC(b[6:12])
	if !isStation(p.Src) {
		p.problem("Ethernet: source %s (want a unicast address)", p.Src)
	}
	p.typed(be16(b[12:]), b[headerLen:])
}

// typed reads what follows a type or length field: any number of tags, LLC, then
// the payload.
func (p *parser) typed(typ uint16, b []byte) {
	for isTag(typ) {
		const rest = 4 // VID and PCP, then the next type
		if len(b) < rest {
			p.cut("VLAN", "tag")
			return
		}
		tci := be16(b)
		tag := Tag{TPID: typ, VID: tci & 0xfff, PCP: uint8(tci >> 13)}
		if tag.VID == reservedVID {
			p.problem("VLAN: VID %d (want 0 to %d)", tag.VID, reservedVID-1)
		}
		p.Tags = append(p.Tags, tag)
		typ, b = be16(b[2:]), b[rest:]
	}
	if typ < model.MinEtherType {
		p.llc(typ, b)
		return
	}
	p.EtherType = typ
	p.payload(b)
}

func (p *parser) payload(b []byte) {
	switch p.EtherType {
	case model.EtherTypeARP:
		p.arp("ARP", b, opRequest, opReply)
	case model.EtherTypeRARP:
		p.arp("RARP", b, opReverseRequest, opReverseReply)
	case model.EtherTypeIPv4:
		p.ipv4(b)
	case model.EtherTypeIPv6:
		p.ipv6(b)
	}
}

// llc reads what follows the length field of IEEE 802.3. The length isn't used to
// cut the frame, since the switch doesn't do that either.
func (p *parser) llc(length uint16, b []byte) {
	switch {
	case p.LLC != nil:
		p.problem("LLC/SNAP: type 0x%04x inside (want an ethertype, at least 0x%04x)", length, model.MinEtherType)
		return
	case length > maxLength:
		p.problem("Ethernet: type 0x%04x (want a length of at most %d or an ethertype of at least 0x%04x)",
			length, maxLength, model.MinEtherType)
	case int(length) > len(b):
		p.problem("LLC: length %d, but %d bytes follow", length, len(b))
	}
	if len(b) < llcLen {
		p.cut("LLC", "header")
		return
	}
	p.LLC = &LLC{DSAP: b[0], SSAP: b[1], Control: b[2]}
	if b[0] != sapSNAP || b[1] != sapSNAP {
		return
	}
	if b[2] != unnumberedInfo {
		p.problem("LLC/SNAP: control 0x%02x (want 0x%02x)", b[2], unnumberedInfo)
		return
	}
	p.snap(b[llcLen:])
}

func (p *parser) snap(b []byte) {
	if len(b) < snapLen {
		p.cut("LLC/SNAP", "header")
		return
	}
	p.LLC.SNAP = true
	p.LLC.OUI = uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	p.LLC.Protocol = be16(b[3:])
	if p.LLC.OUI != 0 {
		return
	}
	if isTag(p.LLC.Protocol) {
		p.problem("LLC/SNAP: VLAN tag 0x%04x inside (want tags outside)", p.LLC.Protocol)
	}
	p.typed(p.LLC.Protocol, b[snapLen:])
}

func isTag(typ uint16) bool { return typ == model.EtherTypeVLAN || typ == model.EtherTypeQinQ }

// isStation reports whether mac can be a sender's.
func isStation(mac model.MAC) bool { return mac != model.MAC{} && !mac.IsGroup() }

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
