// Package serve is "vifguard run": the agent with all that a service has around it, which
// are its log, its metrics over HTTP and what it reports to the service manager. It alone links
// the agent to the command line.
package serve
