package broker

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// newSharded returns a broker over several engines. For each there is a broker of
// its own, with its positions, logs and loops; they have the list of streams and
// the counters in common.
func newSharded(opts Options) (*Broker, error) {
	if n := len(opts.Shards); n > schemas.MaxShards || opts.Engine != nil {
		return nil, fmt.Errorf("broker: %d shards: at most %d are allowed, and no engine besides", n, schemas.MaxShards)
	}
	b := &Broker{
		opts:   opts,
		kept:   true, // the engines are the caller's
		began:  time.Now(),
		roster: newRoster(opts.MaxStreams, opts.MaxStreamsPerSubject, opts.MaxStreamsPerAddress),
		stats:  newCounters(),
		stop:   make(chan struct{}),
	}
	for i := range opts.Shards {
		if err := b.addShard(i); err != nil {
			_ = b.Close() // those that have started
			return nil, fmt.Errorf("broker: shard %d: %w", i+1, err)
		}
	}
	return b, nil
}

// addShard starts the shard of the i-th engine.
func (b *Broker) addShard(i int) error {
	n := len(b.opts.Shards)
	shard := unstarted(shareOf(b.opts, n))
	shard.engine, shard.kept = b.opts.Shards[i], true
	shard.shard, shard.of = i+1, n
	shard.began, shard.roster, shard.stats = b.began, b.roster, b.stats
	if err := shard.start(); err != nil {
		return err
	}
	b.shards = append(b.shards, shard)
	if i == 0 {
		b.origin.Epoch = shard.origin.Epoch
	}
	if epoch := shard.origin.Epoch; epoch != b.origin.Epoch {
		return fmt.Errorf("it is of another log: its epoch is %d, that of the first one %d", epoch, b.origin.Epoch)
	}
	return nil
}

// shareOf returns the options of one of n shards.
func shareOf(opts Options, n int) Options {
	opts.Shards = nil
	opts.Memory = max(1, opts.Memory/int64(n))
	opts.MaxChannels = share(opts.MaxChannels, n)
	if opts.Loops == 0 {
		opts.Loops = runtime.GOMAXPROCS(0)
	}
	if opts.Loops > 0 {
		opts.Loops = share(opts.Loops, n)
	}
	return opts
}

// share returns an n-th of total, rounded up.
func share(total, n int) int { return (total + n - 1) / n }

// home returns the broker that has the channel: b, unless that has shards.
func (b *Broker) home(name schemas.Channel) *Broker {
	if b.shards == nil {
		return b
	}
	return b.shards[shardOf(name, len(b.shards))]
}

// shardOf returns in which of n shards a channel is, from 0: FNV-1a of 64 bits,
// of which two rounds of xor-shift and multiply spread every bit over all others,
// modulo n. Names are often alike but for their end, which FNV alone leaves in few
// bits.
//
// This is where messages are kept: it must never change.
func shardOf(name schemas.Channel, n int) int {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return int((h ^ h>>33) % uint64(n))
}

// position returns which position in this log, or in this shard of it, an id stands
// for that a client knows, and whether it does for any.
func (b *Broker) position(text string) (seq uint64, known bool) {
	p, err := schemas.ParsePosition(text)
	if err != nil || p.Epoch != b.origin.Epoch {
		return 0, false
	}
	return p.In(b.shard, b.of)
}

// HeadOf returns the position of the newest message in the log that the channel is
// kept in, see [Broker.Head].
func (b *Broker) HeadOf(name schemas.Channel) schemas.ID { return b.home(name).Head() }

// shardsReady returns what the first shard says that is not ready.
func (b *Broker) shardsReady() error {
	for i, shard := range b.shards {
		if err := shard.Ready(); err != nil {
			return fmt.Errorf("shard %d: %w", i+1, err)
		}
	}
	return nil
}

// shardsNames is names for all shards.
func (b *Broker) shardsNames(ctx context.Context, prefix string, after schemas.Channel, n int) (all []schemas.Channel, err error) {
	for _, shard := range b.shards {
		names, err := shard.names(ctx, prefix, after, n)
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	return all, nil
}
