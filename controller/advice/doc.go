// Package advice judges what VIFs have sent that is refused, or would be: what looks
// like metadata that somebody forgot, what only the operator can decide, and what looks
// like an attack. It is a function of values: of what every VIF of the host may be, and
// of what each was seen to claim.
//
// A guest decides what it claims, so advice is never more than a proposal: an address
// that another VIF owns, or a MAC that isn't the VIF's own, gets no command that would
// allow it.
package advice
