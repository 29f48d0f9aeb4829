// Package controller is vifguard's agent: a level-triggered loop that makes the
// switch do what OVSDB asks for, and says so in OVSDB.
//
// Events only say "look again". The [Agent] owns the view of OVSDB: it hands every
// bridge's target to that bridge's worker, and writes status back once the worker
// reports that the switch has confirmed. A worker owns its bridge's OpenFlow session:
// it compiles the target, compares it with what the switch has, and applies the
// difference as one atomic bundle. What one VIF's inputs lead to is remembered in a
// ledger, so that a change costs one VIF, and a comparison with the real flows every
// few seconds makes sure that what is remembered is true.
package controller
