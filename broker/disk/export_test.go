package disk

import (
	"context"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// On returns o for another file system, in the given boot of its machine.
func (o Options) On(fs vfs.FS, boot string) Options {
	o.fs, o.boot = fs, boot
	return o
}

// Sink is where an engine in a test delivers to.
type Sink interface {
	Wait(ctx context.Context, name schemas.Channel) error
	Deliver(m schemas.Message, limits broker.Limits)
	Drop(name schemas.Channel) bool
}

// StartWith is Start for any sink.
func (e *Engine) StartWith(s Sink) (broker.Origin, error) { return e.start(s) }

// Recovered is how many records of the journal were read back.
func (e *Engine) Recovered() int { return int(e.stats.recovered.Load()) }

// Reads is how many blocks the database has looked for.
func (e *Engine) Reads() int64 {
	m := e.store.db.Metrics()
	return m.BlockCache.Hits + m.BlockCache.Misses
}

// Break makes the database fail as when its manifest cannot be written.
func (e *Engine) Break() { e.store.Fatalf("MANIFEST: broken by a test") }

// Flush writes what is in memory to the tables.
func (e *Engine) Flush() error { return e.store.db.Flush() }

// StartFlush is Flush that does not wait.
func (e *Engine) StartFlush() { _, _ = e.store.db.AsyncFlush() }

// Quiet reports whether nothing is being written but what is published.
func (e *Engine) Quiet() bool {
	m := e.store.db.Metrics()
	return m.Compact.NumInProgress == 0 && m.Flush.NumInProgress == 0
}

// Set writes any value.
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
	_, _ = decodeMeta(b, "a")
	_, _ = decodeReceipt(b)
	_, _ = decodeFact(b, "a", "a")
	_, _ = decodeState(b)
	_, _ = timeOf(b)
}

// RoundTrip encodes and decodes a message.
func RoundTrip(m schemas.Message) (schemas.Message, error) {
	return decodeMessage(appendMessage(nil, &m), m.ID.Epoch, m.Channel)
}

// ChannelKey and MessagesKey are where things stand.
func ChannelKey(name schemas.Channel) []byte { return channelKey(name) }

// MessageKey is the key of a message.
func MessageKey(name schemas.Channel, seq uint64) []byte { return messageKey(nil, name, seq) }

// PutLoose writes without a group of its own, as a bare database would.
func OpenBare(dir string) (*pebble.DB, error) {
	return pebble.Open(dir, &pebble.Options{Logger: quiet{}, MemTableSize: memTableBytes, FormatMajorVersion: databaseFormat})
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, _ ...any) {
	panic(f)
}

// SizeOf is what a message counts for.
func SizeOf(m schemas.Message) int64 { return sizeOf(&m) }

// Filtered reports whether the filter of keys is whole.
func (e *Engine) Filtered() bool { return e.filter.whole.Load() }

// Filter is a filter of keys, whole from the start.
type Filter struct{ *filter }

// NewFilter returns a filter that began at the given time.
func NewFilter(now int64) Filter {
	f := newFilter(now)
	f.whole.Store(true)
	return Filter{f}
}

// Add adds the key of a number.
func (f Filter) Add(n int) { f.add(hashOf("a", "t", strconv.Itoa(n))) }

// Has reports whether the key of a number may be there.
func (f Filter) Has(n int) bool { return f.has(hashOf("a", "t", strconv.Itoa(n))) }

// Turn is told up to when the database has forgotten.
func (f Filter) Turn(now, forgotten int64) { f.turn(now, forgotten) }
