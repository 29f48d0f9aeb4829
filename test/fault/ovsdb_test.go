package fault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/test/lab"
)

// outage is how long ovsdb-server is away where that is the fault.
const outage = 15 * time.Second

// slowRate is for faults of ovsdb-server. Without it the userspace datapath doesn't
// read packets, for up to eight seconds after it is back: then they wait in the
// sockets of the ports, which hold what three streams of this rate send meanwhile.
const slowRate = 3

// few are streams for slowRate.
func few(s *scene) []lab.Stream {
	var all []lab.Stream
	for n, v := range s.vms {
		other := s.vms[(n+1)%len(s.vms)]
		all = append(all, v.honest(s.sink.MAC)[0], v.lies(s.sink.MAC, other)[0], v.lies(s.sink.MAC, other)[1])
	}
	return all
}

// ovsdbFaults are faults of ovsdb-server and its database.
var ovsdbFaults = []fault{
	{
		name:    "ovsdb-server killed and started",
		promise: "flows stay; the agent reconnects and catches up",
		rate:    slowRate, streams: few, waits: true,
		strike: func(s *scene, _ *result) {
			s.MustRun(s.KillOVSDB)
			s.MustRun(s.StartOVSDB)
			s.catchUp()
		},
	},
	{
		name:    "ovsdb-server killed, started 15 s later",
		promise: "flows stay; the agent reconnects and catches up",
		rate:    slowRate, streams: few, waits: true,
		strike: func(s *scene, r *result) {
			s.MustRun(s.KillOVSDB)
			pause(outage)
			r.now()
			s.MustRun(s.StartOVSDB)
			s.catchUp()
		},
	},
	{
		name:    "ovsdb-server hangs for 15 s (SIGSTOP)",
		promise: "flows stay; the agent reconnects and catches up",
		waits:   true,
		rate:    20,
		strike: func(s *scene, r *result) {
			s.signalOVSDB(unix.SIGSTOP)
			s.awaitLog("connection to ovsdb-server ended")
			pause(outage / 2)
			r.now()
			s.signalOVSDB(unix.SIGCONT)
			s.catchUp()
		},
	},
	{
		name:    "ovsdb-server slow: hangs for 300 ms, 20 times, while policies change",
		promise: "changes take effect late, nothing else",
		strike: func(s *scene, r *result) {
			for n := range 20 {
				keys := s.vms[0].keys()
				keys["allowed-addresses"] += fmt.Sprintf(",198.51.100.%d", n)
				s.MustSetIDs("vm1", keys)
				s.signalOVSDB(unix.SIGSTOP)
				pause(300 * time.Millisecond)
				s.signalOVSDB(unix.SIGCONT)
			}
			r.now()
			s.catchUp()
		},
	},
	{
		name:    "database replaced by an older copy",
		promise: "what the copy says is put in force; unchanged VIFs lose nothing",
		rate:    slowRate, waits: true,
		prepare: func(s *scene) {
			s.guard()
			s.MustRun(func() error { return copyFile(s.db(), s.db()+".old") })
			s.MustSetIDs("vm2", map[string]string{"allowed-addresses": "192.0.2.2,2001:db8::2,198.51.100.0/24"})
			s.MustSetIDs("vm3", map[string]string{"port-security": "off"})
			s.await("vm3", "state=off")
			s.awaitExact()
		},
		streams: func(s *scene) []lab.Stream { return few(s)[:6] }, // vm3 is off until then
		strike: func(s *scene, r *result) {
			s.MustRun(s.KillOVSDB)
			s.MustRun(func() error { return os.Rename(s.db()+".old", s.db()) })
			r.now()
			s.MustRun(s.StartOVSDB)
			s.catchUp()
			s.await("vm3", "state=enforced")
		},
		after: func(s *scene) {
			s.mustPass(s.vms[1], ip("198.51.100.1"), false)
			s.mustPass(s.vms[2], ip("198.51.100.1"), false)
		},
	},
	{
		name:    "database's disk full",
		promise: "flows stay; the agent goes on when there is room",
		rate:    slowRate, streams: few, waits: true,
		prepare: func(s *scene) { s.MustUseSmallDisk(); s.guard() },
		strike: func(s *scene, r *result) {
			free := s.MustFillDisk() // no change can be written, and no status
			s.rest()
			r.now()
			free()
			s.catchUp()
		},
	},
}

// catchUp changes a VIF, and returns when that and everything else is in force.
func (s *scene) catchUp() {
	s.t.Helper()
	ids := s.vms[0].keys()
	ids["allowed-addresses"] += ",203.0.113.1"
	ids["port-security-seq"] = fmt.Sprint(time.Now().UnixNano())
	s.wait("a change to be written", func() error { return s.SetIDs("vm1", ids) })
	s.await("vm1", "seq="+ids["port-security-seq"])
	s.awaitExact()
}

func (s *scene) signalOVSDB(sig syscall.Signal) {
	s.t.Helper()
	s.MustRun(func() error { return s.SignalOVSDB(sig) })
}

// db is the path of the database.
func (s *scene) db() string { return filepath.Join(s.Dir, "conf.db") }

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	return errors.Join(err, os.WriteFile(to, data, 0o640))
}
