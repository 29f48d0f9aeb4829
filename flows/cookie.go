package flows

import (
	"encoding/hex"

	"github.com/vifguard/vifguard/model"
)

// Cookie layout, from the most significant bit:
//
//	16 bits  0x7667, "vg": the flow is vifguard's
//	 8 bits  the reason that the flow counts, 0 for flows that count none
//	40 bits  the first 40 bits of the VIF's Interface row UUID, 0 for shared flows
//
// A cookie names the row and never the port number, so that counters of a port number
// that another interface takes over start from zero.
const (
	CookiePrefix uint64 = 0x7667 << 48
	CookieMask   uint64 = 0xffff << 48

	cookieReasonShift        = 40
	cookieVIFMask     uint64 = 1<<cookieReasonShift - 1
)

// VIFID is the part of an Interface row's UUID that cookies carry.
type VIFID uint64

// ParseVIFID returns the first 40 bits of a UUID in its usual notation, 0 for
// anything else.
func ParseVIFID(uuid string) VIFID {
	if len(uuid) != 36 {
		return 0
	}
	b, err := hex.DecodeString(uuid[:8] + uuid[9:11])
	if err != nil {
		return 0
	}
	var id VIFID
	for _, x := range b {
		id = id<<8 | VIFID(x)
	}
	return id
}

// NewCookie builds the cookie of a flow.
func NewCookie(vif VIFID, reason model.Reason) uint64 {
	return CookiePrefix | uint64(reason)<<cookieReasonShift | uint64(vif)&cookieVIFMask
}

// Cookies returns every cookie that a flow of a VIF can have, or, for 0, one that all VIFs
// share. Open vSwitch finds the flows of a whole cookie without walking through all that
// it has, which it does for one with a mask.
func Cookies(vif VIFID) []uint64 {
	list := []uint64{NewCookie(vif, model.NoReason)}
	for _, r := range model.Reasons() {
		list = append(list, NewCookie(vif, r))
	}
	return list
}

// SplitCookie returns what a cookie says; ok is false when it isn't vifguard's.
func SplitCookie(c uint64) (vif VIFID, reason model.Reason, ok bool) {
	return VIFID(c & cookieVIFMask), model.Reason(c >> cookieReasonShift), c&CookieMask == CookiePrefix
}
