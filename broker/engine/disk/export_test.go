package disk

import (
	"context"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// On returns o for another file system, in the given boot of its machine.
func (o Options) On(fs vfs.FS, boot string) Options {
	o.fs, o.boot = fs, boot
	return o
}

// Sink receives what an engine delivers in a test.
type Sink interface {
	Wait(ctx context.Context, name schemas.Channel) error
	Deliver(m schemas.Message, limits engine.Limits)
	Drop(name schemas.Channel) bool
}

// StartWith is Start for any sink.
func (e *Engine) StartWith(s Sink) (engine.Origin, error) { return e.start(s) }

// Recovered returns how many records of the journal were replayed.
func (e *Engine) Recovered() int { return int(e.stats.recovered.Load()) }

// Reads returns how many blocks the database has looked up.
func (e *Engine) Reads() int64 {
	m := e.store.db.Metrics()
	return m.BlockCache.Hits + m.BlockCache.Misses
}

// Break makes the database fail as if its manifest could not be written.
func (e *Engine) Break() { e.store.Fatalf("MANIFEST: broken by a test") }

// FailApply makes the database fail while the next group is applied to it.
func (e *Engine) FailApply(err error) {
	e.store.apply = func(*pebble.Batch, *pebble.WriteOptions) error { return err }
}

// Flush writes the memtables to tables.
func (e *Engine) Flush() error { return e.store.db.Flush() }

// StartFlush is Flush without waiting.
func (e *Engine) StartFlush() { _, _ = e.store.db.AsyncFlush() }

// Quiet reports whether no flush or compaction is running.
func (e *Engine) Quiet() bool {
	m := e.store.db.Metrics()
	return m.Compact.NumInProgress == 0 && m.Flush.NumInProgress == 0
}

// Set stores a value under any key.
func (e *Engine) Set(key, value []byte) error { return e.store.db.Set(key, value, pebble.NoSync) }

// Keys returns how many keys a table has.
func (e *Engine) Keys(table byte) (n int) {
	iter, err := e.store.db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	if err != nil {
		panic(err)
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		n++
	}
	_ = iter.Close()
	return n
}

// Decode runs the decoders over b.
func Decode(b []byte) {
	_, _ = decodeMessage(b, 1, "a")
	_, _ = decodeItemOf(1, b)
	_, _ = decodeOpenText(b, 1)
	_, _, _ = decodeSegment(b, 1, "a", func(*schemas.Message) {})
	_, _ = decodeMeta(b, "a")
	_, _ = decodeReceipt(b)
	_, _, _ = decodeText(b)
	_, _ = decodeItem(b, "a", "a")
	_, _ = decodeState(b)
}

// Encode returns the value of a message.
func Encode(m schemas.Message) []byte { return appendMessage(nil, &m) }

// DecodeMessage reads the value of a message.
func DecodeMessage(b []byte, epoch uint64, name schemas.Channel) (schemas.Message, error) {
	return decodeMessage(b, epoch, name)
}

// ChannelKey returns the key of the metadata of a channel.
func ChannelKey(name schemas.Channel) []byte { return channelKey(name) }

// MessageKey returns the key of a message.
func MessageKey(name schemas.Channel, seq uint64) []byte { return messageKey(nil, name, seq) }

// RecordKey returns the key of the record of a text.
func RecordKey(name engine.TextName) []byte { return receiptKey(hashOfText(&name)) }

// Queued returns how many requests wait for the committer.
func (e *Engine) Queued() int { return len(e.queue) }

// OpenBare opens a bare Pebble database with the settings of the engine, for comparison.
func OpenBare(dir string) (*pebble.DB, error) {
	return pebble.Open(dir, &pebble.Options{Logger: quiet{}, MemTableSize: memTableBytes, FormatMajorVersion: databaseFormat})
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, _ ...any) {
	panic(f)
}

// SizeOf returns the size with which a message counts towards the limits.
func SizeOf(m schemas.Message) int64 { return sizeOf(&m) }

// Filtered reports whether the filter has all keys.
func (e *Engine) Filtered() bool { return e.filter.whole.Load() }

// Filter is a filter that needs no filling.
type Filter struct{ *filter }

// NewFilter returns a filter that began at the given time.
func NewFilter(now int64) Filter {
	f := newFilter(now)
	f.whole.Store(true)
	return Filter{f}
}

// Add adds the key of a number.
func (f Filter) Add(n int) { f.add(hashOf("a", "t", strconv.Itoa(n))) }

// Has reports whether the filter may have the key of a number.
func (f Filter) Has(n int) bool { return f.has(hashOf("a", "t", strconv.Itoa(n))) }

// Rotate rotates the filter of a database that has forgotten the keys up to a time.
func (f Filter) Rotate(now, forgotten int64) { f.rotate(now, forgotten) }

// Audit compares what the metadata of a channel says with what is stored.
func (e *Engine) Audit(name schemas.Channel) error {
	v, err := newView(e.store.db)
	if err != nil {
		return err
	}
	c, err := readMeta(v, name)
	if c == nil || err != nil {
		return firstOf(err, v.close())
	}
	texts := v.openTexts(name)
	found := meta{open: len(texts)}
	for _, it := range v.kept(c, texts) {
		found.keptBytes += it.size
		found.count++
		found.bytes += it.size
	}
	for it := range v.counted(c, texts) {
		found.count++
		found.bytes += it.size
	}
	if found.count != c.count || found.bytes != c.bytes || found.keptBytes != c.keptBytes || found.open != c.open {
		err = fmt.Errorf("%s has %d messages of %d bytes, %d of them in kept ones, and %d open texts; it says %d, %d, %d, %d",
			name, found.count, found.bytes, found.keptBytes, found.open, c.count, c.bytes, c.keptBytes, c.open)
	}
	return firstOf(err, v.close())
}

// JournalBytes returns the length of the segment that is written to.
func (e *Engine) JournalBytes() int64 { return e.journal.Bytes() }

// TableBytes returns how many bytes were written to tables.
func (e *Engine) TableBytes() (n uint64) {
	m := e.store.db.Metrics() // its Total counts what was never written, too
	for i := range m.Levels {
		n += m.Levels[i].TableBytesFlushed + m.Levels[i].TableBytesCompacted
	}
	return n
}

// Dump returns what the database has.
func (e *Engine) Dump() map[string]string {
	iter, err := e.store.db.NewIter(nil)
	if err != nil {
		panic(err)
	}
	all := make(map[string]string)
	for ok := iter.First(); ok; ok = iter.Next() {
		all[string(iter.Key())] = string(iter.Value())
	}
	_ = iter.Close()
	return all
}

// Unpack makes the batch of a terse record, and drops it.
func (e *Engine) Unpack(record []byte) error { return newUnpacker(e.store.db).unpack(record) }
