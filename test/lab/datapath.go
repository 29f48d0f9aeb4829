package lab

import (
	"fmt"
	"os"
)

// Datapath selects how a Switch forwards.
type Datapath int

const (
	// Dummy needs no privileges; its ports exist only inside the switch.
	Dummy Datapath = iota
	// Userspace forwards real packets inside ovs-vswitchd and needs root.
	Userspace
	// Kernel forwards real packets in the kernel's module openvswitch, which must be
	// loaded, and needs root.
	Kernel
	// Offload is Kernel with hardware offload on and no hardware: what tc flower can
	// express is forwarded by tc's software, the rest by the module.
	Offload
)

// datapaths are the values of [DatapathVariable].
var datapaths = map[string]Datapath{"dummy": Dummy, "netdev": Userspace, "system": Kernel, "tc": Offload}

// DatapathVariable is the environment variable that chooses the datapath where a test
// or a program leaves it open: see [Chosen].
const DatapathVariable = "LAB_DATAPATH"

// Chosen is the datapath that the environment variable LAB_DATAPATH names, otherwise the
// given one. One that it names wrongly fails as soon as a switch is started with it.
func Chosen(otherwise Datapath) Datapath {
	name := os.Getenv(DatapathVariable)
	if name == "" {
		return otherwise
	}
	if d, ok := datapaths[name]; ok {
		return d
	}
	return -1
}

// check returns an error for a datapath that doesn't exist.
func (d Datapath) check() error {
	if d < Dummy || d > Offload {
		return fmt.Errorf("%s is %q (want dummy, netdev, system or tc)", DatapathVariable, os.Getenv(DatapathVariable))
	}
	return nil
}

// Type is the datapath_type of the bridges of such a switch.
func (d Datapath) Type() string {
	switch d {
	case Dummy:
		return "dummy"
	case Userspace:
		return "netdev"
	case Kernel, Offload:
	}
	return "system"
}

// Real tells whether the ports are network devices, so that the switch needs a network
// namespace and can have guests.
func (d Datapath) Real() bool { return d != Dummy }

// InKernel tells whether the kernel forwards, and ovs-vswitchd sees only what has no
// megaflow yet.
func (d Datapath) InKernel() bool { return d == Kernel || d == Offload }

// arguments are those of ovs-vswitchd.
func (d Datapath) arguments() []string {
	switch d {
	case Dummy:
		return []string{"--disable-system", "--enable-dummy=override"}
	case Userspace:
		return []string{"--disable-system"}
	case Kernel, Offload:
	}
	return nil
}

// settings are arguments of ovs-vsctl for what must be set before ovs-vswitchd starts.
func (d Datapath) settings() []string {
	if d != Offload {
		return nil
	}
	return []string{"--", "set", "Open_vSwitch", ".", "other_config:hw-offload=true", "other_config:tc-policy=skip_hw"}
}
