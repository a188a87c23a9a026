package auth

import (
	"container/heap"
	"errors"
	"sync"
	"time"
)

// Errors of [Authority.Revoke].
var (
	ErrBadTokenID         = errors.New("auth: a token id has 1 to 255 printable ASCII characters")
	ErrTooManyRevocations = errors.New("auth: too many revocations are held")
)

// Revoke invalidates the token with the given jti. The revocation is remembered until every
// token that can have this jti has expired: own tokens live at most [Options.MaxTTL], those
// of a foreign issuer at most its [Issuer.MaxTTL], and a token with an unknown lifetime is
// never accepted. Errors: [ErrBadTokenID], and [ErrTooManyRevocations], after which the
// token is still valid.
func (a *Authority) Revoke(jti string) error {
	until, err := a.Revocable(jti)
	if err != nil {
		return err
	}
	return a.RevokeUntil(jti, until)
}

// Revocable returns until when a revocation of the given jti at this moment must be
// remembered, or the error of [Authority.Revoke].
func (a *Authority) Revocable(jti string) (until time.Time, err error) {
	now := time.Now()
	if err := a.revocations.check(jti, now); err != nil {
		return time.Time{}, err
	}
	return a.longest(now), nil
}

// RevokeUntil is like [Authority.Revoke] for a revocation that was made elsewhere or earlier
// and has an end. The zero time stands for the end of a revocation made now. The later of
// two ends counts; an end in the past has no effect.
func (a *Authority) RevokeUntil(jti string, until time.Time) error {
	if err := a.revocations.check(jti, time.Now()); err != nil {
		return err
	}
	return a.RestoreRevocation(jti, until)
}

// RestoreRevocation is like [Authority.RevokeUntil] for a revocation from before a restart.
// It ignores the limit: a lost revocation would let someone in. Errors: [ErrBadTokenID].
func (a *Authority) RestoreRevocation(jti string, until time.Time) error {
	now := time.Now()
	if until.IsZero() {
		until = a.longest(now)
	}
	return a.revocations.add(jti, until, now)
}

// longest returns the time at which every token that exists now has expired.
func (a *Authority) longest(now time.Time) time.Time { return now.Add(a.holdRevoked) }

// Unrevoke undoes [Authority.RevokeUntil].
func (a *Authority) Unrevoke(jti string) { a.revocations.remove(jti) }

// Revoked reports whether the token with the given jti was revoked.
func (a *Authority) Revoked(jti string) bool { return a.revocations.has(jti) }

// revocations has the ids of revoked tokens, each until its end. None is dropped earlier to
// make room: a lost entry would let someone in.
type revocations struct {
	max int

	mu   sync.RWMutex
	byID map[string]*revocation // guarded by mu
	ends byEnd                  // guarded by mu; the same ones
}

// revocation is one revoked id.
type revocation struct {
	jti string
	end time.Time // when the token has expired
	at  int       // index in ends
}

func newRevocations(limit int) *revocations {
	return &revocations{max: limit, byID: make(map[string]*revocation)}
}

// check returns the error that keeps the id from being revoked.
func (r *revocations) check(jti string, now time.Time) error {
	if !printable(jti) {
		return ErrBadTokenID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	if _, known := r.byID[jti]; !known && len(r.byID) >= r.max {
		return ErrTooManyRevocations
	}
	return nil
}

func (r *revocations) add(jti string, end, now time.Time) error {
	if !printable(jti) {
		return ErrBadTokenID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	known := r.byID[jti]
	switch {
	case now.After(end):
	case known == nil:
		known = &revocation{jti: jti, end: end}
		r.byID[jti] = known
		heap.Push(&r.ends, known)
	case end.After(known.end):
		known.end = end
		heap.Fix(&r.ends, known.at)
	}
	return nil
}

// forget removes the ids of tokens that have expired. The caller holds mu.
func (r *revocations) forget(now time.Time) {
	for len(r.ends) > 0 && now.After(r.ends[0].end) {
		r.drop(r.ends[0])
	}
}

// drop removes one id. The caller holds mu.
func (r *revocations) drop(known *revocation) {
	heap.Remove(&r.ends, known.at)
	delete(r.byID, known.jti)
}

func (r *revocations) remove(jti string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.byID[jti]; known != nil {
		r.drop(known)
	}
}

func (r *revocations) has(jti string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[jti] != nil
}

func (r *revocations) len(now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	return len(r.byID)
}

// byEnd is a heap of revocations, of which the first one ends first. It implements
// [heap.Interface].
type byEnd []*revocation

func (a byEnd) Len() int           { return len(a) }
func (a byEnd) Less(i, j int) bool { return a[i].end.Before(a[j].end) }

func (a byEnd) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].at, a[j].at = i, j
}

// Push implements [heap.Interface].
func (a *byEnd) Push(x any) {
	known := x.(*revocation) // nothing else is pushed
	known.at = len(*a)
	*a = append(*a, known)
}

// Pop implements [heap.Interface].
func (a *byEnd) Pop() any {
	last := len(*a) - 1
	known := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return known
}
