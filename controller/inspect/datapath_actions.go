package inspect

import (
	"strconv"
	"strings"

	"github.com/vifguard/vifguard/flows"
)

// forwards reports whether actions of a datapath, as Open vSwitch writes them
// (odp-util.c), let a frame go anywhere but to vifguard's agent or to a collector of samples.
// What isn't known counts as if it did. ownRecirculation says that a rule of vifguard's has
// the datapath go on by another megaflow.
func forwards(actions string, ownRecirculation bool) bool {
	for _, action := range splitActions(actions) {
		name, inside, _ := strings.Cut(action, "(")
		inside = strings.TrimSuffix(inside, ")")
		switch name {
		case "drop", "meter", "set", "push_vlan", "pop_vlan", "push_mpls", "pop_mpls", "push_eth", "pop_eth", "trunc":
		case "recirc":
			if !ownRecirculation {
				return true
			}
		case "userspace":
			if isForeignPacketIn(inside) {
				return true
			}
		case "sample", "check_pkt_len":
			for _, part := range splitActions(inside) {
				branch, nested, isBranch := strings.Cut(part, "(")
				isBranch = isBranch && (branch == "actions" || branch == "gt" || branch == "le")
				if isBranch && forwards(strings.TrimSuffix(nested, ")"), ownRecirculation) {
					return true
				}
			}
		default:
			return true
		}
	}
	return false
}

// isForeignPacketIn reports whether a frame is sent to a controller by a flow that isn't
// vifguard's: it may have the switch send it on.
func isForeignPacketIn(action string) bool {
	if !strings.Contains(action, "controller(") {
		return false
	}
	_, rest, _ := strings.Cut(action, "rule_cookie=")
	end := strings.IndexAny(rest, ",)")
	if end < 0 {
		return true
	}
	cookie, err := strconv.ParseUint(rest[:end], 0, 64)
	_, _, own := flows.SplitCookie(cookie)
	return err != nil || !own
}

// splitActions splits a list at the commas outside parentheses.
func splitActions(list string) (parts []string) {
	depth, begin := 0, 0
	for i, c := range list + "," {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0 || i == len(list):
			if part := strings.TrimSpace(list[begin:i]); part != "" {
				parts = append(parts, part)
			}
			begin = i + 1
		}
	}
	return parts
}
