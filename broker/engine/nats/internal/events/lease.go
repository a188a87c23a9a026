package events

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

const (
	// leaseFor is how long a lease lasts that is not renewed, by the clock of the servers.
	// The node itself counts from before it asked, and stops leaseMargin earlier.
	leaseFor    = 10 * time.Second
	leaseMargin = time.Second
	renewEvery  = 2 * time.Second
	// lookEvery is how often a node that does not lead looks whether it can.
	lookEvery = time.Second
)

// errLost ends a context when another node may lead.
var errLost = errors.New("events: the lease has expired")

// Lead implements [outbox.Store]. The lease is a record that expires. A node that leads
// replaces it every two seconds, on the condition that it is still its own; any other node
// stores one if there is none. So at most one node has a lease at any time. One that was
// asleep, or cannot reach the servers, ends its context before the lease expires: its clock
// need not agree with anybody's, it must only run as fast.
func (s *Store) Lead(ctx context.Context) (leading context.Context, resign func(), err error) {
	var revision uint64
	var since time.Time
	for revision == 0 {
		since = time.Now()
		if revision, err = s.take(ctx); err != nil {
			return nil, nil, err
		}
		if revision == 0 {
			pause(ctx, lookEvery/2+rand.N(lookEvery))
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
	leading, lose := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() { // until leading ends
		defer close(ended)
		s.renew(leading, lose, revision, since)
	}()
	return leading, func() {
		lose(context.Canceled)
		<-ended
	}, nil
}

// take takes the lease if nobody has it, and returns its position, or 0 if somebody has.
func (s *Store) take(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_, held, err := s.stream.Last(ctx, s.lease())
	if err != nil || held {
		return 0, err
	}
	revision, err := s.stream.Publish(ctx, s.leaseAfter(0))
	if jetstream.IsConflict(err) {
		return 0, nil
	}
	return revision, err
}

func (s *Store) lease() string { return s.prefix + "lease" }

// leaseAfter returns the record that follows the one at a position.
func (s *Store) leaseAfter(position uint64) *natsio.Msg {
	m := jetstream.NewMsg(s.lease(), []byte(s.node), leaseFor)
	jetstream.ExpectLast(m, position)
	jetstream.Replace(m)
	return m
}

// renew renews the lease until leading ends, or it could not do so for too long. Then it gives
// the lease back, if it is still there.
func (s *Store) renew(leading context.Context, lose context.CancelCauseFunc, revision uint64, since time.Time) {
	expiry := time.AfterFunc(time.Until(since.Add(leaseFor-leaseMargin)), func() { lose(errLost) })
	defer expiry.Stop()
	for pause(leading, renewEvery); leading.Err() == nil; pause(leading, renewEvery) {
		since = time.Now()
		ctx, cancel := context.WithTimeout(leading, renewEvery)
		next, err := s.stream.Publish(ctx, s.leaseAfter(revision))
		cancel()
		switch {
		case err == nil:
			revision = next
			expiry.Reset(time.Until(since.Add(leaseFor - leaseMargin)))
		case jetstream.IsConflict(err):
			// An earlier try may have been stored without an answer.
			if own, held, err := s.stream.Last(leading, s.lease()); err == nil && held && string(own.Data) == s.node {
				revision = own.Sequence
			} else if err == nil {
				lose(errLost)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(leading), renewEvery)
	defer cancel()
	_ = s.stream.Purge(ctx, s.lease(), revision+1) // else it expires
}

// pause waits, until ctx ends at the latest.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
