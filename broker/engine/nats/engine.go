package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/events"
	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// ErrUnsuitable means that the servers, as they are configured, cannot provide what
// the options ask for.
var ErrUnsuitable = errors.New("nats: unsuitable servers")

// Engine is an [engine.Engine] on one stream of a cluster.
type Engine struct {
	// Static after Open.
	opts        Options
	names       subjects
	canary      string // subject of the canary of this engine, and of no other
	conn        *natsio.Conn
	client      *jetstream.Client
	stream      *jetstream.Stream
	epoch       uint64
	incarnation string        // of the stream
	cluster     *ClusterState // nil except for shard 0
	events      *events.Store

	// Static after Start.
	sink       sink
	live       *live
	control    *control
	reconciler *reconciler

	first   batcher // durable publishes on their first try
	retries batcher // those that conflicted with another one before

	archive *archive
	latest  *latest
	listing listing
	health  *health
	stats   counters
	life    context.Context // until Close
	end     context.CancelFunc
	running sync.WaitGroup
	gone    chan struct{} // closed when the connection is
	close   sync.Once
}

// sink is a [engine.Sink].
type sink interface {
	Wait(ctx context.Context, name schemas.Channel) error
	Deliver(m schemas.Message, limits engine.Limits)
	DeliverMissed(m schemas.Message, limits engine.Limits)
	Drop(name schemas.Channel) bool
	Reached(position uint64)
	Sever()
}

type counters struct {
	replayed, repaired atomic.Int64
}

// Open connects to the cluster and creates or changes the streams as opts ask. ctx
// bounds only the opening. The caller closes the engine. Errors: [ErrUnsuitable] and
// others.
func Open(ctx context.Context, opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	names := subjectsOf(opts.Name, opts.Shard)
	e := &Engine{
		opts: opts, names: names, canary: names.canaries + strconv.FormatUint(rand.Uint64(), 36),
		health: newHealth(opts.CutOff), gone: make(chan struct{}),
	}
	e.archive = newArchive(e)
	e.latest = newLatest(e)
	e.life, e.end = context.WithCancel(context.Background())
	var err error
	e.conn, err = opts.connect(handlers{
		again: e.missed,
		lost:  e.connectionLost,
		back:  e.connectionBack,
		after: func() { close(e.gone) },
	})
	if err != nil {
		e.end()
		return nil, err
	}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.first.init(e)
	e.retries.init(e)
	return e, nil
}

// Epoch returns the epoch of the stream.
func (e *Engine) Epoch() uint64 { return e.epoch }

// ClusterState returns the cluster state, which shares the cluster and is closed with
// e. It is nil except for shard 0.
func (e *Engine) ClusterState() *ClusterState { return e.cluster }

// Outbox returns the outbox of the shard, which is closed with e. Ends of runs are in it only
// with [Options.Outbox].
func (e *Engine) Outbox() outbox.Store { return e.events }

// Start implements [engine.Engine].
func (e *Engine) Start(to engine.Sink) (engine.Origin, error) { return e.start(to) }

func (e *Engine) start(to sink) (engine.Origin, error) {
	ctx, cancel := context.WithTimeout(e.life, startWait)
	defer cancel()
	e.sink = to
	e.control = newControl(e)
	e.live = newLive(e)
	e.reconciler = newReconciler(e)
	e.running.Go(e.live.run) // until e.life ends, like everything that is started here
	if err := e.live.listen(); err != nil {
		return engine.Origin{}, e.failed(e.life, err)
	}
	if err := e.latest.listen(); err != nil {
		return engine.Origin{}, e.failed(e.life, err)
	}
	var head uint64
	if err := e.retryStart(ctx, func(ctx context.Context) (err error) {
		if err = e.control.load(ctx); err == nil {
			head, err = e.Head(ctx)
		}
		return err
	}); err != nil {
		return engine.Origin{}, e.failed(e.life, err)
	}
	e.running.Go(e.control.run)
	e.startCanary()
	e.running.Go(e.reconciler.run)
	e.running.Go(e.archive.run)
	return engine.Origin{Epoch: e.epoch, Head: head}, nil
}

// Ready implements [engine.Engine].
func (e *Engine) Ready() error { return e.health.ready() }

// Stats implements [engine.Engine].
func (e *Engine) Stats() engine.Stats {
	return engine.Stats{Replayed: e.stats.replayed.Load(), Repaired: e.stats.repaired.Load()}
}

// Close implements [engine.Engine].
func (e *Engine) Close() error {
	e.close.Do(func() {
		e.archive.close()
		e.latest.close()
		e.end()
		e.running.Wait()
		e.conn.Close()
		<-e.gone
	})
	return nil
}

// Broadcast sends a payload to every node that listens to the topic, this one included. It
// is best effort: nothing is stored or repeated. The topic consists of letters.
func (e *Engine) Broadcast(topic string, payload []byte) error {
	return e.conn.Publish(e.names.broadcasts+topic, payload)
}

// Listen calls take, in one goroutine, with each payload that is broadcast on the topic until
// stop is called or the engine is closed.
func (e *Engine) Listen(topic string, take func(payload []byte)) (stop func(), err error) {
	sub, err := e.conn.Subscribe(e.names.broadcasts+topic, func(m *natsio.Msg) { take(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("nats: listening to %s: %w", topic, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // it fails only if the connection is closed
}

// connectionLost hears of a connection that broke, or that drops messages.
func (e *Engine) connectionLost(err error) {
	if e.life.Err() == nil {
		logLost(e.opts.Log, err)
		e.missed()
	}
}

// connectionBack hears of a new connection in place of a lost one.
func (e *Engine) connectionBack(server string) {
	e.opts.Log.Info("connected to nats again", slog.String("server", server))
	e.missed()
}

// missed says that messages may have been lost on their way to this node.
func (e *Engine) missed() {
	e.latest.doubt()
	e.health.lossPossible()
}

func (e *Engine) idOf(seq uint64) schemas.ID { return schemas.ID{Epoch: e.epoch, Seq: seq} }
