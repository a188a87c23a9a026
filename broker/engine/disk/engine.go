package disk

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk/recent"
	"github.com/sluicehq/sluice/broker/engine/disk/wal"
	"github.com/sluicehq/sluice/schemas"
)

// sink receives the messages, see [engine.Sink].
type sink interface {
	Wait(ctx context.Context, name schemas.Channel) error
	Deliver(m schemas.Message, limits engine.Limits)
	Drop(name schemas.Channel) bool
}

// Engine stores messages in a directory. It implements [engine.Engine].
type Engine struct {
	opts    Options
	dir     string
	lock    io.Closer
	epoch   uint64
	began   uint64 // newest position at the start
	sink    sink   // set by Start
	started atomic.Bool
	cluster ClusterState
	outbox  Outbox

	queue   chan *request
	pool    sync.Pool // of requests
	stop    chan struct{}
	ended   chan struct{} // closed when the committer has ended
	closing sync.Once
	closed  error // result of Close

	// Owned by the committer once Open has returned.
	journal *wal.Journal
	retired []retired
	state   state
	metas   recent.Cache[schemas.Channel, *meta]
	fences  recent.Cache[keyHash, fence] // as the database has them
	filter  *filter
	filling sync.WaitGroup // goroutines that fill filters
	group   group
	packer  packer
	taken   []*request // requests of the current group
	tended  int64      // the expiry index has nothing that is due before this time
	space   space
	missed  int64 // messages dropped to enforce MaxBytes and not yet logged

	spared    bool           // the spare file exists
	droppable bool           // a compaction may free space
	relieving atomic.Bool    // the goroutine of relieve runs
	relief    sync.WaitGroup // waits for it

	storeMu sync.RWMutex // held by readers while they use store, and to replace it: waiters wait for the disk
	store   *store

	head    atomic.Uint64
	crowded atomic.Bool            // the disk is full, and nothing else is wrong
	trouble atomic.Pointer[failed] // why nothing can be published now
	damage  atomic.Pointer[failed] // the first damaged file
	stats   figures
}

var _ engine.Engine = (*Engine)(nil)

// figures are the counters behind [Engine.Stats].
type figures struct {
	replayed, commits, dropped  atomic.Int64
	kept, remembered, recovered atomic.Int64
}

// db returns the database. It is for the committer, which alone replaces it.
func (e *Engine) db() *pebble.DB { return e.store.db }

// Start implements [engine.Engine].
func (e *Engine) Start(to engine.Sink) (engine.Origin, error) { return e.start(to) }

func (e *Engine) start(to sink) (engine.Origin, error) {
	if e.started.Swap(true) {
		return engine.Origin{}, errors.New("disk: started twice")
	}
	e.sink = to
	origin := engine.Origin{Epoch: e.epoch, Head: e.state.head, Lost: e.state.lost}
	e.refilter()
	go e.run() // ends when stop is closed; Close waits for it
	return origin, nil
}

// ClusterState returns the cluster state in the same directory. It works between Start
// and Close.
func (e *Engine) ClusterState() *ClusterState { return &e.cluster }

// Subscribe implements [engine.Engine]. It does nothing: the engine always delivers
// everything.
func (e *Engine) Subscribe(context.Context, schemas.Pattern) error { return nil }

// Unsubscribe implements [engine.Engine].
func (e *Engine) Unsubscribe(schemas.Pattern) {}

// Ready implements [engine.Engine].
func (e *Engine) Ready() error {
	select {
	case <-e.stop:
		return unavailable(errClosed)
	default:
	}
	for _, why := range []*failed{e.trouble.Load(), e.damage.Load()} {
		if why != nil {
			return unavailable(why.err)
		}
	}
	return nil
}

// Stats implements [engine.Engine].
func (e *Engine) Stats() engine.Stats {
	remembered := e.stats.remembered.Load()
	return engine.Stats{
		Replayed:        e.stats.replayed.Load(),
		Remembered:      int(remembered),
		RememberedBytes: remembered * rememberedBytes,
		KeptBytes:       e.stats.kept.Load(),
		Dropped:         e.stats.dropped.Load(),
		Commits:         e.stats.commits.Load(),
		Syncs:           e.journal.Syncs(),
		SyncTimes:       e.journal.SyncTimes(),
	}
}

// rememberedBytes is the size of a remembered durable publish: its key, its receipt, and its
// hash in the expiry index. The record of a text takes about as much.
const rememberedBytes = 64

// Close implements [engine.Engine]. It writes everything to the database's tables, so that
// the next start has nothing to replay. What it cannot write stays in the journal.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		close(e.stop)
		if e.started.Swap(true) {
			<-e.ended
			e.filling.Wait()
			e.relief.Wait()
		}
		e.closed = e.shut()
	})
	return e.closed
}
