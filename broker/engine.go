package broker

import (
	"context"
	"errors"

	"github.com/sluicehq/sluice/schemas"
)

// Errors of engines.
var (
	// ErrUnavailable says that the engine cannot keep anything now. Nothing was
	// published.
	ErrUnavailable = errors.New("broker: engine unavailable")
	// ErrUncertain says that the engine did not answer in time: what was to be
	// published may have been. With a key, a retry finds out.
	ErrUncertain = errors.New("broker: engine did not answer: the message may have been published")
)

// Engine decides on the order of messages and keeps what it promises to keep.
// Readers are served from the logs of the broker, in any case: an engine feeds
// these through its [Sink], and refills those that are not in memory.
//
// It numbers the messages; with several engines, the broker adds to an id which of
// them it is of.
//
// All methods are safe for concurrent use, between Start and Close. Those with a
// context return its error when it ends, and [ErrUnavailable] when they cannot do
// their work now.
type Engine interface {
	// Start is called once, before all else. From now on the engine delivers to
	// sink.
	Start(sink Sink) (Origin, error)

	// Append gives e the next position, keeps it, delivers it, and returns its
	// receipt, in this order; only an engine of many nodes may deliver later. It
	// calls [Sink.Wait] first.
	//
	// An entry with a key happens once: a later one with the same channel, topic
	// and key gets the first one's receipt, marked as a duplicate, also when both
	// come at once. Whether a run message may come next is [Entry.Follow]'s say;
	// it is asked where no other run message can come between.
	//
	// Errors: [ErrUnavailable], after which nothing has happened, nor will;
	// [ErrUncertain]; those of Follow and of Wait.
	Append(ctx context.Context, e Entry) (schemas.Receipt, error)

	// Recall returns the receipt of a publish with a key that is remembered, marked
	// as a duplicate, and whether there is one.
	Recall(ctx context.Context, channel schemas.Channel, topic schemas.Topic, key string) (schemas.Receipt, bool, error)

	// Head returns the newest position. It is asked when a client knows a newer one
	// than this node has heard of.
	Head(ctx context.Context) (uint64, error)

	// Load returns what is kept of a channel: at least every message that was
	// acknowledged before the call, or, if the channel is followed, that has not
	// been and will not be delivered.
	Load(ctx context.Context, name schemas.Channel) (Kept, error)

	// Matching returns the channels that pattern, which is not exact, matches and
	// of which something after the position is kept, at most limit of them, and
	// up to which position something may have been lost of any such channel.
	Matching(ctx context.Context, pattern schemas.Pattern, after uint64, limit int) (Found, error)

	// Names returns up to limit names of channels of which something is kept, that
	// begin with prefix and come after the given one, in order.
	Names(ctx context.Context, prefix string, after schemas.Channel, limit int) ([]schemas.Channel, error)

	// Follow returns when every message of the channels that pattern names, which
	// is stored from now on, will be delivered. Unfollow undoes it; it is not
	// called twice, and never with a pattern that is not followed.
	Follow(ctx context.Context, pattern schemas.Pattern) error
	Unfollow(pattern schemas.Pattern)

	// Delete forgets a channel, its run status too, and calls [Sink.Drop], on every
	// node. It reports whether there was anything.
	Delete(ctx context.Context, name schemas.Channel) (found bool, err error)

	// Ready reports why the engine cannot be used now, as [ErrUnavailable].
	Ready() error

	// Stats returns the present figures.
	Stats() EngineStats

	// Close keeps what was acknowledged and gives everything up. Idempotent. It is
	// called after the last Append.
	Close() error
}

// Origin is where an engine stands when it starts.
type Origin struct {
	Epoch uint64 // the life of the log, not 0
	Head  uint64 // the newest position that was ever handed out, or a later one
	// Lost is a position up to which any channel may have lost messages without
	// a trace, as after a power failure; 0: none has.
	Lost uint64
}

// Kept is what an engine holds of a channel.
type Kept struct {
	Messages []schemas.Message // in the order of their positions
	Run      *schemas.Message  // the latest run message, nil: none; it may be older than Messages
	Lost     uint64            // messages up to here may have been lost; 0: none
}

// Found is what [Engine.Matching] found.
type Found struct {
	Channels []schemas.Channel
	More     bool   // there are more of them than were asked for
	Lost     uint64 // messages up to here may have been lost of a channel that is not kept; 0: none
}

// EngineStats is what an engine has done. Figures that it does not have are 0.
type EngineStats struct {
	Replayed        int64 // durable publishes that were answered with the first receipt
	Remembered      int   // durable publishes that are remembered
	RememberedBytes int64 // what they take
	ForgottenEarly  int64 // durable publishes forgotten before their time
	KeptBytes       int64 // of messages that are kept beyond memory
	Dropped         int64 // messages dropped before their time, because all together took too much
	Commits         int64 // groups of messages that were written together
	Syncs           int64 // times that the disk was made to keep what was written
	Repaired        int64 // messages that live delivery missed and that were fetched
}

func (s *EngineStats) add(o EngineStats) {
	s.Replayed += o.Replayed
	s.Remembered += o.Remembered
	s.RememberedBytes += o.RememberedBytes
	s.ForgottenEarly += o.ForgottenEarly
	s.KeptBytes += o.KeptBytes
	s.Dropped += o.Dropped
	s.Commits += o.Commits
	s.Syncs += o.Syncs
	s.Repaired += o.Repaired
}

// Sink is where an engine delivers to.
type Sink struct{ b *Broker }

// Wait returns when the readers of the channel are not too far behind for one more
// message. Errors: [ErrBusy], [ErrClosed] and that of ctx.
func (s Sink) Wait(ctx context.Context, name schemas.Channel) error { return s.b.waitFor(ctx, name) }

// Deliver brings a message, which has its position, to those who read its channel.
// It neither waits nor keeps m's data. Messages of a channel must come in the order
// of their positions; one that was delivered before is passed over. limits are
// those of the channel, zero fields for what the broker knows of them.
func (s Sink) Deliver(m schemas.Message, limits Limits) { s.b.deliver(&m, limits) }

// Drop ends the streams of a channel that was deleted, and reports whether anything
// was known of it.
func (s Sink) Drop(name schemas.Channel) bool { return s.b.drop(name) }

// Reached says that every message up to the position has been delivered which is of
// a channel that is followed. Each delivered message says so of its own; engines
// that deliver only what is followed say it now and then besides, or streams of
// several channels would wait for the next message.
func (s Sink) Reached(position uint64) { s.b.reached(position) }

// Sever ends all streams, to be opened again elsewhere: the engine has been out of
// reach for so long that readers must be told.
func (s Sink) Sever() { s.b.sever() }
