package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vifguard/vifguard/test/lab"
)

// split divides CPUs: one for the switch, all others for what makes, receives and
// controls its traffic. Where there is only one, both share it.
func split(all unix.CPUSet) (one, others unix.CPUSet) {
	others = all
	for cpu := 0; cpu < len(all)*strconv.IntSize; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
			if all.Count() > 1 {
				others.Clear(cpu)
			}
			break
		}
	}
	return one, others
}

// pin lets all threads of a process run on these CPUs only. What they start inherits it.
func pin(pid int, cpus unix.CPUSet) error {
	pinned := map[string]bool{}
	for before := -1; before < len(pinned); { // until there are no new threads
		before = len(pinned)
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err == nil {
				err = unix.SchedSetaffinity(tid, &cpus)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
				return fmt.Errorf("pin thread %s of process %d: %w", t.Name(), pid, err)
			}
			pinned[t.Name()] = true
		}
	}
	return nil
}

// receiveOn makes a guest's packets be received on these CPUs. By default that is a part
// of sending them, hence would count as the switch's time.
func receiveOn(ctx context.Context, g *lab.Guest, cpus unix.CPUSet) error {
	// The files are those of the namespace that sysfs is mounted in.
	script := fmt.Sprintf("mount -t sysfs sysfs /sys && echo %s >/sys/class/net/%s/queues/rx-0/rps_cpus", mask(cpus), g.Device)
	out, exit, err := g.Run(ctx, "unshare", "--mount", "sh", "-c", script)
	if err == nil && exit != 0 {
		err = fmt.Errorf("choose the CPUs of guest %s: %s", g.Name, out)
	}
	return err
}

// mask prints CPUs as sysfs wants them: words of 32 bits in hexadecimal, the highest first.
func mask(cpus unix.CPUSet) string {
	var words []string
	for _, w := range slices.Backward(cpus[:]) {
		for _, word := range []uint32{uint32(w >> 32), uint32(w)} {
			if word != 0 || len(words) > 0 {
				words = append(words, fmt.Sprintf("%08x", word))
			}
		}
	}
	return strings.Join(words, ",")
}

// cpuOf returns the CPU time that a process has used, to the nanosecond.
func cpuOf(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED, which clock_getcpuclockid(3) asks for
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|scheduler), &t)
	return time.Duration(t.Nano()), os.NewSyscallError("clock_gettime", err)
}

// load is how much of a core a process uses while f runs.
func load(pid int, f func() error) (float64, error) {
	before, err := cpuOf(pid)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return 0, err
	}
	elapsed := time.Since(begin)
	after, err := cpuOf(pid)
	return float64(after-before) / float64(elapsed), err
}
