package agent_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/controller/control"
	"github.com/vifguard/vifguard/controller/drops"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
	"github.com/vifguard/vifguard/test/lab"
)

// newUserspaceHost is a host whose VIF tap1 is a guest's that sends real frames.
func newUserspaceHost(t testing.TB, rate int) (*host, *lab.Guest) {
	t.Helper()
	h := newHostOn(t, lab.Userspace)
	h.MustBridge("br0")
	mac := lab.MustMAC("52:54:00:00:00:01")
	g := h.MustGuest("br0", lab.GuestOptions{Name: "tap1", MAC: mac, OFPort: 1, Quiet: true,
		Addresses:   []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
		ExternalIDs: pairs([]string{mac1, "allowed-addresses=192.0.2.1", "vm-id=4711"})})
	h.guard("br0")
	h.sample(never, rate)
	h.await("tap1", "state=enforced")
	return h, g
}

// A frame that a real guest sends through the userspace datapath.
func TestRealDropIsTold(t *testing.T) {
	h, g := newUserspaceHost(t, 10)
	theft := lab.ARPRequest(lab.MustMAC("52:54:00:00:00:01"), addr("192.0.2.254"), addr("192.0.2.9"))
	if err := g.Send(lab.Tagged(lab.Pad(theft), lab.VLAN{VID: 5})); err != nil {
		t.Fatal(err)
	}
	h.awaitEvents(1)
	if err := g.Send(lab.Pad(theft)); err != nil {
		t.Fatal(err)
	}
	vif := drops.VIF{Bridge: "br0", Port: "tap1", UUID: h.uuid("tap1"), VM: "4711"}
	claim := frame.Claim{EthSrc: [6]byte{0x52, 0x54, 0, 0, 0, 1}, EtherType: 0x0806, Kind: "ARP request", SHA: [6]byte{0x52, 0x54, 0, 0, 0, 1}, SPA: addr("192.0.2.254")}
	tagged := claim
	tagged.VLANs = "5"
	const text = "ARP request from 52:54:00:00:00:01 (192.0.2.254): who has 192.0.2.9"
	want := []drops.Event{
		{VIF: vif, Reason: "vlan", EthDst: everybody, Claim: tagged, Frame: "VLAN 5 (0x8100) > " + text},
		{VIF: vif, Reason: "arp", EthDst: everybody, Claim: claim, Frame: text},
	}
	if diff := cmp.Diff(want, h.awaitEvents(2), ignoreTime, byValue); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// pace is slow enough for the switch to take every frame, so that runs can be compared.
const pace = 50 * time.Microsecond

// BenchmarkFlood measures what a guest that floods costs ovs-vswitchd, with samples and
// without: CPU time for each frame, and samples a second. "one" repeats one spoofed
// frame; "many" has another source in each, which is an upcall each.
func BenchmarkFlood(b *testing.B) {
	for _, kind := range []string{"one", "many"} {
		for _, rate := range []int{0, 10, 1000} {
			b.Run(fmt.Sprintf("%s/rate=%d", kind, rate), func(b *testing.B) {
				h, g := newUserspaceHost(b, rate)
				spoofed := lab.Pad(lab.RARPAnnounce(mallory))
				begin, cpu, before := time.Now(), h.vswitchdCPU(), dropsOf(h, "tap1")[model.ReasonMAC]
				b.ResetTimer()
				for i := range b.N {
					if kind == "many" {
						binary.BigEndian.PutUint32(spoofed[8:], uint32(i))
					}
					if err := g.Send(spoofed); err != nil {
						b.Fatal(err)
					}
					time.Sleep(time.Until(begin.Add(time.Duration(i) * pace)))
				}
				b.StopTimer()
				seconds := time.Since(begin).Seconds()
				h.MustPurge()
				used, counted := h.vswitchdCPU()-cpu, dropsOf(h, "tap1")[model.ReasonMAC]-before
				b.ReportMetric(float64(used.Microseconds())/float64(max(counted, 1)), "cpu-us/counted")
				b.ReportMetric(float64(counted)/seconds, "counted/s")
				samples := uint64(0)
				if r, err := control.Claims(b.Context(), h.socket()); err == nil && len(r.VIFs) > 0 {
					samples = r.VIFs[0].Others
					for _, c := range r.VIFs[0].Claims {
						samples += c.Samples
					}
				}
				b.ReportMetric(float64(samples)/seconds, "samples/s")
			})
		}
	}
}

// vswitchdCPU is the CPU time that ovs-vswitchd has used: proc(5).
func (h *host) vswitchdCPU() time.Duration {
	h.t.Helper()
	pid, err := os.ReadFile(filepath.Join(h.Dir, "ovs-vswitchd.pid"))
	if err != nil {
		h.t.Fatal(err)
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "stat"))
	if err != nil {
		h.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	const hertz, utime, stime = 100, 11, 12
	var ticks int
	for _, i := range []int{utime, stime} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			h.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / hertz
}
