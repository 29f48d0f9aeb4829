// Package hosts holds the container lab's scenarios: hosts with Open vSwitch and vifguard
// as containers on one L2 segment, guests as network namespaces in them, and real software
// in the guests. Its tests drive the lab that docker-compose.yml describes, and have the
// build tag lab, because they need it up: see docs/lab.md.
package hosts
