package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/allegro/bigcache/v3"

	"github.com/sluicehq/sluice/schemas"
)

// once remembers the receipts of durable publishes, so that a retry publishes
// nothing and gets the first receipt. Millions of them cost the garbage
// collector nothing: they lie in bigcache as bytes.
//
// When its memory is full, the oldest are forgotten before their time. That is
// counted, and so is the rare case that two keys fall on the same hash, where
// the older one is forgotten.
type once struct {
	receipts *bigcache.BigCache
	seed     maphash.Seed
	stripes  [256]sync.Mutex // the same key twice at once: one publishes, the other waits
	early    atomic.Int64    // forgotten before their time
	replayed atomic.Int64    // retries that were answered with the first receipt
}

// seededHasher makes the places of keys unpredictable: nobody can choose keys
// that push each other out.
type seededHasher struct{ seed maphash.Seed }

// Sum64 implements [bigcache.Hasher].
func (h seededHasher) Sum64(key string) uint64 { return maphash.String(h.seed, key) }

func newOnce(maxBytes int64, remember time.Duration) (*once, error) {
	const shards, entryBytes = 64, 256
	o := &once{seed: maphash.MakeSeed()}
	var err error
	o.receipts, err = bigcache.New(context.Background(), bigcache.Config{
		Shards:             shards,
		LifeWindow:         remember,
		CleanWindow:        time.Minute,
		MaxEntriesInWindow: shards * 16, // only what is set aside at the start
		MaxEntrySize:       entryBytes,
		HardMaxCacheSize:   int(max(1, maxBytes>>20)),
		Hasher:             seededHasher{o.seed},
		OnRemoveWithReason: func(_ string, _ []byte, reason bigcache.RemoveReason) {
			if reason == bigcache.NoSpace {
				o.early.Add(1)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("broker: memory for durable publishes: %w", err)
	}
	return o, nil
}

func (o *once) close() error { return o.receipts.Close() }

// nameOf returns under which name a durable publish is remembered. Neither names
// nor keys can hold a line feed, so no two triples share one.
func nameOf(channel schemas.Channel, topic schemas.Topic, key string) string {
	return string(channel) + "\n" + string(topic) + "\n" + key
}

// do publishes unless the channel, topic and key of e were published before.
func (o *once) do(e *Entry, publish func() (schemas.Receipt, error)) (schemas.Receipt, error) {
	name := nameOf(e.Channel, e.Topic, e.Key)
	stripe := &o.stripes[maphash.String(o.seed, name)%uint64(len(o.stripes))]
	stripe.Lock()
	defer stripe.Unlock()
	first, err := o.recall(name)
	if !errors.Is(err, bigcache.ErrEntryNotFound) {
		return first, err
	}
	receipt, err := publish()
	if err != nil {
		return schemas.Receipt{}, err
	}
	receipt.Durable = true
	if err := o.receipts.Set(name, receipt.AppendJSON(nil)); err != nil {
		o.early.Add(1) // larger than a shard of a very small memory: published, but not remembered
	}
	return receipt, nil
}

// recall returns the first receipt of a durable publish, as its retry gets it.
func (o *once) recall(name string) (schemas.Receipt, error) {
	entry, err := o.receipts.Get(name)
	if err != nil {
		return schemas.Receipt{}, err
	}
	var r schemas.Receipt
	if err := json.Unmarshal(entry, &r); err != nil {
		return schemas.Receipt{}, fmt.Errorf("broker: remembered receipt: %w", err)
	}
	o.replayed.Add(1)
	r.Duplicate = true
	return r, nil
}
