package frame

import (
	"encoding/binary"
	"fmt"
)

// The classic capture format of tcpdump, libpcap's savefile.
const (
	pcapMicro   = 0xa1b2c3d4 // time in microseconds
	pcapNano    = 0xa1b23c4d // time in nanoseconds
	pcapNG      = 0x0a0d0d0a // the same in both byte orders
	pcapVersion = 2

	pcapHeaderLen = 24
	recordHeader  = 16

	linkEthernet = 1
	linkCooked   = 113 // Linux, of the interface "any"
	linkCooked2  = 276
)

// ReadPcap returns the frames in a capture file, which share b's memory. With an
// error about a packet, it returns those in front of it too.
func ReadPcap(b []byte) ([][]byte, error) {
	order, err := pcapOrder(b)
	if err != nil {
		return nil, err
	}
	if err := checkPcapHeader(order, b); err != nil {
		return nil, err
	}
	var frames [][]byte
	for b = b[pcapHeaderLen:]; len(b) > 0; {
		number := len(frames) + 1
		if len(b) < recordHeader {
			return frames, fmt.Errorf("packet %d: the file ends inside its header (%d of %d bytes)", number, len(b), recordHeader)
		}
		captured, original := order.Uint32(b[8:]), order.Uint32(b[12:])
		b = b[recordHeader:]
		if uint64(captured) > uint64(len(b)) {
			return frames, fmt.Errorf("packet %d: the file ends inside it (%d of %d bytes)", number, len(b), captured)
		}
		if captured < original {
			return frames, fmt.Errorf("packet %d: only %d of its %d bytes were captured (capture whole packets: tcpdump -s 0)", number, captured, original)
		}
		frames = append(frames, b[:captured:captured])
		b = b[captured:]
	}
	return frames, nil
}

// pcapOrder tells the byte order by the magic number.
func pcapOrder(b []byte) (binary.ByteOrder, error) {
	const magicLen = 4
	if len(b) < magicLen {
		return nil, fmt.Errorf("%d bytes are not a pcap file", len(b))
	}
	for _, order := range []binary.ByteOrder{binary.BigEndian, binary.LittleEndian} {
		switch order.Uint32(b) {
		case pcapMicro, pcapNano:
			return order, nil
		case pcapNG:
			return nil, fmt.Errorf("a pcapng file; convert it with: tcpdump -r in.pcapng -w out.pcap")
		}
	}
	return nil, fmt.Errorf("not a pcap file (it starts with 0x%08x)", be32(b))
}

func checkPcapHeader(order binary.ByteOrder, b []byte) error {
	if len(b) < pcapHeaderLen {
		return fmt.Errorf("the pcap file ends inside its header (%d of %d bytes)", len(b), pcapHeaderLen)
	}
	if major := order.Uint16(b[4:]); major != pcapVersion {
		return fmt.Errorf("pcap version %d (want %d)", major, pcapVersion)
	}
	// The upper bits say whether frames end with their checksum, which does no harm.
	switch link := order.Uint32(b[20:]) & 0xffff; link {
	case linkEthernet:
		return nil
	case linkCooked, linkCooked2:
		return fmt.Errorf("link type %d, without Ethernet headers (capture on one interface, not on \"any\")", link)
	default:
		return fmt.Errorf("link type %d (want %d, Ethernet)", link, linkEthernet)
	}
}
