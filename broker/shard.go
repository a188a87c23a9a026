package broker

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/internal/positions"
	"github.com/sluicehq/sluice/schemas"
)

// shard has a part of the channels: their logs, their positions, and the loops that
// write to their readers. A hash of the name says which shard a channel is in.
// Positions of different shards cannot be compared.
type shard struct {
	// Static after construction.
	broker   *Broker
	opts     Options // this shard's share of the broker's
	number   int     // in ids, from 1; 0 if there is only one shard
	of       int     // how many shards there are
	store    store
	origin   engine.Origin
	idPrefix int // length of an id without its position

	seq       positions.Sequence
	registry  *registry
	evictions evictions
	notifier  *notifier
	loops     loops
	logBytes  atomic.Int64 // of all logs together
}

// addShard starts the i-th of n shards.
func (b *Broker) addShard(i, n int, st store) error {
	sh := &shard{broker: b, opts: shareOf(b.opts, n), of: n, store: st, registry: newRegistry()}
	if n > 1 {
		sh.number = i + 1
	}
	sh.notifier = newNotifier(sh)
	var err error
	if sh.origin, err = st.start(sh); err != nil {
		return sh.wrap(err)
	}
	sh.setPrefix()
	b.shards = append(b.shards, sh) // from here on, Close stops it
	if first, own := b.shards[0].origin.Epoch, sh.origin.Epoch; own != first {
		return sh.wrap(fmt.Errorf("belongs to another log: epoch %d, that of the first shard is %d", own, first))
	}
	sh.seq.Start(sh.origin.Head)
	sh.notifier.announced.Store(sh.origin.Head)
	b.wg.Go(func() { sh.notifier.run(b.stop) })
	b.wg.Go(sh.maintain)
	return nil
}

// wrap says in which shard err happened, if there are several.
func (sh *shard) wrap(err error) error {
	if sh.number == 0 {
		return err
	}
	return fmt.Errorf("shard %d: %w", sh.number, err)
}

// shareOf returns the options of one of n shards.
func shareOf(opts Options, n int) Options {
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

// shardFor returns the shard of the channel.
func (b *Broker) shardFor(name schemas.Channel) *shard {
	if len(b.shards) == 1 {
		return b.shards[0]
	}
	return b.shards[shardIndex(name, len(b.shards))]
}

// shardIndex returns in which of n shards a channel is, from 0. It hashes the name with
// 64-bit FNV-1a, mixes the result with two rounds of xor-shift and multiplication, and
// takes the rest modulo n. Names often differ only at their end, which FNV alone leaves
// in few bits.
//
// This decides where messages are stored: it must never change.
func shardIndex(name schemas.Channel, n int) int {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return int((h ^ h>>33) % uint64(n))
}

// idOf returns the id of a position in this shard.
func (sh *shard) idOf(seq uint64) schemas.ID {
	return schemas.ID{Epoch: sh.origin.Epoch, Seq: seq, Shard: sh.number}
}

// setPrefix works out the length of what all ids of the shard begin with.
func (sh *shard) setPrefix() { sh.idPrefix = len(sh.idOf(0).String()) - len("0") }

// position returns the position in this shard that a client's id stands for, and
// whether it stands for one.
func (sh *shard) position(text string) (seq uint64, known bool) {
	p, err := schemas.ParsePosition(text)
	if err != nil || p.Epoch != sh.origin.Epoch {
		return 0, false
	}
	return p.In(sh.number, sh.of)
}

// current reports why readers cannot be served now: the errors of [Broker.open], or
// [engine.ErrUnavailable] if what is in memory may be outdated.
func (sh *shard) current() error {
	if err := sh.broker.open(); err != nil {
		return err
	}
	return sh.store.current()
}

// maintain drops what has expired and calls the store once a second until the broker is
// closed. It also logs durable publishes that were forgotten early.
func (sh *shard) maintain() {
	logged := int64(0)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-sh.broker.stop:
			return
		case now := <-tick.C:
			sh.dropExpired(now)
			sh.store.tick(now)
			if early := sh.store.stats().ForgottenEarly; early > logged {
				sh.opts.Log.Warn("durable publishes forgotten early", slog.Int64("publishes", early-logged))
				logged = early
			}
		}
	}
}
