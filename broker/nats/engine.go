package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"

	natsio "github.com/nats-io/nats.go"
)

// Engine is a [broker.Engine] on one stream of a cluster.
type Engine struct {
	// Static after Open.
	opts  Options
	names subjects
	node  string // this engine, among all of the stream
	conn  *natsio.Conn
	log   *journal
	epoch uint64
	birth string // of the stream
	facts *Facts

	// Static after Start.
	sink    sink
	live    *live
	control *control
	audit   *audit

	fresh   lane // of pairs that nothing is known of
	checked lane // of those whose record was looked up

	health  *health
	stats   counters
	life    context.Context // until Close
	end     context.CancelFunc
	running sync.WaitGroup
	gone    chan struct{} // closed when the connection is
	close   sync.Once
}

// sink is a [broker.Sink].
type sink interface {
	Wait(ctx context.Context, name schemas.Channel) error
	Deliver(m schemas.Message, limits broker.Limits)
	Drop(name schemas.Channel) bool
	Reached(position uint64)
	Sever()
}

type counters struct {
	replayed, repaired atomic.Int64
}

// Open connects to the cluster and makes or changes the streams as opts want them. The
// caller closes the engine. ctx bounds the opening alone.
func Open(ctx context.Context, opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	e := &Engine{
		opts: opts, names: subjectsOf(opts.Name, opts.Shard), node: strconv.FormatUint(rand.Uint64(), 36),
		health: newHealth(opts.CutOff), gone: make(chan struct{}),
	}
	e.fresh.engine, e.checked.engine = e, e
	e.life, e.end = context.WithCancel(context.Background())
	var err error
	e.conn, err = opts.connect(handlers{
		lost:  e.lose,
		back:  e.trouble,
		after: func() { close(e.gone) },
	})
	if err != nil {
		e.end()
		return nil, err
	}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	calls, err := newCaller(e.conn)
	if err != nil {
		return err
	}
	config := e.opts.messagesConfig(e.names)
	e.log = &journal{caller: calls, stream: config.Name}
	state, err := e.ensure(ctx, e.log, config)
	if err != nil {
		return err
	}
	if e.epoch, err = state.epoch(); err != nil {
		return err
	}
	if e.opts.Epoch != 0 && e.epoch != e.opts.Epoch {
		return fmt.Errorf("nats: the stream %s is of another life than that of shard 0: those of all shards must be made anew together", config.Name)
	}
	e.birth = state.birth()
	e.health.floor.Store(state.floor())
	e.health.first.Store(state.State.First)
	if e.opts.Shard == 0 {
		e.facts, err = openFacts(ctx, e, calls)
	}
	return err
}

// fewServersAfter is how long a cluster may lack servers for three replicas before it
// counts as a smaller one.
const fewServersAfter = 5 * time.Second

// ensure makes a stream as wanted. Servers that have just started do not answer, or
// say that they cannot yet.
func (e *Engine) ensure(ctx context.Context, log *journal, want streamConfig) (*info, error) {
	begun := time.Now()
	var state *info
	err := patiently(ctx, func(ctx context.Context) (err error) {
		spare := 1
		if e.conn.ConnectedClusterName() != "" {
			spare = 3
		}
		if time.Since(begun) > fewServersAfter {
			spare = min(spare, knownServers(e.conn))
		}
		state, err = log.ensure(ctx, want, e.opts.Replicas, spare)
		return err
	})
	return state, err
}

// Epoch returns the life of the log.
func (e *Engine) Epoch() uint64 { return e.epoch }

// Facts returns the store of facts in the same cluster, nil but for shard 0. It is
// closed with e.
func (e *Engine) Facts() *Facts { return e.facts }

// Start implements [broker.Engine].
func (e *Engine) Start(to broker.Sink) (broker.Origin, error) { return e.start(to) }

func (e *Engine) start(to sink) (broker.Origin, error) {
	ctx, cancel := context.WithTimeout(e.life, startWait)
	defer cancel()
	e.sink = to
	e.control = newControl(e)
	e.live = newLive(e)
	e.audit = newAudit(e)
	e.running.Go(e.live.run) // until e.life ends, as all that are started here
	if err := e.live.listen(); err != nil {
		return broker.Origin{}, e.failed(ctx, err)
	}
	var head uint64
	if err := patiently(ctx, func(ctx context.Context) (err error) {
		if err = e.control.load(ctx); err == nil {
			head, err = e.Head(ctx)
		}
		return err
	}); err != nil {
		return broker.Origin{}, e.failed(ctx, err)
	}
	e.running.Go(e.control.run)
	e.running.Go(e.beat)
	e.running.Go(e.audit.run)
	return broker.Origin{Epoch: e.epoch, Head: head}, nil
}

// Ready implements [broker.Engine].
func (e *Engine) Ready() error { return e.health.ready() }

// usable reports why nothing should be asked of the cluster now.
func (e *Engine) usable() error {
	if err := e.health.ready(); err != nil {
		return err
	}
	if !e.conn.IsConnected() {
		return fmt.Errorf("%w: no connection to a nats server", broker.ErrUnavailable)
	}
	return nil
}

// asking returns the context of a request, which ends in time, or why there is no
// use in making it.
func (e *Engine) asking(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := e.usable(); err != nil {
		return nil, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	return limited, cancel, nil
}

// failed returns the error of a request that could be repeated: that of the caller's
// context, or ErrUnavailable.
func (e *Engine) failed(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, broker.ErrUnavailable) {
		return err
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
}

// lose is told of what the connection suffers.
func (e *Engine) lose(err error) {
	if e.life.Err() == nil {
		logLost(e.opts.Log, err)
		e.trouble()
	}
}

// trouble says that messages may have been lost on their way to this node.
func (e *Engine) trouble() { e.health.trouble() }

// Stats implements [broker.Engine].
func (e *Engine) Stats() broker.EngineStats {
	return broker.EngineStats{Replayed: e.stats.replayed.Load(), Repaired: e.stats.repaired.Load()}
}

// Close implements [broker.Engine].
func (e *Engine) Close() error {
	e.close.Do(func() {
		e.end()
		e.running.Wait()
		e.conn.Close()
		<-e.gone
	})
	return nil
}

func (e *Engine) idOf(seq uint64) schemas.ID { return schemas.ID{Epoch: e.epoch, Seq: seq} }
