// Package seededhash hashes the keys of a cache with a random seed. Nobody outside
// the process can predict the hash of a key, so nobody can choose keys that evict each
// other.
package seededhash

import "hash/maphash"

// Hasher is a hash function with a seed of its own. Make one with [New]. It is safe
// for concurrent use.
type Hasher struct{ seed maphash.Seed }

// New returns a hasher with a new random seed.
func New() Hasher { return Hasher{maphash.MakeSeed()} }

// Sum64 returns the hash of key, which is never 0: BigCache, whose Hasher interface
// this implements, takes 0 for an empty entry.
func (h Hasher) Sum64(key string) uint64 { return max(1, maphash.String(h.seed, key)) }
