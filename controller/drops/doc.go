// Package drops makes few lines out of many refused frames. A switch samples what it
// drops; package drops says of each sample who sent it, why it was dropped and what
// it claimed, folds what repeats itself, and remembers what each VIF has claimed.
//
// Guests decide what is sampled and how often, so everything here is bounded: lines
// per second, claims per VIF, VIFs. Time is an argument, and nothing here blocks.
package drops
