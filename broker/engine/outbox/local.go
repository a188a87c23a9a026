package outbox

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/sluicehq/sluice/schemas"
)

// Limits of the events that nobody has read yet.
const (
	maxWaiting      = 10_000
	maxWaitingBytes = 64 << 20
)

// Local is an outbox for a single node. It forgets everything when the process stops, and an
// event as soon as it is read. The caller adds the ends of runs, too.
type Local struct {
	news chan struct{}

	mu       sync.Mutex
	epoch    uint64
	last     uint64                   // guarded by mu; the newest position
	waiting  []Event                  // guarded by mu
	bytes    int                      // guarded by mu; of waiting
	dropped  int64                    // guarded by mu
	occupied map[schemas.Channel]bool // guarded by mu
}

var _ Store = (*Local)(nil)

// NewLocal returns an empty outbox.
func NewLocal() *Local {
	return &Local{news: make(chan struct{}, 1), epoch: schemas.NewEpoch(), occupied: make(map[schemas.Channel]bool)}
}

// Lead implements [Store]: there is no other node.
func (*Local) Lead(ctx context.Context) (context.Context, func(), error) {
	leading, resign := context.WithCancel(ctx)
	return leading, resign, ctx.Err()
}

// Occupied implements [Store].
func (l *Local) Occupied(context.Context) ([]schemas.Channel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.occupied)), nil
}

// Read implements [Store].
func (l *Local) Read(_ context.Context, _ uint64, limit int) ([]Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(limit, len(l.waiting))
	return l.take(n), nil
}

// take removes the oldest n events and returns them. The caller holds mu.
func (l *Local) take(n int) []Event {
	taken := slices.Clone(l.waiting[:n])
	for i := range taken {
		l.bytes -= taken[i].size()
	}
	clear(l.waiting[:n])
	l.waiting = l.waiting[n:]
	return taken
}

// size is about how many bytes the event takes.
func (e *Event) size() int {
	const fixed = 256
	if e.Run == nil {
		return fixed
	}
	return fixed + len(e.Run.Result) + len(e.Run.Error)
}

// News implements [Store].
func (l *Local) News() <-chan struct{} { return l.news }

// Settle implements [Store]: what was read is forgotten already.
func (*Local) Settle(context.Context, []Outcome) error { return nil }

// Add implements [Store].
func (l *Local) Add(_ context.Context, e Event) error {
	l.Put(e)
	return nil
}

// Put adds an event. It drops the oldest ones that nobody has read if there are more than 10,000,
// or they take more than 64 MiB.
func (l *Local) Put(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += e.size()
	for len(l.waiting) >= maxWaiting || l.bytes > maxWaitingBytes && len(l.waiting) > 0 {
		l.take(1)
		l.dropped++
	}
	switch e.Type {
	case ChannelOccupied:
		l.occupied[e.Channel] = true
	case ChannelVacated:
		delete(l.occupied, e.Channel)
	}
	l.last++
	e.ID = schemas.ID{Epoch: l.epoch, Seq: l.last}
	l.waiting = append(l.waiting, e)
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// Dropped returns how many events nobody has read in time.
func (l *Local) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}
