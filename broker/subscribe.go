package broker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Subscription is what a new stream asks for.
type Subscription struct {
	// Channels must not be empty; at most [Options.MaxChannelsPerStream].
	Channels []Selector
	// LastEventID is the position to go on from, as the client sent it; "" for
	// none. What is not an id of this log counts as lost, and the client is told.
	LastEventID string
	// Replay is what to send first when there is no LastEventID.
	Replay Replay
	Format Format
	Owner  Owner
}

// Subscribe opens a stream. The caller must close it.
//
// Errors: [ErrTooManyStreams], [ErrTooManyInStream], [ErrUnavailable], [ErrDraining],
// [ErrClosed], and that of ctx, which bounds nothing but the call.
func (b *Broker) Subscribe(ctx context.Context, sub Subscription) (*Stream, error) {
	names := make([]string, len(sub.Channels))
	for i, sel := range sub.Channels {
		names[i] = string(sel.Channel)
	}
	if err := b.Fits(names); err != nil {
		return nil, err
	}
	if err := b.current(); err != nil {
		return nil, err
	}
	if b.shards != nil {
		return b.subscribeShards(ctx, sub)
	}
	s := b.newStream(sub)
	if err := b.roster.admit(s); err != nil {
		return nil, err
	}
	if err := b.receive(ctx, s, sub); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// receive makes s a reader of what it wants, and finds out where it starts.
func (b *Broker) receive(ctx context.Context, s *Stream, sub Subscription) error {
	// Its position is 0 now: until it is known where the stream starts, channels
	// hold everything for it.
	b.enter(s)
	var lost map[schemas.Pattern]uint64
	if b.kept {
		var err error
		if lost, err = b.fetch(ctx, s, sub); err != nil {
			return err
		}
	}
	channels, absent := b.present(s, lost)
	s.begin(channels, absent, sub)
	return nil
}

// maxPatterns is how many patterns one stream may follow: each is held against
// every channel when the stream begins.
const maxPatterns = 16

// Fits returns [ErrTooManyInStream] if a stream may not ask for that many
// channels and patterns. It looks at nothing else of them.
func (b *Broker) Fits(names []string) error {
	if len(names) > b.opts.MaxChannelsPerStream {
		return fmt.Errorf("%w: %d, at most %d are allowed", ErrTooManyInStream, len(names), b.opts.MaxChannelsPerStream)
	}
	patterns := 0
	for _, name := range names {
		if strings.HasSuffix(name, "*") {
			patterns++
		}
	}
	if patterns > maxPatterns {
		return fmt.Errorf("%w: %d patterns, at most %d are allowed", ErrTooManyInStream, patterns, maxPatterns)
	}
	return nil
}

func (b *Broker) newStream(sub Subscription) *Stream {
	now := time.Now()
	s := &Stream{
		broker: b,
		id:     b.roster.opened.Add(1),
		owner:  newOwner(sub.Owner),
		format: sub.Format,
		wants:  newWants(sub.Channels),
		opened: b.clock(now),
	}
	if !sub.Owner.ExpiresAt.IsZero() {
		s.endsAt = millisUp(sub.Owner.ExpiresAt)
	}
	s.outSince.Store(int64(b.clock(now)))
	_, exact := sub.Channels[0].Channel.Exact()
	s.alone = exact && len(sub.Channels) == 1
	for _, sel := range sub.Channels {
		s.passes = s.passes || !sel.Topics.All()
	}
	if age := b.opts.MaxStreamAge; age > 0 {
		// 80 to 100 % of it, so that streams opened together do not end together.
		end := millisUp(now.Add(age - jitter(age/5)))
		if s.endsAt == 0 || end < s.endsAt {
			s.endsAt, s.ages = end, true
		}
	}
	return s
}

// millisUp returns t in milliseconds since the Unix epoch, not before t.
func millisUp(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// enter makes s a reader of what it wants.
func (b *Broker) enter(s *Stream) {
	for _, sel := range s.wants.selectors {
		if name, exact := sel.Channel.Exact(); exact {
			b.registry.attach(s, name)
		} else {
			b.registry.follow(s, sel.Channel)
		}
	}
}

// absence is something that a stream asked for of which channels may be gone, with
// messages up to the position lost.
type absence struct {
	pattern schemas.Pattern
	lost    uint64
}

// present returns the channels that s reads and that exist, and what may be gone.
// lost is what the engine says of patterns.
func (b *Broker) present(s *Stream, lost map[schemas.Pattern]uint64) (found []*channel, absent []absence) {
	seen := make(map[*channel]bool, 1)
	add := func(c *channel) {
		if !seen[c] {
			seen[c] = true
			found = append(found, c)
		}
	}
	for _, sel := range s.wants.selectors {
		name, exact := sel.Channel.Exact()
		if !exact {
			for c := range b.registry.matching(sel.Channel) {
				add(c)
			}
			absent = append(absent, absence{sel.Channel, max(lost[sel.Channel], b.registry.lostOf(sel.Channel))})
		} else if c := b.registry.get(name); c != nil {
			add(c)
		} else {
			absent = append(absent, absence{sel.Channel, b.registry.lostOfAbsent(name)})
		}
	}
	return found, absent
}

// leave undoes Subscribe.
func (b *Broker) leave(s *Stream) {
	if !b.roster.dismiss(s) {
		return
	}
	if c := s.joint(); c != nil {
		c.leave()
		return
	}
	b.exit(s)
}

// exit makes s a reader of nothing.
func (b *Broker) exit(s *Stream) {
	defer func() {
		for _, f := range s.follows {
			b.interest.leave(f)
		}
	}()
	for _, sel := range s.wants.selectors {
		if name, exact := sel.Channel.Exact(); !exact {
			b.registry.unfollow(s, sel.Channel)
		} else if c := b.registry.detach(s, name); c != nil {
			c.mu.Lock()
			if !c.readers.told() {
				c.log.floor = nobody // there is none left to measure it
			}
			b.tidy(c, time.Now()) // what was held for s
			c.giveRoom()
			c.mu.Unlock()
			b.forget(c)
		}
	}
}

// begin finds out where the stream starts and what it is told first.
func (s *Stream) begin(channels []*channel, absent []absence, sub Subscription) {
	now := time.Now()
	// After s has become a reader: of every message above, it is told.
	head := s.broker.seq.last()
	in := &intro{open: openData{Channels: s.wants.patterns(), ExpiresAt: timePtr(sub.Owner.ExpiresAt)}}
	s.intro = in
	after, known := s.broker.position(sub.LastEventID)
	switch {
	case sub.LastEventID == "":
		head = s.choose(channels, sub.Replay, now, head)
		in.runs = channels
	case !known || after > head:
		head = s.choose(channels, Replay{mode: replayAll}, now, head)
		in.runs = channels
		s.restarted(sub.LastEventID)
	default:
		head = after
		in.open.Resumed = true
		s.resume(channels, absent, now, head)
	}
	s.start.Store(head)
	s.position.Store(head)
	s.reported = head
}

// resume makes sources of the channels that have or have lost something after
// the position.
func (s *Stream) resume(channels []*channel, absent []absence, now time.Time, position uint64) {
	for _, c := range channels {
		c.mu.Lock()
		s.broker.tidy(c, now)
		s.broker.herald.greet(c)
		news := c.log.last > position || c.log.lost > position
		c.mu.Unlock()
		if news {
			s.read(&source{channel: c, topics: s.wants.topics(c.name), cold: c.cold.Load()})
		}
	}
	for _, a := range absent {
		if a.lost > position {
			s.intro.gaps = append(s.intro.gaps, loss{channel: a.pattern, reason: gapExpired})
		}
	}
}

// restarted tells, for everything that was asked for, that what lies between
// the client's id and this log is lost.
func (s *Stream) restarted(lastEventID string) {
	const longest = 64 // of what is not an id
	if _, err := schemas.ParsePosition(lastEventID); err != nil && len(lastEventID) > longest {
		lastEventID = lastEventID[:longest]
	}
	for _, sel := range s.wants.selectors {
		s.intro.gaps = append(s.intro.gaps, loss{channel: sel.Channel, asked: lastEventID, resumes: s.firstHeld(sel), reason: gapRestarted})
	}
}

// firstHeld returns the oldest position that the chosen sources hold of what
// sel asks for, 0 for none.
func (s *Stream) firstHeld(sel Selector) (first uint64) {
	for c, src := range s.sources {
		if !sel.Channel.Matches(c.name) {
			continue
		}
		c.mu.Lock()
		seq, ok := c.log.firstOf(sel.Topics, src.pick.from)
		c.mu.Unlock()
		if ok && (first == 0 || seq < first) {
			first = seq
		}
	}
	return first
}

// choose makes sources of what the replay asks for and returns the position
// just before the first message of it, head if there is none.
func (s *Stream) choose(channels []*channel, replay Replay, now time.Time, head uint64) uint64 {
	if replay.mode == replayNone {
		return head
	}
	for _, c := range channels {
		src := &source{channel: c, topics: s.wants.topics(c.name), cold: c.cold.Load()}
		c.mu.Lock()
		s.broker.tidy(c, now)
		first, some := replay.pick(&c.log, src)
		if some {
			head = min(head, first-1)
		}
		s.broker.herald.greet(c)
		c.mu.Unlock()
		s.read(src)
	}
	return head
}
