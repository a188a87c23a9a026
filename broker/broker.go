package broker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Options are the limits and times of a broker. The zero value of a field
// stands for its default.
type Options struct {
	Replay Limits // of a channel that no definition gives others

	Memory        int64 // bytes of all rings together; default 256 MiB
	Hold          int64 // bytes that a ring may exceed its limits by for readers a moment behind, before publishers wait; default 4 MiB
	MaxChannels   int   // default 1,000,000
	MaxEventBytes int   // longest event; default 60 KiB

	RememberBytes int64         // of durable publishes; default 64 MiB, at least 1 MiB
	RememberFor   time.Duration // how long a durable publish is remembered; default 24 h

	MaxStreams           int // 0 for no limit
	MaxStreamsPerSubject int // 0 for no limit
	MaxStreamsPerAddress int // 0 for no limit
	MaxChannelsPerStream int // default 256

	Loops          int           // writer loops, for connections that are taken over; default one a core, negative for none
	WriteTimeout   time.Duration // how long such a connection may take nothing; default 10 s
	PublishTimeout time.Duration // how long a publish may wait for loops that are behind; default 5 s

	Pace         time.Duration // shortest time between two passes over the readers of a channel; default 1 ms, negative for none
	Heartbeat    time.Duration // longest silence on a stream, shortened by up to a fifth; default 15 s
	MaxStreamAge time.Duration // 0 for no limit; shortened by up to a fifth

	Epoch uint64 // the life of the log; default random

	// Engine keeps the messages; the caller closes it after the broker. Default:
	// nothing is kept beyond memory.
	Engine Engine
	// Shards are engines that keep a part of the channels each, in place of Engine:
	// at most [schemas.MaxShards], of one epoch, always in the same order and so
	// many. The broker's limits are for all of them together; what Memory,
	// MaxChannels and Loops give is shared out evenly. One is as Engine.
	Shards []Engine
	// LimitsOf returns what is kept of a channel, zero fields for Replay's. Default:
	// all have those of Replay.
	LimitsOf func(schemas.Channel) Limits

	Log *slog.Logger // is told when durable publishes are forgotten early; default none
}

func (o Options) withDefaults() Options {
	defaultTo(&o.Replay.Messages, 256)
	defaultTo(&o.Replay.Bytes, 1<<20)
	defaultTo(&o.Replay.Age, 10*time.Minute)
	defaultTo(&o.Memory, 256<<20)
	defaultTo(&o.Hold, 4<<20)
	defaultTo(&o.MaxChannels, 1_000_000)
	defaultTo(&o.MaxEventBytes, 60<<10)
	defaultTo(&o.RememberBytes, 64<<20)
	defaultTo(&o.RememberFor, 24*time.Hour)
	defaultTo(&o.MaxChannelsPerStream, 256)
	defaultTo(&o.WriteTimeout, 10*time.Second)
	defaultTo(&o.PublishTimeout, 5*time.Second)
	defaultTo(&o.Pace, time.Millisecond)
	defaultTo(&o.Heartbeat, 15*time.Second)
	defaultTo(&o.Epoch, newEpoch())
	defaultTo(&o.Log, slog.New(slog.DiscardHandler))
	return o
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// newEpoch returns a random name for a life of the log: up to eight digits in
// base 36, never 0.
func newEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])>>24 | 1
}

// Broker keeps channels in memory and serves them to streams. All methods are
// safe for concurrent use.
type Broker struct {
	opts     Options
	engine   Engine
	kept     bool      // the engine keeps more than the logs hold: these come and go with their readers
	origin   Origin    // of the engine
	shards   []*Broker // that have the engines, and the channels; nil: b has
	shard    int       // which of them it is, from 1; 0: the log is not sharded
	of       int       // how many they are
	began    time.Time
	seq      sequence
	registry *registry
	interest interest
	refills  refills
	hoard    hoard
	herald   *herald
	loops    loops
	roster   *roster
	stats    *counters
	held     atomic.Int64 // bytes that all rings take
	draining atomic.Bool
	severed  atomic.Bool // the engine was out of reach for too long when it was last looked at

	stop    chan struct{}
	stopped sync.WaitGroup
	close   sync.Once
}

// New starts a broker, and its engine or engines. The caller must close it.
func New(opts Options) (*Broker, error) {
	opts = opts.withDefaults()
	switch len(opts.Shards) {
	case 0:
	case 1:
		opts.Engine, opts.Shards = opts.Shards[0], nil
	default:
		return newSharded(opts)
	}
	b := unstarted(opts)
	if err := b.start(); err != nil {
		return nil, err
	}
	return b, nil
}

// unstarted returns a broker that has no engine yet.
func unstarted(opts Options) *Broker {
	return &Broker{
		opts:     opts,
		engine:   opts.Engine,
		kept:     opts.Engine != nil,
		began:    time.Now(),
		registry: newRegistry(),
		roster:   newRoster(opts.MaxStreams, opts.MaxStreamsPerSubject, opts.MaxStreamsPerAddress),
		stats:    newCounters(),
		stop:     make(chan struct{}),
	}
}

// start starts the engine, and what goes on in the background.
func (b *Broker) start() error {
	var err error
	if !b.kept {
		if b.engine, err = newMemory(b.opts); err != nil {
			return err
		}
	}
	b.herald = newHerald(b)
	b.interest.init(b)
	b.refills.init(b)
	if b.origin, err = b.engine.Start(Sink{b}); err != nil {
		return err
	}
	b.seq.start(b.origin.Head)
	b.herald.announced.Store(b.origin.Head)
	b.stopped.Go(func() { b.herald.run(b.stop) })
	b.stopped.Go(b.keepTidy)
	return nil
}

// keepTidy sweeps once a second until the broker is closed, and tells of durable
// publishes that were forgotten early since.
func (b *Broker) keepTidy() {
	told := int64(0)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case now := <-tick.C:
			b.sweep(now)
			b.interest.sweep(now)
			if early := b.engine.Stats().ForgottenEarly; early > told {
				b.opts.Log.Warn("durable publishes forgotten early", slog.Int64("publishes", early-told))
				told = early
			}
		}
	}
}

// idOf returns the id of a position in this life of the log.
func (b *Broker) idOf(seq uint64) schemas.ID {
	return schemas.ID{Epoch: b.origin.Epoch, Seq: seq, Shard: b.shard}
}

// Head returns the position of the newest message, or, before the first one, the
// position before it. A stream that resumes after it gets what is published from
// now on. A sharded log has none, see [Broker.HeadOf].
func (b *Broker) Head() schemas.ID { return b.idOf(b.seq.last()) }

// Ready reports why nothing can be published now: [ErrDraining], [ErrClosed],
// [ErrUnavailable], or nil.
func (b *Broker) Ready() error {
	if err := b.open(); err != nil {
		return err
	}
	if b.shards != nil {
		return b.shardsReady()
	}
	return b.engine.Ready()
}

// open reports why the broker takes nothing at all: [ErrDraining], [ErrClosed], or
// nil.
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

// waves is in how many steps a drain ends the streams.
const waves = 20

// TurnAway stops taking publishes and streams; those that are open go on until
// [Broker.Drain]. It may be called more than once.
func (b *Broker) TurnAway() {
	b.refuse()
	b.roster.close(ErrDraining)
}

// refuse makes open return [ErrDraining].
func (b *Broker) refuse() {
	b.draining.Store(true)
	for _, shard := range b.shards {
		shard.refuse()
	}
}

// Drain stops taking publishes and streams, and ends the open streams in waves
// spread over the given time. It returns when the last one has left, or with
// the error of ctx.
func (b *Broker) Drain(ctx context.Context, over time.Duration) error {
	b.refuse()
	open, left := b.roster.close(ErrDraining)
	pause := time.NewTicker(max(over/waves, time.Millisecond))
	defer pause.Stop()
	wave := (len(open) + waves - 1) / waves
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

// Close ends what is still open and waits until the broker's goroutines have
// ended. Idempotent.
func (b *Broker) Close() error {
	var err error
	b.close.Do(func() {
		b.refuse()
		open, _ := b.roster.close(ErrClosed)
		for _, s := range open {
			s.End(Draining())
		}
		b.stopLoops()
		close(b.stop)
		for _, shard := range b.shards {
			_ = shard.Close() // its engine is the caller's: there is nothing to fail
		}
		b.stopped.Wait()
		if !b.kept {
			err = b.engine.Close()
		}
	})
	return err
}
