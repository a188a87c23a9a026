package engine

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/histogram"
	"github.com/sluicehq/sluice/schemas"
)

// Engine decides on the order of messages and keeps what it promises to keep. Readers
// are always served from the broker's logs: an engine feeds these through its [Sink],
// and reloads those that are not in memory.
//
// With several engines, the broker adds to each id which engine it belongs to.
//
// All methods are safe for concurrent use between Start and Close. Those with a context
// return its error when it ends, and [ErrUnavailable] when they cannot do their work.
type Engine interface {
	// Start is called once, before all other methods. From then on, the engine delivers
	// to sink.
	Start(sink Sink) (Origin, error)

	// Append gives e the next position, keeps it, delivers it and returns its receipt,
	// in this order. Only an engine with many nodes may deliver after it returns.
	// Append calls [Sink.Wait] first.
	//
	// An entry with a key is stored once. A later entry with the same channel, topic
	// and key gets the first one's receipt, marked as a duplicate, even if both come at
	// the same time. [Entry.CheckRun] decides whether a run message may come next. It
	// must be called where no other run message of the channel can come in between.
	//
	// An entry with a fence is stored only if the record of its text still has that
	// revision, see [Text].
	//
	// Errors: [ErrUnavailable], after which nothing has happened and nothing will;
	// [ErrUncertain]; [ErrFenced]; those of CheckRun and of Wait.
	Append(ctx context.Context, e Entry) (schemas.Receipt, error)

	// Text returns the record of a text and its revision, 0 if there is none.
	Text(ctx context.Context, name TextName) (t Text, revision uint64, err error)

	// SetText sets the record of a text if its revision is the given one, 0 for a text
	// that has none, and returns the new revision, which is a position. It is kept like
	// a durable publish, and remembered as long. Once it returns, no entry with an older
	// fence is stored, and [Engine.Load] returns those that were.
	//
	// Errors: [ErrFenced] if the revision is another one; [ErrUnavailable];
	// [ErrUncertain].
	SetText(ctx context.Context, name TextName, revision uint64, t Text) (uint64, error)

	// Recall returns the receipt of a remembered publish with a key, marked as a
	// duplicate, and whether there is one.
	Recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error)

	// Head returns the newest position. The broker asks when a client knows a newer one
	// than this node has seen.
	Head(ctx context.Context) (uint64, error)

	// Load returns what is kept of a channel: at least every message that was
	// acknowledged before the call. If the channel is subscribed to, it also includes
	// every message that has not been and will not be delivered.
	Load(ctx context.Context, name schemas.Channel) (Snapshot, error)

	// Matching returns at most limit channels that match pattern, which is not exact,
	// and of which something after the position is kept. It also returns the position
	// up to which something may have been lost of any such channel.
	Matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (Found, error)

	// List summarises up to limit channels of which something is kept, whose names
	// begin with prefix and come after the given one, sorted by name. Its cost does not
	// depend on how much is kept of each channel: it reads no more than one or two
	// messages of each.
	List(ctx context.Context, prefix string, after schemas.Channel, limit int) ([]Summary, error)

	// Subscribe returns once every message stored from then on, of the channels that
	// pattern names, will be delivered. Unsubscribe undoes it. Subscribe is not called
	// twice with the same pattern, and Unsubscribe never with one that is not
	// subscribed to.
	Subscribe(ctx context.Context, pattern schemas.Pattern) error
	Unsubscribe(pattern schemas.Pattern)

	// Delete forgets a channel, including its run status, and calls [Sink.Drop] on
	// every node. It reports whether there was anything. After [ErrUncertain] all or a
	// part of it may have been done. It can be repeated.
	Delete(ctx context.Context, name schemas.Channel) (found bool, err error)

	// Ready reports why the engine cannot be used now, as [ErrUnavailable]. If it can
	// be read but not written to, the error also is [ErrReadOnly].
	Ready() error

	// Stats returns the current figures.
	Stats() Stats

	// Close keeps what was acknowledged and releases everything. It is idempotent, and
	// is called after the last Append.
	Close() error
}

// Sink is where an engine delivers to: one shard of a broker.
type Sink interface {
	// Wait returns when the readers of the channel are not too far behind for one more
	// message. Errors: those of the broker, and that of ctx.
	Wait(ctx context.Context, name schemas.Channel) error

	// Deliver brings a message, which has its position, to the readers of its channel.
	// It neither waits nor keeps the data of m. Messages of one channel must come in
	// the order of their positions; one that was delivered before is skipped. limits
	// are those of the channel. Zero fields stand for what the broker knows of them.
	Deliver(m schemas.Message, limits Limits)

	// DeliverMissed is Deliver for a message that comes late, while others before and
	// after it may still be missing: it does not say anything of these. A stream over
	// several channels waits for it to be [Sink.Reached].
	DeliverMissed(m schemas.Message, limits Limits)

	// Drop ends the streams of a deleted channel, and reports whether the channel was
	// known.
	Drop(name schemas.Channel) bool

	// Reached says that every message up to the position has been delivered if its
	// channel is subscribed to. Each call of Deliver says this of the message's position.
	// An engine that delivers only what is subscribed to must also call Reached now and
	// then, or streams over several channels would wait for the next message.
	Reached(position uint64)

	// Sever ends all streams as unavailable, so that clients connect elsewhere. The
	// engine has been out of reach for so long that readers must be told.
	Sever()
}

// Origin is where an engine starts.
type Origin struct {
	Epoch uint64 // names this life of the log: positions of different epochs cannot be compared; not 0
	Head  uint64 // the newest position that was ever handed out, or a later one
	// Lost is the position up to which any channel may have lost messages without a
	// trace, for instance in a power failure; 0 if none has. A stream is told of it
	// after everything that is kept up to there.
	Lost uint64
}

// Snapshot is what an engine keeps of a channel.
type Snapshot struct {
	Messages []schemas.Message // in the order of their positions
	Run      *schemas.Message  // the latest run message, nil if there is none; it may be older than Messages
	Lost     Losses
}

// Summary is what an engine says of a channel without reading it. Messages over a limit
// that have not been removed yet may be included.
type Summary struct {
	Channel     schemas.Channel
	Messages    int              // messages that are kept
	Bytes       int64            // of their data, roughly
	First, Last uint64           // positions of the oldest and the newest message; 0: none
	Run         *schemas.Message // the latest run message, nil if there is none
}

// Found is the result of [Engine.Matching].
type Found struct {
	Channels []schemas.Channel
	More     bool   // there are more channels than the limit
	Lost     uint64 // messages up to here may be lost of a channel that is no longer kept; 0: none
}

// Stats is what an engine has done. Figures that an engine does not have are 0.
type Stats struct {
	Replayed        int64 // durable publishes that were answered with the first receipt
	Remembered      int   // durable publishes, and records of texts, that are remembered now
	RememberedBytes int64 // the memory that they take
	ForgottenEarly  int64 // durable publishes forgotten before their time
	KeptBytes       int64 // of messages that are kept outside memory
	Dropped         int64 // messages dropped before their time because all together took too much space
	Commits         int64 // groups of messages that were written together
	Syncs           int64 // times that written data was synced to disk
	Repaired        int64 // messages that live delivery had missed and that were fetched
	// SyncTimes is how long the syncs took, in nanoseconds.
	SyncTimes histogram.Snapshot
}

// timeBounds are the bounds of the histograms of what an engine waits for.
var timeBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2500 * time.Millisecond,
}

// NewTimes returns a histogram of times in nanoseconds, from those of a fast disk to those
// that publishers give up on.
func NewTimes() *histogram.Histogram {
	return histogram.New(histogram.Durations(timeBounds[:]...))
}

// Add adds the figures of another engine.
func (s *Stats) Add(o Stats) {
	s.Replayed += o.Replayed
	s.Remembered += o.Remembered
	s.RememberedBytes += o.RememberedBytes
	s.ForgottenEarly += o.ForgottenEarly
	s.KeptBytes += o.KeptBytes
	s.Dropped += o.Dropped
	s.Commits += o.Commits
	s.Syncs += o.Syncs
	s.Repaired += o.Repaired
	s.SyncTimes = s.SyncTimes.Add(o.SyncTimes)
}
