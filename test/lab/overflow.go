package lab

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"

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

// overflow counts the frames that the switch had no room for: those that the packet
// sockets of its namespace, one for each port, have discarded, or, where the datapath is
// in the kernel, those that its queue to ovs-vswitchd has.
func (sw *Switch) overflow() (int, error) {
	if sw.datapath.InKernel() {
		return sw.lostUpcalls()
	}
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

// lookups matches the kernel datapath's counters in the output of dpctl/show.
var lookups = regexp.MustCompile(`lookups: hit:[0-9]+ missed:[0-9]+ lost:([0-9]+)`)

// lostUpcalls counts the frames that missed the megaflows and found the queue to
// ovs-vswitchd full.
func (sw *Switch) lostUpcalls() (int, error) {
	out, err := sw.Appctl("dpctl/show")
	if err != nil {
		return 0, err
	}
	found := lookups.FindStringSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("dpctl/show shows no lookups: %s", out)
	}
	return strconv.Atoi(found[1])
}
