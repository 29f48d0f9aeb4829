package lab

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Numbers and sizes of linux/packet_diag.h and linux/sock_diag.h.
const (
	packetShowMeminfo = 0x10 // PACKET_SHOW_MEMINFO
	packetDiagMeminfo = 6    // PACKET_DIAG_MEMINFO
	packetDiagReqLen  = 20   // struct packet_diag_req
	packetDiagMsgLen  = 16   // struct packet_diag_msg
	memInfoDrops      = 8    // SK_MEMINFO_DROPS, an index of 32-bit numbers
)

// overflow counts the frames that the packet sockets of the switch's namespace, one
// for each port, have discarded for want of room.
func (sw *Switch) overflow() (int, error) {
	total := 0
	err := sw.ns.Do(func() error {
		ask := make([]byte, packetDiagReqLen)
		ask[0] = unix.AF_PACKET
		binary.NativeEndian.PutUint32(ask[8:], packetShowMeminfo)
		req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		req.AddRawData(ask)
		sockets, err := req.Execute(unix.NETLINK_SOCK_DIAG, nl.SOCK_DIAG_BY_FAMILY)
		if err != nil {
			return fmt.Errorf("ask the kernel for packet sockets: %w", err)
		}
		for _, s := range sockets {
			drops, err := packetDrops(s)
			if err != nil {
				return err
			}
			total += drops
		}
		return nil
	})
	return total, err
}

// packetDrops reads one struct packet_diag_msg and its attributes.
func packetDrops(message []byte) (int, error) {
	attributes, err := nl.ParseRouteAttr(message[min(len(message), packetDiagMsgLen):])
	if err != nil {
		return 0, fmt.Errorf("the kernel's description of a packet socket: %w", err)
	}
	for _, a := range attributes {
		if a.Attr.Type == packetDiagMeminfo && len(a.Value) >= 4*(memInfoDrops+1) {
			return int(binary.NativeEndian.Uint32(a.Value[4*memInfoDrops:])), nil
		}
	}
	return 0, fmt.Errorf("the kernel's description of a packet socket lacks its drops")
}
