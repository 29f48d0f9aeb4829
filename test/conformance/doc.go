// Package conformance proves every verdict of vifguard's contract, frame by
// frame, on a real Open vSwitch.
//
// It consists of three judgments that know nothing of each other:
//
//   - [Frames] is a table of frames, legitimate ones and attacks, each with the
//     RFC, CVE or incident it comes from and the verdict that the contract
//     demands of it under each of [Policies]. It is written to be read.
//   - Package oracle parses a raw frame and decides, from the contract alone, what
//     a policy means for it. It shares no code with the compiler of flows.
//   - The switch: the agent programs a real Open vSwitch, the frames are
//     injected as bytes, and what arrives and what the drop counters say is the
//     verdict.
//
// The tests hold all three together: the table against the oracle, the table
// against the switch, and, with random policies and mutated frames, the oracle
// against the switch.
//
// What a real switch can't see is no secret: a frame with a [Limit] says what the
// contract wants, what the switch does instead, and why that does no harm.
package conformance
