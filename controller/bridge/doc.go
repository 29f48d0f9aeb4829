// Package bridge keeps the flows of one bridge as OVSDB asks.
//
// A [Worker] owns its bridge's OpenFlow session: it compiles the target, compares it with
// what the switch has, and applies the difference as one atomic bundle. What one VIF's
// inputs lead to is remembered in a ledger, so that a change costs one VIF, and a
// comparison with the real flows every few seconds makes sure that what is remembered is
// true.
package bridge
