package auth

import (
	"errors"
	"sync"
	"time"
)

// Errors of [Authority.Revoke].
var (
	ErrBadTokenID         = errors.New("auth: a token id has 1 to 255 printable ASCII characters")
	ErrTooManyRevocations = errors.New("auth: too many revocations are held")
)

// revocations holds the ids of revoked tokens. Here nothing is ever dropped to
// make room: a lost entry would let someone in.
type revocations struct {
	max  int
	hold time.Duration // how long an id is needed; 0: for ever

	mu   sync.RWMutex
	ends map[string]time.Time // guarded by mu; when the id may be forgotten
}

func newRevocations(limit int, hold time.Duration) *revocations {
	return &revocations{max: limit, hold: hold, ends: make(map[string]time.Time)}
}

func (r *revocations) add(jti string, now time.Time) error {
	if !printable(jti) {
		return ErrBadTokenID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.ends[jti]; !known && len(r.ends) >= r.max {
		if r.forget(now); len(r.ends) >= r.max {
			return ErrTooManyRevocations
		}
	}
	r.ends[jti] = now.Add(r.hold)
	return nil
}

// forget removes the ids of tokens that have expired since. It is called with mu.
func (r *revocations) forget(now time.Time) {
	if r.hold == 0 {
		return
	}
	for jti, end := range r.ends {
		if now.After(end) {
			delete(r.ends, jti)
		}
	}
}

func (r *revocations) has(jti string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, revoked := r.ends[jti]
	return revoked
}

func (r *revocations) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.ends)
}
