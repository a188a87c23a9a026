package auth

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/watchedfile"
)

// ownKeys is a keyring over time: keys appear, sign and retire, and the file changes.
type ownKeys struct {
	maxTTL time.Duration
	file   *watchedfile.File // nil if the ring is not from a file

	now atomic.Pointer[ownSet]
	mu  sync.Mutex // held while now is replaced
}

// ownSet is the state of the ring until the next change.
type ownSet struct {
	keySet
	ring   *Keyring
	signer *signingKey
	public []byte    // the published JWK set
	until  time.Time // zero: no change is due
}

func newOwnKeys(ring *Keyring, maxTTL time.Duration, logger *slog.Logger) (*ownKeys, error) {
	o := &ownKeys{maxTTL: maxTTL}
	if ring.path != "" {
		o.file = &watchedfile.File{Path: ring.path, Log: logger}
	}
	set, err := o.view(ring, time.Now())
	if err != nil {
		return nil, err
	}
	o.replace(nil, set)
	return o, nil
}

// at returns the set at now.
func (o *ownKeys) at(now time.Time) *ownSet {
	if o.file != nil {
		o.file.Poll(now, func(data []byte) error { return o.reload(data, now) })
	}
	set := o.now.Load()
	if set.until.IsZero() || now.Before(set.until) {
		return set
	}
	if next, err := o.view(set.ring, now); err == nil { // it was made from this ring before
		o.replace(set, next)
	}
	return o.now.Load()
}

func (o *ownKeys) reload(data []byte, now time.Time) error {
	ring, err := parseKeyring(o.file.Path, data)
	if err != nil {
		return err
	}
	set, err := o.view(ring, now)
	if err != nil {
		return err
	}
	o.replace(nil, set)
	return nil
}

// view returns the set of ring at now.
func (o *ownKeys) view(ring *Keyring, now time.Time) (*ownSet, error) {
	live := ring.live(now, o.maxTTL)
	public, err := publicSet(live)
	if err != nil {
		return nil, err
	}
	set := &ownSet{ring: ring, signer: ring.signer(now), public: public}
	set.until, _ = ring.nextChange(now, o.maxTTL)
	set.keys = make(map[string]*verifyingKey, len(live))
	for _, key := range live {
		set.keys[key.kid] = &key.verifyingKey
	}
	return set, nil
}

// replace makes set the current one, unless old is given and is no longer current: a change
// by the clock must not undo a change of the file.
func (o *ownKeys) replace(old, set *ownSet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	last := o.now.Load()
	if old != nil && old != last {
		return
	}
	set.generation = 1
	if last != nil {
		set.generation = last.generation + 1
	}
	o.now.Store(set)
}

func (o *ownKeys) current(now time.Time) *keySet { return &o.at(now).keySet }

// renewed has nothing newer, since at checks the file on every call.
func (o *ownKeys) renewed(context.Context) *keySet { return o.current(time.Now()) }
