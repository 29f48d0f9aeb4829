
// A VIF whose flows the switch refuses is blocked and named; all others go on.
func TestRefusedFlowBlocksOneVIF(t *testing.T) {
	h := newHost(t)
	h.MustBridge("br0")
	h.vif("br0", "tap1", 1, mac1, "allowed-addresses=192.0.2.1")
	h.vif("br0", "tap2", 2, mac2, "port-security=mac")
	h.guard("br0")
	h.run(never)
	h.await("tap1", "state=enforced")
	h.await("tap2", "state=enforced")
	// No room for more flows in the table of the ip stage.
	h.MustVsctl("--", "--id=@t", "create", "Flow_Table", fmt.Sprintf("flow_limit=%d", h.inStage("br0", flows.StageIP)), "overflow_policy=refuse",
		"--", "set", "Bridge", "br0", fmt.Sprintf("flow_tables:%d=@t", flows.StageIP))
	h.MustSetIDs("tap2", pairs([]string{"port-security=mac,arp,ip", "allowed-addresses=192.0.2.2", "port-security-seq=1"}))
	h.await("tap2", "state=blocked", "checks=", "seq=", "error="+h.MustIDs("tap2")["vifguard-error"])
	if got := h.MustIDs("tap2")["vifguard-error"]; !strings.Contains(got, "the switch refused to add the flow") {
		t.Errorf("error: %q", got)
	}
	frame := lab.GratuitousARP(lab.MustMAC("52:54:00:00:00:02"), addr("192.0.2.2"))
	if got := h.MustReach("tap2", frame); len(got) != 0 {
		t.Error("the blocked VIF sends")
	}
	h.MustSetIDs("tap1", pairs([]string{"port-security=mac", "port-security-seq=5"}))
	h.await("tap1", "checks=mac", "seq=5")
	// There is room now: what is asked for next is tried.
	h.MustSetIDs("tap2", pairs([]string{"port-security=mac,arp", "port-security-seq=2"}))
	h.await("tap2", "state=enforced", "checks=mac,arp", "seq=2", "error=")
	h.awaitExact("br0")
}

// inStage counts the flows of one stage.
func (h *host) inStage(bridge string, s flows.Stage) int {
	return strings.Count(h.MustOfctl("dump-flows", "--no-stats", bridge), fmt.Sprintf("table=%d, priority", s))
}
