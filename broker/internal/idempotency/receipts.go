// Package idempotency remembers the receipts of durable publishes in bounded memory,
// so that a retry publishes nothing and gets the first receipt.
//
// Publishes with the same channel, topic and key never run at the same time; others
// never wait for each other. The package knows nothing of channels' logs and streams:
// the caller publishes.
package idempotency

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/allegro/bigcache/v3"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/internal/seededhash"
	"github.com/sluicehq/sluice/schemas"
)

// Receipts are the remembered receipts. Millions of them cost the garbage collector
// nothing: bigcache keeps them as bytes.
//
// When the memory is full, the oldest receipts are forgotten before their time. They
// are counted, and so is the rare case that two keys have the same hash, where the
// older one is forgotten. All methods are safe for concurrent use.
type Receipts struct {
	cache *bigcache.BigCache

	mu sync.Mutex
	// publishing holds the keys that somebody publishes now. Another caller with the
	// same key waits on the channel, which is closed at the end; it is nil while nobody
	// waits. Guarded by mu.
	publishing map[string]chan struct{}

	forgottenEarly atomic.Int64
	replayed       atomic.Int64 // retries that were answered with the first receipt
}

// New returns an empty memory of at most maxBytes, rounded down to whole mebibytes and
// at least one, which remembers each receipt for the given time. The caller closes it.
func New(maxBytes int64, remember time.Duration) (*Receipts, error) {
	const shards, receiptBytes = 64, 256
	m := &Receipts{publishing: make(map[string]chan struct{})}
	var err error
	m.cache, err = bigcache.New(context.Background(), bigcache.Config{
		Shards:             shards,
		LifeWindow:         remember,
		CleanWindow:        time.Minute,
		MaxEntriesInWindow: shards * 16, // only what is allocated at the start
		MaxEntrySize:       receiptBytes,
		HardMaxCacheSize:   int(max(1, maxBytes>>20)),
		Hasher:             seededhash.New(), // nobody can choose keys that evict each other
		OnRemoveWithReason: func(_ string, _ []byte, reason bigcache.RemoveReason) {
			if reason == bigcache.NoSpace {
				m.forgottenEarly.Add(1)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("idempotency: %w", err)
	}
	return m, nil
}

// Close gives the memory up.
func (m *Receipts) Close() error { return m.cache.Close() }

// Stats returns what is remembered and what was forgotten early. Its other figures are
// 0.
func (m *Receipts) Stats() engine.Stats {
	return engine.Stats{
		Replayed:       m.replayed.Load(),
		ForgottenEarly: m.forgottenEarly.Load() + m.cache.Stats().Collisions,
		Remembered:     m.cache.Len(), RememberedBytes: int64(m.cache.Capacity()),
	}
}

// Key identifies a durable publish.
type Key string

// KeyOf returns the key of a durable publish. Neither names nor keys can contain a line
// feed, so no two triples share one.
func KeyOf(channel schemas.Channel, topic schemas.Topic, key string) Key {
	return Key(string(channel) + "\n" + string(topic) + "\n" + key)
}

// Do publishes, and remembers the receipt if that succeeds. If k was published before,
// Do returns the first receipt instead, marked as a duplicate. While another call
// publishes the same, it waits for the end of that call or of ctx.
func (m *Receipts) Do(ctx context.Context, k Key, publish func() (schemas.Receipt, error)) (schemas.Receipt, error) {
	for {
		ended := m.begin(string(k))
		if ended == nil {
			return m.publish(string(k), publish)
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return schemas.Receipt{}, ctx.Err()
		}
		// Everybody who has waited comes at once, and most find the receipt here.
		if first, known, err := m.Recall(k); known || err != nil {
			return first, err
		}
	}
}

// begin notes that the caller publishes k, and returns nil. If somebody does already,
// it returns a channel that is closed when that call ends.
func (m *Receipts) begin(k string) (ended <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	waited, busy := m.publishing[k]
	if !busy {
		m.publishing[k] = nil
		return nil
	}
	if waited == nil {
		waited = make(chan struct{})
		m.publishing[k] = waited
	}
	return waited
}

func (m *Receipts) end(k string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if waited := m.publishing[k]; waited != nil {
		close(waited)
	}
	delete(m.publishing, k)
}

// publish is Do for the caller that has begun k.
func (m *Receipts) publish(k string, publish func() (schemas.Receipt, error)) (schemas.Receipt, error) {
	defer m.end(k)
	if first, known, err := m.Recall(Key(k)); known || err != nil {
		return first, err
	}
	receipt, err := publish()
	if err != nil {
		return schemas.Receipt{}, err
	}
	receipt.Durable = true
	m.set(Key(k), receipt.AppendJSON(nil))
	return receipt, nil
}

// set remembers data under k.
func (m *Receipts) set(k Key, data []byte) {
	if m.cache.Set(string(k), data) != nil {
		m.forgottenEarly.Add(1) // it exceeds a shard of a very small memory: published, but not remembered
	}
}

// get returns the data that is remembered under k, and whether there is any.
func (m *Receipts) get(k Key) (data []byte, known bool, err error) {
	data, err = m.cache.Get(string(k))
	if errors.Is(err, bigcache.ErrEntryNotFound) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// Recall returns the first receipt of a durable publish, marked as a duplicate, and
// whether it is remembered.
func (m *Receipts) Recall(k Key) (first schemas.Receipt, known bool, err error) {
	data, known, err := m.get(k)
	if !known || err != nil {
		return schemas.Receipt{}, false, err
	}
	var r schemas.Receipt // not the named result, which would be allocated for every miss
	if err := json.Unmarshal(data, &r); err != nil {
		return schemas.Receipt{}, false, fmt.Errorf("idempotency: remembered receipt: %w", err)
	}
	m.replayed.Add(1)
	r.Duplicate = true
	return r, true, nil
}
