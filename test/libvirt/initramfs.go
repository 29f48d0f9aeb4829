//go:build guides

package libvirt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// initScript makes the guest a shell on its serial port.
const initScript = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for m in $(cat /modules); do insmod /$m; done
ip link set lo up
exec sh </dev/ttyS0 >/dev/ttyS0 2>&1
`

// modules are those of the guest's network interface, in the order of loading.
var modules = []string{
	"drivers/virtio/virtio_ring.ko", "drivers/virtio/virtio.ko",
	"drivers/virtio/virtio_pci_modern_dev.ko", "drivers/virtio/virtio_pci_legacy_dev.ko", "drivers/virtio/virtio_pci.ko",
	"net/core/failover.ko", "drivers/net/net_failover.ko", "drivers/net/virtio_net.ko",
}

// initramfs makes the guest's file system from the files of a Debian root: busybox and
// the kernel's modules. The format is cpio's "newc": the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst.
func initramfs(root string) ([]byte, error) {
	busybox, err := os.ReadFile(filepath.Join(root, "bin/busybox"))
	if err != nil {
		return nil, err
	}
	var a archive
	for _, dir := range []string{"bin", "proc", "dev"} {
		a.add(dir, 0o040755, nil)
	}
	a.add("bin/busybox", 0o100755, busybox)
	a.add("init", 0o100755, []byte(initScript))
	var names bytes.Buffer
	for _, m := range modules {
		found, err := filepath.Glob(filepath.Join(root, "lib/modules/*/kernel", m))
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return nil, fmt.Errorf("module %s in %s: found %d files, want one kernel's", m, root, len(found))
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			return nil, err
		}
		a.add(filepath.Base(m), 0o100644, text)
		fmt.Fprintln(&names, filepath.Base(m))
	}
	a.add("modules", 0o100644, names.Bytes())
	a.add("TRAILER!!!", 0, nil)
	return a.Bytes(), nil
}

// archive is a cpio archive in the making.
type archive struct {
	bytes.Buffer
	inode int
}

func (a *archive) add(name string, mode int, content []byte) {
	a.inode++
	fmt.Fprintf(a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.Write(content)
	a.pad()
}

// pad aligns to four bytes.
func (a *archive) pad() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}
