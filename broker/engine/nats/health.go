package nats

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

const (
	// silence is how long the canary may be missing before the engine counts as out of
	// reach and tries the next server.
	silence = 3 * time.Second
	// mostSilence bounds how long the canary may be missing at one server once all of
	// them have been tried.
	mostSilence = 30 * time.Second
)

// health decides whether the engine can be used. It judges by the canary: a message
// that each node stores every second, and that must come back the way all messages do.
//
// Three things can happen to a canary, and each has its consequence:
//
//   - The leader refuses it. The stream is within reach and can be read; it stores
//     nothing, so readers miss nothing. The engine is read-only.
//   - It does not come back for as long as silence says. The node is cut off, perhaps
//     together with the server that it is connected to. The engine turns red: it
//     refuses all work, and tries the next server. After the cut-off, readers are sent
//     to other nodes, once.
//   - It comes back. That alone does not end red, because messages may have been lost
//     meanwhile: first the reconciler must have compared everything.
//
// As long as messages may have been lost, nothing is delivered (see [live]). If the
// reconciler has not made up for them by the cut-off, the engine also turns red, and readers
// are sent to other nodes.
//
// Independent of the canary, a stream that looks like another one makes the engine
// unavailable, and in the end for good; see [watchedStream].
type health struct {
	cutOff time.Duration
	wake   chan struct{} // for the reconciler: losses are due

	first atomic.Uint64 // the oldest position of the stream when last looked at
	floor atomic.Uint64 // see metaFloor
	// perSubject is how many messages the stream now keeps of each subject.
	perSubject atomic.Int64

	mu        sync.Mutex
	heardAt   time.Time // guarded by mu; when the canary last came back or was refused
	storedAll time.Time // guarded by mu; since when every canary was stored, as far as is known
	refusal   error     // guarded by mu; why the leader last refused the canary; nil: it stored it
	redSince  time.Time // guarded by mu; zero: not red
	severed   bool      // guarded by mu; readers were sent away, since redSince
	saidRed   bool      // guarded by mu; check has said that the engine turned red, and not yet that this has ended
	tried     int       // guarded by mu; further servers, since redSince
	nextTry   time.Time // guarded by mu; when to try another server
	givenUp   error     // guarded by mu; why the stream must not be used again
	suspicion error     // guarded by mu; why the stream perhaps must not be used

	// Events after which messages may be missing are counted. The reconciler notes up
	// to which event it has made up for them.
	losses   uint64    // guarded by mu; events so far
	madeGood uint64    // guarded by mu; events that the reconciler has dealt with
	redUntil uint64    // guarded by mu; red does not end before madeGood is this high
	behind   time.Time // guarded by mu; since when there are events to deal with; zero: there are none
}

func newHealth(cutOff time.Duration) *health {
	now := time.Now()
	return &health{cutOff: cutOff, wake: make(chan struct{}, 1), heardAt: now, storedAll: now}
}

// observe notes what the stream keeps now.
func (h *health) observe(info *jetstream.Info) {
	h.first.Store(info.State.FirstSeq)
	h.floor.Store(floorOf(info))
	h.perSubject.Store(info.Config.MaxMsgsPerSubject)
}

// lossPossible says that messages may have been lost on their way to this node.
func (h *health) lossPossible() {
	h.mu.Lock()
	h.lose(time.Now())
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// lose counts one more event. The caller holds mu.
func (h *health) lose(now time.Time) {
	if h.losses++; h.behind.IsZero() {
		h.behind = now
	}
}

// lossesDue returns the number of loss events so far, and whether the reconciler has
// yet to deal with one.
func (h *health) lossesDue() (losses uint64, due bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.losses, h.losses != h.madeGood
}

// reconciled says that everything was compared after that many loss events.
func (h *health) reconciled(losses uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.madeGood, h.behind = losses, time.Time{}
	if h.losses != losses {
		h.behind = time.Now()
	}
	h.recover()
}

// canaryBack says that the canary has come back.
func (h *health) canaryBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard()
}

// canaryStored says that the leader stored the canary or, with an error, refused it. It
// reports whether that has changed.
func (h *health) canaryStored(refusal error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed = (h.refusal == nil) != (refusal == nil)
	if h.refusal = refusal; refusal != nil {
		h.heard() // it cannot come back
		h.storedAll = h.heardAt
	}
	return changed
}

// heard says that the stream is within reach. The caller holds mu.
func (h *health) heard() {
	now := time.Now()
	if now.Sub(h.heardAt) > silence {
		h.storedAll = now
	}
	h.heardAt = now
	h.tried = 0
	h.recover()
}

// recover ends red if the canary is back and everything was compared since. The caller
// holds mu.
func (h *health) recover() {
	if !h.redSince.IsZero() && h.heardAt.After(h.redSince) && h.madeGood >= h.redUntil {
		h.redSince, h.severed = time.Time{}, false
	}
}

// steady reports whether the stream has stored every canary for that long. If it has not,
// those of healthy nodes may be missing, too.
func (h *health) steady(d time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	return now.Sub(h.heardAt) <= silence && now.Sub(h.storedAll) >= d
}

// measures are what has to be said and done.
type measures struct {
	turnedRed bool // the engine has just turned red
	recovered bool // it was red, and has ceased to be since the last check
	sever     bool // send readers to other nodes
	move      bool // try the next server
}

// check is called once a second. servers is how many servers the connection knows.
func (h *health) check(now time.Time, servers int) (m measures) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.redSince.IsZero() {
		h.saidRed, m.recovered = false, h.saidRed
	}
	missing := now.Sub(h.heardAt)
	stuck := !h.behind.IsZero() && now.Sub(h.behind) > h.cutOff
	if h.givenUp != nil || missing <= silence && !stuck {
		return m // readers of an engine that is given up were sent away already
	}
	if h.redSince.IsZero() {
		h.redSince, h.saidRed, m.turnedRed = now, true, true
		h.lose(now)
		h.redUntil = h.losses
	}
	if !h.severed && (stuck || missing > h.cutOff) {
		h.severed, m.sever = true, true
	}
	if missing <= silence {
		return m // another server would not help
	}
	if h.tried == 0 || !now.Before(h.nextTry) {
		h.tried++
		h.nextTry, m.move = now.Add(silenceOf(h.tried, servers)), true
	}
	return m
}

// silenceOf returns how long the canary may be missing at the n-th server that is
// tried. It doubles with each round over all servers: if none of them helps, connecting
// over and over gains nothing.
func silenceOf(n, servers int) time.Duration {
	round := (n - 1) / max(servers, 1)
	return min(silence<<min(round, 8), mostSilence)
}

// giveUp says that the stream must not be used again.
func (h *health) giveUp(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.givenUp = why
}

// suspect says why the stream must not be used for now; nil: it may be.
func (h *health) suspect(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.suspicion = why
}

// ready implements [engine.Engine.Ready].
func (h *health) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.givenUp != nil:
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, h.givenUp)
	case h.suspicion != nil:
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, h.suspicion)
	case !h.redSince.IsZero() && h.heardAt.After(h.redSince):
		return fmt.Errorf("%w: what was missed since %s is not fetched yet", engine.ErrUnavailable, h.behind.UTC().Format(time.RFC3339))
	case !h.redSince.IsZero():
		return fmt.Errorf("%w: no message has come back from NATS since %s", engine.ErrUnavailable, h.heardAt.UTC().Format(time.RFC3339))
	case h.refusal != nil:
		return fmt.Errorf("%w: %w: NATS refuses to store messages: %w", engine.ErrUnavailable, engine.ErrReadOnly, h.refusal)
	}
	return nil
}
