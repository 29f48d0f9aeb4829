package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/test/lab"
)

// BenchmarkOnePort measures the commands that are about one port, beside "status" of the
// whole bridge, on bridges with few and with many VIFs. Beside the time of the command it
// reports its processor time, which a busy machine doesn't change, and what it costs
// ovs-vswitchd's main thread, which also adds ports and answers the agent.
//
//	go test -run '^$' -bench OnePort ./cmd/vifguard
func BenchmarkOnePort(b *testing.B) {
	for _, vifs := range []int{10, 1000} {
		b.Run(fmt.Sprintf("vifs=%d", vifs), func(b *testing.B) {
			f := newFleet(b, vifs)
			port := fmt.Sprintf("p%d", vifs/2)
			frame := "ffffffffffff525400123456080600010800060400015254001234560a00000a0000000000000a000001"
			onePort := [][]string{{"wait", port}, {"status", port}, {"explain", port}, {"trace", port, frame}}
			for _, args := range append([][]string{{"status"}, {"verify"}}, onePort...) {
				name := args[0]
				if len(args) > 1 {
					name += "-port"
				}
				b.Run(name, func(b *testing.B) { f.measure(b, args...) })
			}
			f.stop()
			for _, args := range onePort[:3] { // which then judge by themselves
				b.Run(args[0]+"-port-without-agent", func(b *testing.B) { f.measure(b, args...) })
			}
		})
	}
}

// fleet is a switch with a bridge of VIFs that an agent has programmed. The agent is idle:
// only the commands ask anything of the switch.
type fleet struct {
	*lab.T
	stop func() // ends the agent
}

// newFleet makes VIFs of patch ports, which a switch has thousands of within seconds.
func newFleet(b *testing.B, vifs int) *fleet {
	f := &fleet{T: lab.New(b, lab.Options{})}
	f.MustBridge("br0")
	f.MustVsctl("set", "Bridge", "br0", "external_ids:port-security=auto", "fail_mode=secure")
	const batch = 100 // the time that ovs-vsctl takes grows with the square of it
	for from := 0; from < vifs; from += batch {
		var args []string
		for i := from; i < min(from+batch, vifs); i++ {
			name := fmt.Sprintf("p%d", i)
			args = append(args, "--", "add-port", "br0", name, "--", "set", "Interface", name, "type=patch",
				fmt.Sprintf("options:peer=p%d", i^1), fmt.Sprintf("ofport_request=%d", i+1),
				fmt.Sprintf("external_ids:attached-mac=52:54:00:00:%02x:%02x", i>>8, i&255),
				fmt.Sprintf("external_ids:allowed-addresses=10.0.%d.%d,2001:db8::%x,100.64.%d.%d/28", i>>8, i&255, i+1, i>>4, i<<4&255),
				fmt.Sprintf("external_ids:allowed-address-pairs=172.16.%d.%d", i>>8, i&254))
		}
		f.MustVsctl(args[1:]...)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := f.run(ctx, "run", "--log-level", "error", "--check-interval", "1h", "--metrics-address", "", "--control", filepath.Join(f.Dir, "c.sock"), "--state-dir", "")
		ended <- err
	}()
	f.MustWait("the last VIF to be enforced", func() (bool, error) {
		return f.MustIDs(fmt.Sprintf("p%d", vifs-1))["vifguard-state"] == "enforced", nil
	})
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	})
	b.Cleanup(f.stop)
	return f
}

func (f *fleet) run(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	root := newRoot(&out, &out)
	root.SetArgs(append([]string{"--ovsdb", f.Endpoint()}, args...))
	return out.String(), root.ExecuteContext(ctx)
}

func (f *fleet) measure(b *testing.B, args ...string) {
	time.Sleep(100 * time.Millisecond) // for the switch to have done what came before
	before, own := f.switchTime(b), ownTime(b)
	for b.Loop() {
		if out, err := f.run(b.Context(), args...); err != nil {
			b.Fatalf("vifguard %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	b.ReportMetric(float64(f.switchTime(b)-before)/float64(b.N)/1e6, "switch-ms/op")
	b.ReportMetric(float64(ownTime(b)-own)/float64(b.N)/1e6, "cpu-ms/op")
}

// ownTime is for how long this process has been running on all processors.
func ownTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// switchTime is for how long ovs-vswitchd's main thread has been running on a processor,
// out of /proc/PID/task/TID/schedstat (Linux, Documentation/scheduler/sched-stats.rst).
func (f *fleet) switchTime(b *testing.B) time.Duration {
	pid, err := os.ReadFile(filepath.Join(f.Dir, "ovs-vswitchd.pid"))
	if err != nil {
		b.Fatal(err)
	}
	id := strings.TrimSpace(string(pid))
	stat, err := os.ReadFile(filepath.Join("/proc", id, "task", id, "schedstat"))
	if err != nil {
		b.Fatal(err)
	}
	ns, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(ns)
}
