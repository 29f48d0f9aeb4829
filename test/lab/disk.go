package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// diskSize is the size in bytes of a disk that a test can fill.
const diskSize = 256 << 10

// MustUseSmallDisk moves the database to a small file system of its own, which
// MustFillDisk can fill. It needs root, and restarts ovsdb-server.
func (t *T) MustUseSmallDisk() {
	t.tb.Helper()
	disk := t.file("disk")
	moved := filepath.Join(disk, "conf.db")
	t.must(t.KillOVSDB())
	t.must(os.Mkdir(disk, 0o755))
	t.must(unix.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)))
	t.tb.Cleanup(func() {
		// The switch is stopped after this, so the file system goes when it has.
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.tb.Errorf("unmount %s: %v", disk, err)
		}
	})
	db, err := os.ReadFile(t.file("conf.db"))
	t.must(err)
	t.must(os.WriteFile(moved, db, 0o640))
	t.must(os.Remove(t.file("conf.db")))
	t.must(os.Symlink(moved, t.file("conf.db")))
	t.must(t.StartOVSDB())
	t.must(t.WaitVswitchd(t.tb.Context()))
}

// MustFillDisk takes all room of the small disk, so that ovsdb-server refuses every
// further write, and returns the function that frees it.
func (t *T) MustFillDisk() (free func()) {
	t.tb.Helper()
	ballast := t.file("disk/ballast")
	if err := os.WriteFile(ballast, make([]byte, 2*diskSize), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.tb.Fatalf("filling the disk: %v", err)
	}
	for n := range 100 { // what is left of the database's last page
		if _, err := t.Vsctl("--no-wait", "set", "Open_vSwitch", ".", fmt.Sprintf("external_ids:ballast=%d%s", n, strings.Repeat("x", 100))); err != nil {
			return func() { t.must(os.Remove(ballast)) }
		}
	}
	t.tb.Fatal("the disk isn't full")
	return nil
}
