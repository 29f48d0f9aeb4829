// Package exposure walks every known way around the tables of a guarded bridge, with the
// real agent and a real Open vSwitch: first the frame that must not pass does, and the
// judgement names the way; then the command that the judgement gives is carried out, and
// both are gone. docs/exposure.md has the list.
package exposure
