package broker

import (
	"container/heap"
	"math"
	"slices"

	"github.com/sluicehq/sluice/schemas"
)

// source is a channel that a stream is reading: it takes frames out of the log
// in small lots and hands them to the stream one by one.
type source struct {
	channel *channel
	topics  schemas.TopicSet
	pick    selection

	lot  []frame // taken and not handed out yet
	next int     // index in lot
	read uint64  // position up to which the log was looked through
	head uint64  // newest position of the log at that time
	told uint64  // losses up to here are known to the client
	cold uint64  // up to here nothing is missed that is not in memory
}

// lotSize is how many frames a source takes at a time. Together they have no
// more bytes than lotBytes, but for the last: frames in a lot stay in memory,
// also when the log has dropped them.
const (
	lotSize  = 64
	lotBytes = 16 << 10
)

// selection narrows what a new stream is sent of the messages that were there
// when it came. The zero value takes everything.
type selection struct {
	from uint64   // only messages above this position,
	only []uint64 // and if there are any, up to upTo these alone; sorted
	upTo uint64
}

func (p *selection) takes(seq uint64) bool {
	if seq > p.upTo || p.only == nil {
		return seq > p.from
	}
	_, found := slices.BinarySearch(p.only, seq)
	return found
}

// gap is a loss that a source has come upon.
type gap struct {
	after, resumes uint64 // resumes is 0 if the log holds nothing more
	behind         uint64 // up to here nothing of the channel is left to be sent
	reason         gapReason
}

// empty reports whether everything that was taken is handed out.
func (src *source) empty() bool { return src.next == len(src.lot) }

// peek returns the position of the next frame. The source must not be empty.
func (src *source) peek() uint64 { return src.lot[src.next].seq }

// fill takes the next frames between the position (exclusive) and the limit
// (inclusive) out of the log: it is empty afterwards only if the log has nothing
// more for it up to there. The source must be empty. It returns a gap if
// something in between is lost that the client has not been told of, or, its reason
// being gapNone, if that is no longer in memory.
func (src *source) fill(position, limit uint64) (lost *gap) {
	clear(src.lot)
	src.lot, src.next = src.lot[:0], 0
	c := src.channel
	c.mu.Lock()
	defer c.mu.Unlock()

	from := max(position, src.read, src.pick.from)
	if from < limit && c.log.cold > max(from, src.cold) {
		return &gap{reason: gapNone}
	}
	if newest := c.log.lostOf(src.topics); from < limit && newest > max(from, src.told) {
		resumes, _ := c.log.firstOf(src.topics, from)
		lost = &gap{after: from, resumes: resumes, behind: newest, reason: c.log.reason}
		src.told = newest
	}
	if r := c.run; r != nil && r.frame.seq > from && r.frame.seq <= limit && !c.log.holds(r.frame.seq) {
		src.lot = append(src.lot, r.frame)
		if lost != nil {
			lost.behind = min(lost.behind, r.frame.seq-1)
		}
	}
	src.head = c.log.last
	bytes := 0
	for i := c.log.after(from); i < c.log.count; i++ {
		f := c.log.at(i)
		if f.seq > limit {
			break
		}
		if len(src.lot) == lotSize || bytes >= lotBytes {
			return lost
		}
		src.read = f.seq
		if wanted(f, src.topics) && src.pick.takes(f.seq) {
			src.lot = append(src.lot, *f)
			bytes += len(f.bytes)
		}
	}
	src.read = max(from, min(src.head, limit))
	return lost
}

// holds reports whether the position is not older than the ring.
func (l *log) holds(seq uint64) bool { return l.count > 0 && seq >= l.at(0).seq }

// collect puts what its channels have for the stream into b, in the order of
// positions, until that has maxBytes, and moves the position past it.
func (s *Stream) collect(b *Batch, maxBytes int) {
	limit := uint64(math.MaxUint64)
	if !s.alone {
		limit = max(s.broker.herald.announced.Load(), s.position.Load())
	}
	s.settleLate(b)
	s.attend()
	merge := s.refill(b, limit)
	bytes := 0
	for len(merge) > 0 && !s.outrun && bytes < maxBytes && b.Messages < maxBatchMessages {
		src := merge[0]
		bytes += s.hand(b, src)
		if src.empty() {
			s.draw(b, src, limit)
		}
		if src.empty() {
			heap.Pop(&merge)
		} else if len(merge) > 1 {
			heap.Fix(&merge, 0)
		}
	}
	if len(merge) == 0 && !s.outrun {
		s.arrive(limit)
		s.lags.Store(false)
	}
}

// attend turns the channels with news into sources.
func (s *Stream) attend() {
	s.mu.Lock()
	for c := range s.pending {
		if s.sources[c] == nil {
			// What was lost before the channel came, while the stream was there to be
			// told of it, is no news.
			s.read(&source{channel: c, topics: s.wants.topics(c.name), told: c.born, cold: c.cold.Load()})
		}
	}
	clear(s.pending)
	s.mu.Unlock()
	if s.outlived(len(s.sources)) {
		clear(s.sources)
		s.End(SlowConsumer())
	}
}

// read makes src one of the stream's sources.
func (s *Stream) read(src *source) {
	if s.sources == nil {
		s.sources = make(map[*channel]*source, 1)
	}
	s.sources[src.channel] = src
}

// maxOutlived is how many channels that are forgotten a stream may still have to
// read. It pins no more than a few messages of each that the rings have dropped.
const maxOutlived = 1000

// outlived reports whether a stream holds on to so many channels that more than
// maxOutlived of them must be gone: it is too slow for how fast they come and go,
// and has to end. It resumes by id, and is told what it has missed.
func (s *Stream) outlived(channels int) bool {
	return channels > int(s.broker.registry.count.Load())+maxOutlived
}

// refill draws from every source that is empty and returns those that have a
// frame, as a heap.
func (s *Stream) refill(b *Batch, limit uint64) merge {
	var m merge
	for _, src := range s.sources {
		if src.empty() {
			s.draw(b, src, limit)
		}
		if !src.empty() {
			m = append(m, src)
		}
	}
	heap.Init(&m)
	return m
}

// draw fills src and tells of what is lost.
func (s *Stream) draw(b *Batch, src *source, limit uint64) {
	lost := src.fill(s.position.Load(), limit)
	switch {
	case lost == nil:
		return
	case lost.reason == gapNone: // it comes back, and what it needs is loaded
		s.outrun = true
		s.End(SlowConsumer())
		return
	}
	if s.alone { // no other channel can have messages in the gap: it lies behind, also for one that comes back
		s.position.Store(max(s.position.Load(), lost.behind))
	}
	s.tell(b, src.channel.name, lost)
}

// hand puts the next frame of src into b and moves the position to it. It
// returns how many bytes that were.
func (s *Stream) hand(b *Batch, src *source) int {
	f := &src.lot[src.next]
	src.next++
	s.position.Store(f.seq)
	if f.late && !s.alone && !s.first(f) {
		return 0
	}
	if f.kind == schemas.KindRun && f.seq <= s.known[src.channel] {
		s.passes = true
		return 0
	}
	event := f.in(s.format)
	if c := s.composite; c != nil {
		event = c.event(s, f)
	}
	b.add(event)
	b.Messages++
	s.reported = f.seq
	return len(event)
}

// arrive moves the position to the limit, all sources being empty up to there,
// and lets go of the channels that have nothing beyond it. A stream of one
// channel has no limit: it arrives at the head, and keeps its source.
func (s *Stream) arrive(limit uint64) {
	if s.alone {
		limit = s.position.Load()
		for _, src := range s.sources {
			limit = max(limit, src.head)
		}
	}
	s.position.Store(limit)
	if s.alone && len(s.sources) <= 1 {
		return
	}
	for c, src := range s.sources {
		if src.head <= limit {
			delete(s.sources, c)
		}
	}
}

// tell puts a gap into b. Its id is the stream's position: in a stream of several
// channels, others may have messages between that and where this one goes on.
func (s *Stream) tell(b *Batch, name schemas.Channel, lost *gap) {
	b.add(s.gapEvent(schemas.Pattern(name), s.at(lost.after), lost.resumes, lost.reason))
}

func (s *Stream) gapEvent(name schemas.Pattern, after string, resumes uint64, reason gapReason) []byte {
	data := gapData{Channel: name, After: after, Reason: reason}
	if resumes > 0 {
		id := s.at(resumes)
		data.ResumesAt = &id
	}
	s.broker.stats.gaps[reason].Add(1)
	s.report()
	return control{event: eventGap, id: s.here(), data: data}.encode(s.format)
}

// merge is a heap of sources that are not empty, the oldest frame first.
type merge []*source

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].peek() < m[j].peek() }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// Push implements [heap.Interface].
func (m *merge) Push(x any) { *m = append(*m, x.(*source)) }

// Pop implements [heap.Interface].
func (m *merge) Pop() any {
	last := len(*m) - 1
	src := (*m)[last]
	*m = (*m)[:last]
	return src
}
