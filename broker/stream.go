package broker

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is one reader of one or many channels: a position, and what it has
// asked for. It is read in one of two ways: one goroutine calls [Stream.Next]
// until that returns an error and then [Stream.Close], or [Broker.TakeOver] gives
// it and its connection to a writer loop.
type Stream struct {
	// Static after construction.
	broker *Broker
	id     uint64
	owner  owner
	wants  wants
	opened time.Duration // on the broker's clock
	endsAt int64         // the owner's expiry or that of the maximum age, milliseconds since the Unix epoch; 0 for never
	format Format
	alone  bool // one channel by name: no watermark is needed
	ages   bool // endsAt is that of the maximum age

	ending   atomic.Pointer[Ending] // why the server ends it; the first one counts
	start    atomic.Uint64          // the position at which it began
	position atomic.Uint64          // every message up to here is handed out or not wanted; written by the carrier alone
	lags     atomic.Bool            // its client took nothing when its turn came: publishers do not wait for it until it has caught up
	outSince atomic.Int64           // when Next last returned, nanoseconds on the broker's clock; 0: it is being waited in

	told  bool  // owned by the herald
	place int32 // in the roster, guarded by its mutex

	composite *composite // that it is, or is a part of; nil: its channels are of one shard; static after construction

	follows []*following // what the engine delivers for it; written before anybody else has it

	mu      sync.Mutex
	carrier carrier               // guarded by mu; nil: nobody reads it yet
	pending map[*channel]struct{} // guarded by mu; channels with news
	owed    []owed                // guarded by mu; late messages

	// Owned by the carrier.
	intro    *intro               // nil once handed out
	known    map[*channel]uint64  // run messages that the introduction has told ahead of their turn
	sources  map[*channel]*source // channels that are being read
	late     map[uint64]bool      // positions of late messages that were handed out
	reported uint64               // the position that the client knows of
	beatAt   time.Duration        // when a heartbeat is due, on the broker's clock
	messages int64
	passes   bool // over messages that it leaves out, so that its position moves in silence
	outrun   bool // what comes next is no longer in memory
	closed   bool
}

// carrier is who brings a stream's events to its client, and is woken when there
// may be something for it to gather. It calls nothing back.
type carrier interface{ wake(s *Stream) }

// Batch is what a stream has to write next. The slices are shared with other
// streams: they must not be changed.
type Batch struct {
	Events   [][]byte
	Messages int // how many of Events are messages
}

func (b *Batch) add(event []byte) { b.Events = append(b.Events, event) }

func (b *Batch) reset() {
	clear(b.Events)
	b.Events, b.Messages = b.Events[:0], 0
}

// Bounds of a batch, so that one stream's burst does not delay its heartbeat, its
// end and other streams.
const (
	maxBatchBytes    = 256 << 10
	maxBatchMessages = 1024
)

// Age returns how long ago the stream was opened.
func (s *Stream) Age() time.Duration { return s.broker.clock(time.Now()) - s.opened }

// ID returns the stream's number, unique in this process.
func (s *Stream) ID() uint64 { return s.id }

// Format returns how the stream's events are written.
func (s *Stream) Format() Format { return s.format }

// Next waits until there is something to write and puts it into b, of which it
// reuses the memory. The first batch begins with $open; after the batch with
// $close it returns [io.EOF]. When ctx ends it returns the error of ctx.
func (s *Stream) Next(ctx context.Context, b *Batch) error {
	if s.closed {
		b.reset()
		return io.EOF
	}
	p := s.puller()
	s.out(0)
	defer func() { s.out(s.broker.clock(time.Now())) }()
	for {
		now := time.Now()
		if s.gather(b, now, maxBatchBytes); len(b.Events) > 0 {
			return nil
		}
		p.set(s.rest(now))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.news:
		case <-p.timer.C:
		}
	}
}

// puller is the carrier of a stream whose reader calls Next.
type puller struct {
	news  chan struct{} // capacity 1
	timer *time.Timer   // owned by Next
}

func (p *puller) wake(*Stream) {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

func (p *puller) set(wait time.Duration) {
	if p.timer == nil {
		p.timer = time.NewTimer(wait)
		return
	}
	p.timer.Reset(wait)
}

// out notes when Next returned, on the broker's clock; 0: it is being waited in.
func (s *Stream) out(at time.Duration) {
	s.outSince.Store(int64(at))
	if s.composite != nil {
		s.composite.out(at)
	}
}

// carryBy makes c the carrier, which then looks at s.
func (s *Stream) carryBy(c carrier) {
	s.mu.Lock()
	s.carrier = c
	s.mu.Unlock()
	s.outSince.Store(0)
}

// puller returns the carrier of s, made with the first call.
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

func newPuller() *puller { return &puller{news: make(chan struct{}, 1)} }

// gather puts what is due at the time now into b: messages until they have limit
// bytes, or nothing. It does not wait.
func (s *Stream) gather(b *Batch, now time.Time, limit int) {
	b.reset()
	defer func() {
		if len(b.Events) > 0 {
			s.messages += int64(b.Messages)
			s.delayBeat(now)
		}
	}()
	if s.intro != nil {
		s.introduce(b)
	}
	if s.endsAt != 0 && now.UnixMilli() >= s.endsAt {
		s.expire()
	}
	if ending := s.ending.Load(); ending != nil {
		b.add(ending.event(s.here()).encode(s.format))
		s.closed = true
		return
	}
	if s.intro != nil {
		return // the rest of it comes first
	}
	if c := s.joint(); c != nil {
		c.collect(b, limit)
	} else {
		s.collect(b, limit)
	}
	if len(b.Events) == 0 && s.broker.clock(now) >= s.beatAt {
		s.beat(b)
	}
}

// expire ends a stream whose time has come.
func (s *Stream) expire() {
	if s.ages {
		s.End(MaxAge())
		return
	}
	s.End(TokenExpired())
}

// delayBeat puts the next heartbeat off. Each stream has a rhythm of its own, up
// to a fifth faster than the longest silence, so that streams which were written
// to together do not beat together.
func (s *Stream) delayBeat(now time.Time) {
	longest := s.broker.opts.Heartbeat
	own := float64(s.id*0x9E3779B97F4A7C15>>11) / (1 << 53) // in [0, 1), spread evenly
	s.beatAt = s.broker.clock(now) + longest - time.Duration(own*float64(longest/5))
}

// End makes the stream end with e, unless it is ending already.
func (s *Stream) End(e Ending) {
	s = s.whole()
	if s.ending.CompareAndSwap(nil, &e) {
		s.wake()
	}
}

// Ended returns why the stream was ended by the server, and whether it was.
func (s *Stream) Ended() (Ending, bool) {
	if e := s.whole().ending.Load(); e != nil {
		return *e, true
	}
	return Ending{}, false
}

// Close gives up the stream's place. Idempotent.
func (s *Stream) Close() { s.broker.leave(s) }

// Messages returns how many messages were handed out. Only for the goroutine
// that calls Next.
func (s *Stream) Messages() int64 { return s.messages }

// wake makes the carrier look again. One that has not come yet looks when it does.
func (s *Stream) wake() {
	s.mu.Lock()
	c := s.carrier
	s.mu.Unlock()
	if c != nil {
		c.wake(s)
	}
}

// pend marks c as having news.
func (s *Stream) pend(c *channel) {
	s.mu.Lock()
	if s.pending == nil {
		s.pending = make(map[*channel]struct{}, 1)
	}
	s.pending[c] = struct{}{}
	late := s.outlived(len(s.pending))
	if late {
		clear(s.pending)
	}
	s.mu.Unlock()
	if late {
		s.End(SlowConsumer())
	}
}

// rest returns how long it is until the next heartbeat, or until the stream's end
// if that comes first.
func (s *Stream) rest(now time.Time) time.Duration {
	wait := s.beatAt - s.broker.clock(now)
	if s.endsAt != 0 {
		wait = min(wait, time.UnixMilli(s.endsAt).Sub(now))
	}
	return max(wait, 0)
}

// grace is how long a reader may be away from Next before publishers no longer
// wait for it: its socket was full.
const grace = 25 * time.Millisecond

// awaited reports whether publishers wait for s when it is behind.
func (s *Stream) awaited(clock time.Duration) bool {
	if out := s.outSince.Load(); out != 0 && clock-time.Duration(out) > grace {
		s.lags.Store(true)
	}
	return !s.lags.Load()
}

// beat keeps a quiet connection alive. When the position has moved past messages
// that were left out, it tells the client the new one.
func (s *Stream) beat(b *Batch) {
	s.slim(b)
	if !s.moved() {
		b.add(heartbeat(s.format))
		return
	}
	b.add(s.positionEvent())
}

// moved reports whether the position has moved past messages that were left out,
// and the client does not know.
func (s *Stream) moved() bool {
	if c := s.joint(); c != nil {
		return c.moved()
	}
	return s.position.Load() != s.reported && s.passes
}

// positionEvent tells the client where the stream stands.
func (s *Stream) positionEvent() []byte {
	at := s.here()
	s.report()
	data := struct {
		ID string `json:"id,omitempty"`
	}{}
	if s.format == NDJSON {
		data.ID = at // a line has no id of its own
	}
	return control{event: eventPosition, id: at, data: data}.encode(s.format)
}

// slim lets go of the memory that a burst took: of many streams that are quiet
// most of the time, it would be most of what they take.
func (s *Stream) slim(b *Batch) {
	b.Events = nil
	if c := s.joint(); c != nil {
		c.slim(b)
	}
	s.mu.Lock()
	if len(s.pending) == 0 {
		s.pending = nil
	}
	s.mu.Unlock()
	if len(s.sources) == 0 {
		s.sources = nil
	}
	for _, src := range s.sources {
		if src.empty() {
			src.lot, src.next = nil, 0
		}
	}
}

// plain reports whether the stream needs nothing but what comes next in its one
// channel, for all topics that it wants.
func (s *Stream) plain() bool {
	if !s.alone || s.intro != nil || len(s.sources) > 1 {
		return false
	}
	position := s.position.Load()
	for _, src := range s.sources {
		if position < max(src.pick.from, src.pick.upTo) {
			return false
		}
	}
	for _, told := range s.known {
		if position < told {
			return false
		}
	}
	return true
}

// forget lets go of what a stream needs only until it is plain.
func (s *Stream) forget() {
	s.sources, s.known = nil, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		s.pending = nil
	}
}

// at returns the text of the position p.
func (s *Stream) at(p uint64) string {
	if c := s.composite; c != nil {
		return c.at(s, p).String()
	}
	return s.broker.idOf(p).String()
}

// here returns the text of the position where the stream stands.
func (s *Stream) here() string { return s.at(s.position.Load()) }

// report notes that the client is told where the stream stands.
func (s *Stream) report() {
	if c := s.composite; c != nil {
		c.report()
		return
	}
	s.reported = s.position.Load()
}
