// Package fault proves what vifguard promises for its life cycle: real faults in real
// processes while guests send numbered frames, and every frame is accounted for. The
// two figures of each case are the legitimate frames that were lost and the spoofed
// ones that were delivered. docs/reliability.md has the table.
package fault
