// Package flows turns policies into OpenFlow rules.
//
// The pipeline is data: seven tables, [Stages], in the order in which a packet visits
// them. [Shared] returns the rules that depend on no VIF, [Compile] those of one VIF.
// Rules are values with typed matches, so that a match can't be built without its
// prerequisites; package openflow encodes them.
//
// Everything here is a function of values, without sockets, clocks or logs.
package flows
