package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// ErrInUse is returned by [Open] for a directory that another process has open.
var ErrInUse = errors.New("disk: directory in use")

// sink is where messages go.
type sink interface {
	Wait(ctx context.Context, name schemas.Channel) error
	Deliver(m schemas.Message, limits broker.Limits)
	Drop(name schemas.Channel) bool
}

// Engine keeps messages in a directory. It implements [broker.Engine].
type Engine struct {
	opts    Options
	dir     string
	lock    io.Closer
	epoch   uint64
	sink    sink // set by Start
	started atomic.Bool
	facts   Facts

	queue   chan *request
	pool    sync.Pool // of requests
	stop    chan struct{}
	ended   chan struct{} // closed when the committer has ended
	closing sync.Once
	closed  error // of Close

	// Owned by the committer, after Open.
	journal *journal
	retired []retired
	state   state
	metas   metas
	filter  *filter
	filling sync.WaitGroup // of filters
	group   group
	taken   []*request // of the group that is being made
	tended  int64      // nothing on the agenda is due before it
	space   space
	missed  int64 // messages dropped for want of room that were not told of

	storeMu sync.RWMutex // the store is in use by readers, or being replaced
	store   *store

	head    atomic.Uint64
	trouble atomic.Pointer[failed] // why nothing can be published now
	damage  atomic.Pointer[failed] // a damaged file
	stats   figures
}

var _ broker.Engine = (*Engine)(nil)

// figures are what [Engine.Stats] tells.
type figures struct {
	replayed, commits, dropped  atomic.Int64
	kept, remembered, recovered atomic.Int64
}

// db returns the database for the committer, which alone replaces it.
func (e *Engine) db() *pebble.DB { return e.store.db }

// Start implements [broker.Engine].
func (e *Engine) Start(to broker.Sink) (broker.Origin, error) { return e.start(to) }

func (e *Engine) start(to sink) (broker.Origin, error) {
	if e.started.Swap(true) {
		return broker.Origin{}, errors.New("disk: started twice")
	}
	e.sink = to
	origin := broker.Origin{Epoch: e.epoch, Head: e.state.head, Lost: e.state.lost}
	e.refilter()
	go e.run() // until stop is closed; Close waits for ended
	return origin, nil
}

// Facts returns the store of facts in the same directory. It works between Start
// and Close.
func (e *Engine) Facts() *Facts { return &e.facts }

// Follow implements [broker.Engine]. Everything is delivered at all times.
func (e *Engine) Follow(context.Context, schemas.Pattern) error { return nil }

// Unfollow implements [broker.Engine].
func (e *Engine) Unfollow(schemas.Pattern) {}

// Ready implements [broker.Engine].
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

var errClosed = errors.New("disk: closed")

// unavailable wraps what has happened as [broker.ErrUnavailable].
func unavailable(err error) error {
	if err == nil || errors.Is(err, broker.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
}

// Stats implements [broker.Engine].
func (e *Engine) Stats() broker.EngineStats {
	remembered := e.stats.remembered.Load()
	return broker.EngineStats{
		Replayed:        e.stats.replayed.Load(),
		Remembered:      int(remembered),
		RememberedBytes: remembered * rememberedBytes,
		KeptBytes:       e.stats.kept.Load(),
		Dropped:         e.stats.dropped.Load(),
		Commits:         e.stats.commits.Load(),
		Syncs:           e.journal.syncs.Load(),
	}
}

// rememberedBytes is what a durable publish takes: its key and receipt, and its
// hash on the agenda.
const rememberedBytes = 64

// Close implements [broker.Engine]. It returns when everything is in the database's
// tables, so that the next start has nothing to read back; if that cannot be, the
// journal stays for it.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		close(e.stop)
		if e.started.Swap(true) {
			<-e.ended
			e.filling.Wait()
		}
		e.closed = e.shut()
	})
	return e.closed
}
