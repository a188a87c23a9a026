package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// filter says of most keys that are not remembered that they are not, without a look
// in the database: nearly every durable publish brings a new key. It forgets a key
// after the database has. Filled beyond what it is made for, it says less, and never
// anything wrong.
type filter struct {
	young, old *keyBits    // old: nil at first
	began      int64       // ms: when young did
	whole      atomic.Bool // the keys from before it was made are in it, too
}

// keyBits is a set of keys that may have others in it as well. With six million keys it
// has one in a hundred. It may be used by several goroutines at once.
type keyBits [bloomBlocks * bloomWords]atomic.Uint64

const (
	bloomBlocks = 1 << 17 // 8 MiB, of which the system gives what is touched
	bloomWords  = 8       // of a block: those of a key are together
	bloomBits   = 6       // of a key
)

func newFilter(now int64) *filter { return &filter{young: new(keyBits), began: now} }

func (f *filter) add(hash keyHash) { f.young.add(hash) }

// has reports whether the key may be remembered.
func (f *filter) has(hash keyHash) bool {
	return !f.whole.Load() || f.young.has(hash) || f.old != nil && f.old.has(hash)
}

// turn drops the older half, if the database has forgotten all keys of the time before
// the younger one began. It has of those that were remembered up to the given time.
func (f *filter) turn(now, forgotten int64) {
	if forgotten >= f.began {
		f.young, f.old, f.began = new(keyBits), f.young, now
	}
}

func (s *keyBits) add(hash keyHash) {
	block, bits := s.place(hash)
	for range bloomBits {
		block[bits>>6%bloomWords].Or(1 << (bits % 64))
		bits >>= 9
	}
}

func (s *keyBits) has(hash keyHash) bool {
	block, bits := s.place(hash)
	for range bloomBits {
		if block[bits>>6%bloomWords].Load()&(1<<(bits%64)) == 0 {
			return false
		}
		bits >>= 9
	}
	return true
}

// place returns the block of a key, and its bits there, nine bits each.
func (s *keyBits) place(hash keyHash) (block []atomic.Uint64, bits uint64) {
	i := binary.LittleEndian.Uint64(hash[:]) % bloomBlocks * bloomWords
	return s[i : i+bloomWords], binary.LittleEndian.Uint64(hash[8:])
}

// refilter begins a filter of what is in the database.
func (e *Engine) refilter() {
	f := newFilter(time.Now().UnixMilli())
	e.filter = f
	into := f.young
	e.filling.Go(func() { e.fill(f, into) })
}

const fillAtATime = 4096 // keys

// fill brings the keys that are in the database into f. It ends when all are there,
// when they cannot be read, or with the engine.
func (e *Engine) fill(f *filter, into *keyBits) {
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

// fill adds some keys from the given one on. It returns where to go on, if there is
// more.
func (s *keyBits) fill(db pebble.Reader, from []byte) (next []byte, more bool, err error) {
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
