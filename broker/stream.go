package broker

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/audience"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// Stream is one reader of one or many channels. It has a [cursor] in each shard that
// has some of them, and gathers what these find for its client. It is read in one of
// two ways. Either one goroutine calls [Stream.Next] until that returns an error, and
// then [Stream.Close]. Or [Broker.TakeOver] gives it and its connection to a writer
// loop.
type Stream struct {
	// Static after construction.
	broker  *Broker
	id      uint64
	owner   owner
	filter  *channelFilter
	opened  time.Duration // on the broker's clock
	endsAt  int64         // when the token expires or the maximum age is reached, in Unix milliseconds; 0 for never
	cursors []*cursor     // one for each shard that it reads
	format  ring.Format
	ages    bool // endsAt is due to the maximum age
	until   bool // it ends with the run, see [Subscription.UntilEnd]

	left  bool  // guarded by mu; it gets no seat any more
	place int32 // in the stream set, guarded by its mutex

	ending atomic.Pointer[CloseReason] // why the server ends it; the first reason counts
	rare   atomic.Pointer[rare]        // replaced with mu held; nil: it has none of it

	mu      sync.Mutex
	carrier carrier // guarded by mu; nil: nobody reads the stream yet

	// Owned by the carrier.
	preamble *preamble     // nil once handed out
	beatAt   time.Duration // when the next heartbeat is due, on the broker's clock
	messages int64
	live     bool // everything that was there when it came has been handed out
	closed   bool
}

// rare is what most streams do not have. It is static after construction.
type rare struct {
	merging *merging       // nil if the stream reads only one shard
	seat    *audience.Seat // nil: nobody wants to know of the stream, and it follows nothing
}

// merging returns what the stream needs to merge shards, nil if it reads only one.
func (s *Stream) merging() *merging {
	if r := s.rare.Load(); r != nil {
		return r.merging
	}
	return nil
}

// seat returns the stream's place in the audience, nil if it has none.
func (s *Stream) seat() *audience.Seat {
	if r := s.rare.Load(); r != nil {
		return r.seat
	}
	return nil
}

// merging is what a stream over several shards needs besides its cursors.
type merging struct {
	elsewhere []uint64 // static after construction; by shard: the client's position where the stream does not read
	first     int      // owned by the carrier; index of the cursor that is asked first
}

// carrier brings a stream's events to its client. It is woken when there may be
// something to gather. wake must not call back. It reports whether it has made a
// goroutine ready that works for this stream alone.
type carrier interface{ wake(s *Stream) bool }

// Age returns how long ago the stream was opened.
func (s *Stream) Age() time.Duration { return s.broker.clock(time.Now()) - s.opened }

// ID returns the stream's number, unique in this process.
func (s *Stream) ID() uint64 { return s.id }

// Format returns the format of the stream's events.
func (s *Stream) Format() ring.Format { return s.format }

// Next waits until there is something to write and puts it into b, reusing its memory.
// The first batch begins with $open. After the batch with $close, Next returns
// [io.EOF]. When ctx ends, it returns the error of ctx.
func (s *Stream) Next(ctx context.Context, b *Batch) error {
	for {
		if err := s.Gather(b); err != nil || len(b.Events) > 0 {
			return err
		}
		if err := s.Wait(ctx); err != nil {
			return err
		}
	}
}

// Gather is Next without waiting: if there is nothing to write, b is empty, and [Stream.Wait]
// has to be called next. The two are for goroutines that have to be small while they wait.
func (s *Stream) Gather(b *Batch) error {
	if s.closed {
		b.reset()
		return io.EOF
	}
	p, now := s.puller(), time.Now()
	since := time.Duration(p.outSince.Swap(0))
	b.measured = s.messages%measuredBatches == 0
	b.lagged = since != 0 && s.broker.clock(now)-since > awayGrace
	s.gather(b, now, maxBatchBytes)
	if len(b.Events) > 0 {
		s.stall() // nobody will say whether the client accepts the batch
		s.leave()
		return nil
	}
	p.due.Reset(s.untilDue(now))
	return nil
}

// measuredBatches is how many batches Gather gathers for one that is measured, roughly.
const measuredBatches = 8

// Wait waits until there may be something to gather, or returns the error of ctx. It
// takes so little of the stack that Go shrinks that to 4 KiB, together with the frames of
// net/http's HTTP/2. Another frame, or a second channel to wait for, doubles it.
func (s *Stream) Wait(ctx context.Context) error {
	if ctx.Err() == nil {
		<-s.puller().newsUntil(ctx)
	}
	if ctx.Err() != nil {
		s.leave()
	}
	return ctx.Err()
}

// leave notes that the reader does something else.
func (s *Stream) leave() { s.puller().outSince.Store(int64(s.broker.clock(time.Now()))) }

// puller is the carrier of a stream whose reader calls Next, or Gather and Wait.
type puller struct {
	news     chan struct{} // capacity 1
	outSince atomic.Int64  // when the reader last left, in nanoseconds on the broker's clock; 0 while it gathers or waits

	// Owned by the reader.
	due      *time.Timer     // makes news when the stream has to do something by itself
	ctx      context.Context // makes news when it ends
	unfollow func() bool     // makes ctx do so no longer
}

func newPuller() *puller {
	p := &puller{news: make(chan struct{}, 1)}
	p.due = time.AfterFunc(time.Hour, p.poke) // Gather sets it
	return p
}

// newsUntil returns news, of which there is one when ctx ends.
func (p *puller) newsUntil(ctx context.Context) <-chan struct{} {
	if p.ctx != ctx {
		if p.ctx != nil {
			p.unfollow()
		}
		p.ctx, p.unfollow = ctx, context.AfterFunc(ctx, p.poke)
	}
	return p.news
}

func (p *puller) poke() { p.wake(nil) }

func (p *puller) wake(*Stream) bool {
	select {
	case p.news <- struct{}{}:
		return true
	default:
		return false
	}
}

// setCarrier makes c the carrier. c then looks at s by itself.
func (s *Stream) setCarrier(c carrier) {
	s.mu.Lock()
	s.carrier = c
	s.mu.Unlock()
}

// puller returns the carrier of s for Next, made with the first call.
func (s *Stream) puller() *puller {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.carrier.(*puller)
	if !ok {
		p = newPuller()
		s.carrier = p
	}
	return p
}

// wake makes the carrier look again, see [carrier]. A carrier that is not set yet looks
// when it is.
func (s *Stream) wake() bool {
	s.mu.Lock()
	c := s.carrier
	s.mu.Unlock()
	return c != nil && c.wake(s)
}

// gather puts what is due at the time now into b, with messages of about limit bytes and as
// much about followed channels, or nothing. It does not wait.
func (s *Stream) gather(b *Batch, now time.Time, limit int) {
	b.reset()
	defer func() {
		if len(b.Events) > 0 {
			s.messages += int64(b.Messages)
			s.delayBeat(now)
		}
	}()
	if s.preamble != nil {
		s.writePreamble(b)
	}
	if s.endsAt != 0 && now.UnixMilli() >= s.endsAt {
		s.expire()
	}
	if ending := s.ending.Load(); ending != nil {
		b.add(ending.event(s.here()).encode(s.format))
		s.closed = true
		return
	}
	if s.preamble != nil {
		return // the rest of the preamble comes first
	}
	s.collect(b, limit)
	s.arrived(b)
	s.tellAudience(b, limit)
	if len(b.Events) == 0 && s.broker.clock(now) >= s.beatAt {
		s.beat(b)
	}
}

// collect puts what the cursors find into b, at most limit bytes but for the last
// messages. The cursors take turns at being asked first.
func (s *Stream) collect(b *Batch, limit int) {
	if !s.merges() {
		s.cursors[0].collect(b, limit)
		return
	}
	n, m := len(s.cursors), s.merging()
	m.first = (m.first + 1) % n
	for i := range n {
		s.cursors[(m.first+i)%n].collect(b, limit/n)
	}
	if b.Messages > 0 && s.format.Lines() {
		b.add(s.positionEvent(eventPosition)) // the id of a message gives the position in one shard only
	}
}

// stall is called when the client accepts nothing more for now, or may not.
func (s *Stream) stall() {
	for _, c := range s.cursors {
		c.stall()
	}
}

// arrived tells the client, once, that it has everything that was there when the
// stream began, and ends a stream that is to end with the run.
func (s *Stream) arrived(b *Batch) {
	if !s.live && !slices.ContainsFunc(s.cursors, func(c *cursor) bool { return !c.live.Load() }) {
		s.live = true
		b.add(s.positionEvent(eventLive))
	}
	if s.until && s.live && s.cursors[0].runEnded() {
		s.End(runEnded())
	}
}

// merges reports whether the stream reads several shards. Each event tells its client
// the positions in all of them.
func (s *Stream) merges() bool { return s.merging() != nil }

// expire ends a stream whose time is up.
func (s *Stream) expire() {
	if s.ages {
		s.End(MaxAge())
		return
	}
	s.End(tokenExpired())
}

// End makes the stream end for the given reason, unless it is ending already. Safe for
// concurrent use.
func (s *Stream) End(reason CloseReason) {
	if s.ending.CompareAndSwap(nil, &reason) {
		s.wake()
	}
}

// Ended returns why the server ended the stream, and whether it did. Safe for
// concurrent use.
func (s *Stream) Ended() (CloseReason, bool) {
	if reason := s.ending.Load(); reason != nil {
		return *reason, true
	}
	return CloseReason{}, false
}

// Close gives up the stream's place among the open streams. It is idempotent.
func (s *Stream) Close() {
	if !s.broker.streams.remove(s) {
		return
	}
	for _, c := range s.cursors {
		c.leave()
	}
	s.leaveSeat()
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.carrier.(*puller); ok {
		p.due.Stop() // or it would hold on to the context until it fires
	}
}

// Messages returns how many messages were handed out. It is for the goroutine that
// calls Next.
func (s *Stream) Messages() int64 { return s.messages }

// reads reports whether the stream reads channels of the shard.
func (s *Stream) reads(sh *shard) bool {
	return slices.ContainsFunc(s.cursors, func(c *cursor) bool { return c.shard == sh })
}

// awayGrace is how long a reader may be away from Next before publishers stop waiting
// for it: by then its socket must be full.
const awayGrace = 25 * time.Millisecond

// away reports whether the reader has been away from Next for longer than awayGrace. A
// writer loop never is.
func (s *Stream) away(clock time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.opened
	switch c := s.carrier.(type) {
	case nil:
	case *puller:
		since = time.Duration(c.outSince.Load())
	default:
		return false
	}
	return since != 0 && clock-since > awayGrace
}

// Position returns the stream's position. Safe for concurrent use.
func (s *Stream) Position() schemas.Position { return s.positionAt(nil, 0) }

// positionAt returns the stream's position as if its cursor c, which may be nil, were
// at p.
func (s *Stream) positionAt(c *cursor, p uint64) schemas.Position {
	sh := s.cursors[0].shard
	at := schemas.Position{Epoch: sh.origin.Epoch}
	if !s.merges() {
		at.Shard, at.Seqs = sh.number, []uint64{s.cursors[0].position.Load()}
		if c != nil {
			at.Seqs[0] = p
		}
		return at
	}
	at.Seqs = slices.Clone(s.merging().elsewhere)
	for _, other := range s.cursors {
		at.Seqs[other.shard.number-1] = other.position.Load()
	}
	if c != nil {
		at.Seqs[c.shard.number-1] = p
	}
	return at
}

// here returns the text of the stream's position.
func (s *Stream) here() string {
	if !s.merges() {
		c := s.cursors[0]
		return c.at(c.position.Load())
	}
	return s.Position().String()
}

// report notes that the client is told the stream's position.
func (s *Stream) report() {
	for _, c := range s.cursors {
		c.reported = c.position.Load()
	}
}

// delayBeat schedules the next heartbeat. Each stream has its own interval, up to a
// fifth shorter than the longest silence, so that streams written to together do not
// beat together.
func (s *Stream) delayBeat(now time.Time) {
	longest := s.broker.opts.Heartbeat
	own := float64(s.id*0x9E3779B97F4A7C15>>11) / (1 << 53) // in [0, 1), spread evenly
	s.beatAt = s.broker.clock(now) + longest - time.Duration(own*float64(longest/5))
}

// untilDue returns the time until the next heartbeat or the end of the stream,
// whichever comes first.
func (s *Stream) untilDue(now time.Time) time.Duration {
	wait := s.beatAt - s.broker.clock(now)
	if s.endsAt != 0 {
		wait = min(wait, time.UnixMilli(s.endsAt).Sub(now))
	}
	return max(wait, 0)
}

// beat keeps a quiet connection alive. If the position has moved past messages that
// were left out, it tells the client the new position instead.
func (s *Stream) beat(b *Batch) {
	b.Events = nil
	moved := false
	for _, c := range s.cursors {
		c.releaseMemory()
		moved = moved || c.moved()
	}
	if moved {
		b.add(s.positionEvent(eventPosition))
		return
	}
	b.add(heartbeat(s.format))
}

// positionEvent tells the client where the stream is, in an event of the given name.
func (s *Stream) positionEvent(name string) []byte {
	at := s.here()
	s.report()
	data := struct {
		ID string `json:"id,omitempty"`
	}{}
	if s.format.Lines() {
		data.ID = at // a line of JSON has no id of its own
	}
	return control{event: name, id: at, data: data}.encode(s.format)
}
