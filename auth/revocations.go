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

// Revoke makes the token with the given jti worthless. It is remembered until
// every own token of today has expired, and for the life of the process when
// there are foreign issuers. Errors: [ErrBadTokenID], and
// [ErrTooManyRevocations], after which the token is still valid.
func (a *Authority) Revoke(jti string) error {
	until, err := a.Revocable(jti)
	if err != nil {
		return err
	}
	return a.RevokeUntil(jti, until)
}

// Revocable returns until when a revocation of the token with the given jti that
// comes now must be remembered, the zero time for ever, or the error of [Authority.Revoke].
func (a *Authority) Revocable(jti string) (until time.Time, err error) {
	now := time.Now()
	if err := a.revocations.check(jti, now); err != nil || a.holdRevoked == 0 {
		return time.Time{}, err
	}
	return now.Add(a.holdRevoked), nil
}

// RevokeUntil is [Authority.Revoke] for a revocation that came elsewhere or
// earlier, where its end, the zero time for never, was set. The later end of two
// holds; one that is over is nothing.
func (a *Authority) RevokeUntil(jti string, until time.Time) error {
	if err := a.revocations.check(jti, time.Now()); err != nil {
		return err
	}
	return a.RestoreRevocation(jti, until)
}

// RestoreRevocation is [Authority.RevokeUntil] for a revocation that held when the
// service stopped. It holds again, whatever the limit is now: a lost one would let
// someone in. Errors: [ErrBadTokenID].
func (a *Authority) RestoreRevocation(jti string, until time.Time) error {
	return a.revocations.add(jti, until, time.Now())
}

// Unrevoke takes back what [Authority.RevokeUntil] did, as if it had never been.
func (a *Authority) Unrevoke(jti string) { a.revocations.remove(jti) }

// Revoked reports whether the token with the given jti was revoked.
func (a *Authority) Revoked(jti string) bool { return a.revocations.has(jti) }

// revocations holds the ids of revoked tokens. Here nothing is ever dropped to
// make room: a lost entry would let someone in.
type revocations struct {
	max int

	mu   sync.RWMutex
	ends map[string]time.Time // guarded by mu; when the id may be forgotten, zero: never
	next time.Time            // guarded by mu; no end is before it, zero: there is none
}

func newRevocations(limit int) *revocations {
	return &revocations{max: limit, ends: make(map[string]time.Time)}
}

// check returns the error that add would return.
func (r *revocations) check(jti string, now time.Time) error {
	if !printable(jti) {
		return ErrBadTokenID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.room(jti, now)
}

func (r *revocations) add(jti string, end, now time.Time) error {
	if !printable(jti) {
		return ErrBadTokenID
	}
	if over(end, now) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.room(jti, now) // so that what is over does not stay for ever
	if was, known := r.ends[jti]; known && (was.IsZero() || !end.IsZero() && end.Before(was)) {
		return nil
	}
	r.ends[jti] = end
	r.next = sooner(r.next, end)
	return nil
}

// room makes room for the id if there is none and something is over. It is called
// with mu.
func (r *revocations) room(jti string, now time.Time) error {
	if _, known := r.ends[jti]; known || len(r.ends) < r.max {
		return nil
	}
	if r.forget(now); len(r.ends) >= r.max {
		return ErrTooManyRevocations
	}
	return nil
}

// forget removes the ids of tokens that have expired since. It is called with mu.
func (r *revocations) forget(now time.Time) {
	if !over(r.next, now) {
		return
	}
	r.next = time.Time{}
	for jti, end := range r.ends {
		if over(end, now) {
			delete(r.ends, jti)
		} else {
			r.next = sooner(r.next, end)
		}
	}
}

// over reports whether an end has come.
func over(end, now time.Time) bool { return !end.IsZero() && now.After(end) }

// sooner returns the end that comes first.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (r *revocations) remove(jti string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ends, jti)
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
