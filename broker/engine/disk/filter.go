package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// filter is a pair of Bloom filters over the remembered keys: most unseen keys skip the
// database lookup, and nearly every durable publish has an unseen key. It drops a key only
// after the database has. With more keys than it is sized for, it skips fewer lookups.
type filter struct {
	young, old *bloomSet   // old is nil at first
	began      int64       // when young began, in ms
	whole      atomic.Bool // it also has the keys from before it was created
}

// bloomSet is a Bloom filter. With six million keys, it takes one unseen key in a hundred for a
// known one. It is safe for concurrent use.
type bloomSet [bloomBlocks * bloomWords]atomic.Uint64

const (
	bloomBlocks = 1 << 17 // 8 MiB, which the system allocates as it is touched
	bloomWords  = 8       // per block; all bits of a key are in one block
	bloomBits   = 6       // per key
)

func newFilter(now int64) *filter { return &filter{young: new(bloomSet), began: now} }

func (f *filter) add(hash keyHash) { f.young.add(hash) }

// has reports whether the key may be remembered. False is certain.
func (f *filter) has(hash keyHash) bool {
	return !f.whole.Load() || f.young.has(hash) || f.old != nil && f.old.has(hash)
}

// rotate replaces the old half with the young one if the old half has no remembered key any
// more. The database has forgotten the keys that were published up to the given time.
func (f *filter) rotate(now, forgotten int64) {
	if forgotten >= f.began {
		f.young, f.old, f.began = new(bloomSet), f.young, now
	}
}

func (s *bloomSet) add(hash keyHash) {
	block, bits := s.place(hash)
	for range bloomBits {
		block[bits>>6%bloomWords].Or(1 << (bits % 64))
		bits >>= 9
	}
}

func (s *bloomSet) has(hash keyHash) bool {
	block, bits := s.place(hash)
	for range bloomBits {
		if block[bits>>6%bloomWords].Load()&(1<<(bits%64)) == 0 {
			return false
		}
		bits >>= 9
	}
	return true
}

// place returns the block of a key, and the numbers of its bits there in nine bits each.
func (s *bloomSet) place(hash keyHash) (block []atomic.Uint64, bits uint64) {
	i := binary.LittleEndian.Uint64(hash[:]) % bloomBlocks * bloomWords
	return s[i : i+bloomWords], binary.LittleEndian.Uint64(hash[8:])
}

// refilter starts a new filter and fills it from the database in the background.
func (e *Engine) refilter() {
	f := newFilter(time.Now().UnixMilli())
	e.filter = f
	into := f.young
	e.filling.Go(func() { e.fill(f, into) })
}

const fillAtATime = 4096 // keys

// fill adds the keys in the database to f. It ends when it has added them all, when the
// database cannot be read, or when the engine is closed.
func (e *Engine) fill(f *filter, into *bloomSet) {
	next, more := []byte{tableKeys}, true
	for more {
		err := e.read(context.Background(), func(db pebble.Reader) (err error) {
			next, more, err = into.fill(db, next)
			return err
		})
		if err != nil {
			return
		}
	}
	f.whole.Store(true)
}

// fill adds up to fillAtATime keys, starting at from. If there are more, it returns where to
// continue.
func (s *bloomSet) fill(db pebble.Reader, from []byte) (next []byte, more bool, err error) {
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{tableKeys + 1}})
	if err != nil {
		return nil, false, err
	}
	n := 0
	for ok := iter.First(); ok; ok = iter.Next() {
		key := iter.Key()
		if n == fillAtATime {
			return bytes.Clone(key), true, firstOf(iter.Error(), iter.Close())
		}
		if len(key) == 1+len(keyHash{}) {
			s.add(keyHash(key[1:]))
		}
		n++
	}
	return nil, false, firstOf(iter.Error(), iter.Close())
}
