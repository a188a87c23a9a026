package auth

import (
	"context"
	"time"
)

// keySet has the keys of one issuer that verify at one time. It never changes.
type keySet struct {
	generation uint64 // grows with every change of the issuer's keys; 0: none were ever loaded
	keys       map[string]*verifyingKey
}

// find returns the key for a token with the given kid. A token without a kid can only be
// verified if there is just one key.
func (s *keySet) find(kid string) (*verifyingKey, bool) {
	if kid == "" && len(s.keys) == 1 {
		for _, key := range s.keys {
			return key, true
		}
	}
	key, ok := s.keys[kid]
	return key, ok
}

// keySource has the keys of one issuer. Its methods are safe for concurrent use.
type keySource interface {
	// current returns the keys, never nil, without waiting for a network.
	current(now time.Time) *keySet
	// renewed is called if a kid is not in the current set. It may wait a few seconds for
	// newer keys.
	renewed(ctx context.Context) *keySet
}
