// Package lab runs a real, private Open vSwitch for tests and demonstrations.
//
// A [Switch] is an ovsdb-server and an ovs-vswitchd of its own: their
// sockets, database and logs lie in a temporary directory and the host's Open
// vSwitch is never contacted. Several kinds exist: see [Datapath]. A [Dummy] switch needs no
// privileges: frames are injected at its ports and captured at its ports,
// which makes verdicts exact and fast ([Switch.Deliver]). The others need
// root: a [Userspace], [Kernel] or [Offload] switch forwards real packets between guests,
// each a network namespace joined to the switch by a veth pair ([Switch.AddGuest]). The
// environment variable LAB_DATAPATH chooses where a test leaves that open ([Chosen]).
//
// The frames themselves are built by small composable functions: [Ether],
// [ARP], [IPv4], [IPv6] and so on.
//
// The core returns errors, so that a program can use it as well as a test;
// [New] wraps it for a testing.TB. Nothing outlives the process: daemons are
// killed by the kernel when their parent dies, and namespaces have no name, so
// they vanish with the last process or file descriptor that holds them.
package lab
