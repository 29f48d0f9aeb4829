// Package agent is vifguard's agent: a level-triggered loop that has every guarded
// bridge of a host do what OVSDB asks for, and says so in OVSDB.
//
// Events only say that something may have changed. The [Agent] owns the view of OVSDB: it
// hands every bridge's target to that bridge's worker (package bridge), and writes status
// back once the worker reports that the switch has confirmed.
package agent
