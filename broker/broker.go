// Package broker keeps channels and serves them to readers.
//
// A channel is a short, append-only log of frames. Each message is encoded once, as a
// complete Server-Sent Event, and every reader gets those same bytes. A reader ([Stream])
// is a position in the log, not a queue, so there is no seam between replay and live
// delivery where a message could be lost or duplicated.
//
//   - Message ids of a channel only grow, and every reader gets the messages in that
//     order. A stream over several channels of one shard gets them all in one order.
//   - A stream hands out each message at most once, and reports a loss ($gap) before it
//     passes the lost messages.
//   - [Broker.Publish] never waits for a reader. It waits, for a bounded time, only until
//     every reader has been offered what was published before.
//   - Memory is bounded by [Options]. What is dropped early is counted in [Stats].
//
// Without an engine, messages are kept in memory only. The package knows nothing of HTTP
// and tokens.
package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/internal/meter"
	"github.com/sluicehq/sluice/schemas"
)

// Errors of the broker. When one of them is returned, nothing has happened.
var (
	ErrClosed          = errors.New("broker: closed")
	ErrDraining        = errors.New("broker: draining")
	ErrBusy            = errors.New("broker: delivery backlog full")
	ErrTooManyChannels = errors.New("broker: too many channels")
	ErrTooManyInStream = errors.New("broker: too many channels in one stream")
	ErrTooManyStreams  = errors.New("broker: too many streams")
	ErrBadRunStatus    = errors.New("broker: bad run status")
	ErrNoChannel       = errors.New("broker: no such channel")
)

// Broker keeps channels in shards and serves them to streams. It only routes:
// everything that concerns one channel is done by its shard. Without [Options.Shards]
// there is a single shard. All methods are safe for concurrent use.
type Broker struct {
	// Static after New.
	opts    Options
	shards  []*shard // at least one
	began   time.Time
	stats   *counters
	streams *streamSet
	meter   meter.Meter

	draining atomic.Bool
	stop     chan struct{}
	life     context.Context // ends when Close begins
	end      context.CancelFunc
	waiting  atomic.Int64 // calls of [Broker.later] whose time has not come
	late     sync.RWMutex // held by what [Broker.within] does, and while stop is closed
	wg       sync.WaitGroup
	close    sync.Once
}

// New starts a broker and its engines. The caller must close it.
func New(opts Options) (*Broker, error) {
	opts = opts.withDefaults()
	stores, err := newStores(opts)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		opts:    opts,
		began:   time.Now(),
		stats:   newCounters(),
		streams: newStreamSet(opts.MaxStreams, opts.MaxStreamsPerSubject, opts.MaxStreamsPerAddress),
		stop:    make(chan struct{}),
	}
	b.life, b.end = context.WithCancel(context.Background())
	for i, st := range stores {
		if err := b.addShard(i, len(stores), st); err != nil {
			_ = b.Close() // closes the shards that have started
			return nil, err
		}
	}
	return b, nil
}

// newStores returns one store for each shard.
func newStores(opts Options) ([]store, error) {
	engines := opts.Shards
	if n := len(engines); n > schemas.MaxShards || n > 0 && opts.Engine != nil {
		return nil, fmt.Errorf("broker: %d shards: at most %d are allowed, and Engine must not be set as well", n, schemas.MaxShards)
	}
	if opts.Engine != nil {
		engines = append(engines, opts.Engine)
	}
	if len(engines) == 0 {
		m, err := newMemory(opts)
		return []store{m}, err
	}
	stores := make([]store, len(engines))
	for i, e := range engines {
		stores[i] = newPersistent(e)
	}
	return stores, nil
}

// Head returns the position of the newest message in the channel's shard or, if it has
// none, the position before the first. A stream that resumes from it gets what is
// published from now on.
func (b *Broker) Head(name schemas.Channel) schemas.ID {
	sh := b.shardFor(name)
	return sh.idOf(sh.seq.Last())
}

// Ready reports why nothing can be published now: [ErrDraining], [ErrClosed] or
// [engine.ErrUnavailable]. It returns nil if publishing is possible.
func (b *Broker) Ready() error {
	if err := b.open(); err != nil {
		return err
	}
	for _, sh := range b.shards {
		if err := sh.store.ready(); err != nil {
			return sh.wrap(err)
		}
	}
	return nil
}

// open reports why the broker accepts neither publishes nor streams: [ErrDraining] or
// [ErrClosed]. It returns nil if it does.
func (b *Broker) open() error {
	select {
	case <-b.stop:
		return ErrClosed
	default:
	}
	if b.draining.Load() {
		return ErrDraining
	}
	return nil
}

// textWait is how long it may take to end a text whose publisher was lost.
const textWait = 10 * time.Second

// maxLater is how many calls wait for their time at most: some tens of MiB.
const maxLater = 100_000

// later calls do after a while, or at once if too many wait, unless the broker is closed
// by then.
func (b *Broker) later(after time.Duration, do func(context.Context)) {
	if b.waiting.Add(1) > maxLater {
		after = 0
	}
	time.AfterFunc(after, func() {
		b.waiting.Add(-1)
		b.within(textWait, do)
	})
}

// within calls do unless the broker is closed. Close ends its context and waits for it.
func (b *Broker) within(most time.Duration, do func(context.Context)) {
	b.late.RLock()
	defer b.late.RUnlock()
	if errors.Is(b.open(), ErrClosed) {
		return
	}
	ctx, cancel := context.WithTimeout(b.life, most)
	defer cancel()
	do(ctx)
}

// clock returns the time since the broker was made. It is never 0.
func (b *Broker) clock(now time.Time) time.Duration { return now.Sub(b.began) + 1 }

// drainWaves is the number of steps in which a drain ends the streams.
const drainWaves = 20

// StopAccepting refuses new publishes and streams. Open streams go on until
// [Broker.Drain]. It may be called more than once.
func (b *Broker) StopAccepting() {
	b.draining.Store(true)
	b.streams.close(ErrDraining)
}

// Drain refuses new publishes and streams, and ends the open streams in waves spread
// over the given time. It returns when the last stream has left, or with the error of
// ctx.
func (b *Broker) Drain(ctx context.Context, over time.Duration) error {
	b.draining.Store(true)
	open, left := b.streams.close(ErrDraining)
	pause := time.NewTicker(max(over/drainWaves, time.Millisecond))
	defer pause.Stop()
	wave := (len(open) + drainWaves - 1) / drainWaves
	for len(open) > 0 {
		n := min(wave, len(open))
		for _, s := range open[:n] {
			s.End(Draining())
		}
		if open = open[n:]; len(open) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-left:
		return nil
	}
}

// Close ends all open streams and waits until the broker's goroutines have ended. It is
// idempotent.
func (b *Broker) Close() error {
	var err error
	b.close.Do(func() {
		b.draining.Store(true)
		b.end()
		open, _ := b.streams.close(ErrClosed)
		for _, s := range open {
			s.End(Draining())
		}
		for _, sh := range b.shards {
			sh.stopLoops()
		}
		b.late.Lock()
		close(b.stop)
		b.late.Unlock()
		b.wg.Wait()
		for _, sh := range b.shards {
			err = errors.Join(err, sh.store.close())
		}
	})
	return err
}
