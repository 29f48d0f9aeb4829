// Package model holds what vifguard knows about a host as plain values, and
// decides what each VIF may be: it parses the metadata that orchestrators write
// into OVSDB and resolves it into a [Policy].
//
// Everything here is a function of values. There are no sockets, clocks, logs or
// libraries in this package, so that a policy can be computed, compared and tested
// anywhere: by the agent, by the command line and by a test without a switch.
package model
