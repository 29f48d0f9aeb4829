// Package datapath runs the project's tests where people run Open vSwitch: on the
// kernel's datapath, and on tc flower. "make datapath-test" makes virtual machines for
// that, with the kernel and the Open vSwitch of a Debian release, and needs nothing of
// the host's kernel.
package datapath
