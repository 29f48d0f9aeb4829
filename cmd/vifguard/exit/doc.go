// Package exit answers with which code the program ends, and what it says about that: an
// error is one sentence that names what is wrong and what to do.
package exit
