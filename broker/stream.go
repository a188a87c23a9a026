package broker

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Owner is by whom a stream was opened. It serves to list streams, to end them
// and to limit their number.
type Owner struct {
	Subject   string    // of the token; "" for none
	TokenID   string    // "" for none
	Address   string    // of the client, without port
	ExpiresAt time.Time // when the stream must end; zero for never
}

// Stream is one reader of one or many channels: a position, and what it has
// asked for. One goroutine calls [Stream.Next] until that returns an error, then
// [Stream.Close].
type Stream struct {
	// Static after construction.
	broker  *Broker
	id      uint64
	owner   Owner
	format  Format
	wants   wants
	opened  time.Time
	alone   bool      // one channel by name: no watermark is needed
	endsAt  time.Time // of owner.ExpiresAt and the maximum age the earlier; zero for never
	endsFor Ending    // what happens then

	wakeup   chan struct{}          // capacity 1
	ending   atomic.Pointer[Ending] // why the server ends it; the first one counts
	position atomic.Uint64          // every message up to here is handed out or not wanted; written by Next alone

	told bool // owned by the herald

	mu      sync.Mutex
	pending map[*channel]struct{} // guarded by mu; channels with news

	// Owned by the goroutine that calls Next.
	intro    *intro               // nil once handed out
	known    map[*channel]uint64  // run messages that the introduction has told ahead of their turn
	sources  map[*channel]*source // channels that are being read
	reported uint64               // the position that the client knows of
	passes   bool                 // over messages that it leaves out, so that its position moves in silence
	beatAt   time.Time            // when a heartbeat is due
	timer    *time.Timer
	closed   bool
	messages int64
}

// Batch is what a stream has to write next. The slices are shared with other
// streams: they must not be changed.
type Batch struct {
	Events   [][]byte
	Messages int // how many of Events are messages
}

func (b *Batch) add(event []byte) { b.Events = append(b.Events, event) }

// Bounds of a batch, so that one stream's burst does not delay its heartbeat,
// its end and other streams.
const (
	maxBatchBytes    = 256 << 10
	maxBatchMessages = 1024
)

// ID returns the stream's number, unique in this process.
func (s *Stream) ID() uint64 { return s.id }

// Format returns how the stream's events are written.
func (s *Stream) Format() Format { return s.format }

// Next waits until there is something to write and puts it into b, of which it
// reuses the memory. The first batch begins with $open; after the batch with
// $close it returns [io.EOF]. When ctx ends it returns the error of ctx.
func (s *Stream) Next(ctx context.Context, b *Batch) error {
	clear(b.Events)
	b.Events, b.Messages = b.Events[:0], 0
	if s.closed {
		return io.EOF
	}
	for {
		now := time.Now()
		if s.gather(b, now); len(b.Events) > 0 {
			s.messages += int64(b.Messages)
			s.beatAt = now.Add(s.broker.opts.Heartbeat - jitter(s.broker.opts.Heartbeat/5))
			return nil
		}
		s.rest(now)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wakeup:
		case <-s.timer.C:
		}
	}
}

// gather puts what is due at the time now into b.
func (s *Stream) gather(b *Batch, now time.Time) {
	if s.intro != nil {
		s.introduce(b)
	}
	if !s.endsAt.IsZero() && !now.Before(s.endsAt) {
		s.End(s.endsFor)
	}
	if ending := s.ending.Load(); ending != nil {
		b.add(ending.event(s.at(s.position.Load())).encode(s.format))
		s.closed = true
		return
	}
	if s.intro != nil {
		return // the rest of it comes first
	}
	s.collect(b)
	if len(b.Events) == 0 && !now.Before(s.beatAt) {
		s.beat(b)
	}
}

// End makes the stream end with e, unless it is ending already.
func (s *Stream) End(e Ending) {
	if s.ending.CompareAndSwap(nil, &e) {
		s.wake()
	}
}

// Ended returns why the stream was ended by the server, and whether it was.
func (s *Stream) Ended() (Ending, bool) {
	if e := s.ending.Load(); e != nil {
		return *e, true
	}
	return Ending{}, false
}

// Close gives up the stream's place. Idempotent.
func (s *Stream) Close() { s.broker.leave(s) }

// Messages returns how many messages were handed out. Only for the goroutine
// that calls Next.
func (s *Stream) Messages() int64 { return s.messages }

// wake makes Next look again.
func (s *Stream) wake() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// pend marks c as having news.
func (s *Stream) pend(c *channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.pending = make(map[*channel]struct{}, 1)
	}
	s.pending[c] = struct{}{}
	if s.outlived(len(s.pending)) {
		clear(s.pending)
	}
}

// rest sets the timer to the next heartbeat, or to the stream's end if that
// comes first.
func (s *Stream) rest(now time.Time) {
	wait := s.beatAt.Sub(now)
	if !s.endsAt.IsZero() {
		wait = min(wait, s.endsAt.Sub(now))
	}
	if s.timer == nil {
		s.timer = time.NewTimer(wait)
		return
	}
	s.timer.Reset(wait)
}

// beat keeps a quiet connection alive. When the position has moved past messages
// that were left out, it tells the client the new one.
func (s *Stream) beat(b *Batch) {
	s.slim(b)
	p := s.position.Load()
	if p == s.reported || !s.passes {
		b.add(heartbeat(s.format))
		return
	}
	s.reported = p
	data := struct {
		ID string `json:"id,omitempty"`
	}{}
	if s.format == NDJSON {
		data.ID = s.at(p) // a line has no id of its own
	}
	b.add(control{event: eventPosition, id: s.at(p), data: data}.encode(s.format))
}

// slim lets go of the memory that a burst took: of many streams that are quiet
// most of the time, it would be most of what they take.
func (s *Stream) slim(b *Batch) {
	b.Events = nil
	for _, src := range s.sources {
		if src.empty() {
			src.lot, src.next = nil, 0
		}
	}
}

// at returns the text of the position p.
func (s *Stream) at(p uint64) string { return s.broker.idOf(p).String() }
