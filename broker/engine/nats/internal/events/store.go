// Package events keeps the outbox of a service in the stream of one shard, and decides which
// node takes events out.
//
// The end of a run is stored by whoever stores the run message, in the same atomic batch and
// one position before it. All other records are this package's own:
//
//	e.<random>   an event: [outbox.Event.Encode]
//	d.<position> who is through with the event at that position, one name a line
//	o.<channel>  the channel was last said to be occupied; empty: vacated
//	lease        which node leads, see [Store.Lead]
//
// Everything is read from the stream's leader, one by one: there are few events, and another
// replica might still have what was settled.
package events

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// wait bounds what waits for an answer: a publish is sent once.
const wait = 5 * time.Second

// keep is how long an event stays that nobody takes out. It is longer than anybody tries to
// send it, so that whoever gives it up still finds it.
const keep = 24 * time.Hour

// Store is an [outbox.Store]. It must not be copied.
type Store struct {
	// Static after construction.
	stream *jetstream.Stream
	prefix string // of subjects
	epoch  uint64
	node   string        // names this node in the lease
	news   chan struct{} // capacity 1

	mu    sync.Mutex
	marks map[uint64][]string // guarded by mu; who is through with which event, as far as this node has read or noted it
}

var _ outbox.Store = (*Store)(nil)

// Subjects returns the subjects that the stream must keep for a prefix, which ends in a dot.
func Subjects(prefix string) string { return prefix + ">" }

// New returns the store under a prefix of subjects. epoch is that of the stream.
func New(stream *jetstream.Stream, prefix string, epoch uint64) *Store {
	return &Store{
		stream: stream, prefix: prefix, epoch: epoch, node: strconv.FormatUint(rand.Uint64(), 36),
		news: make(chan struct{}, 1), marks: make(map[uint64][]string),
	}
}

// Poke says that there may be news: the stream has stored something under [Store.Filter].
func (s *Store) Poke() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Filter matches the subjects of events.
func (s *Store) Filter() string { return s.prefix + "e.*" }

// News implements [outbox.Store].
func (s *Store) News() <-chan struct{} { return s.news }

// Message returns the message that stores an event.
func (s *Store) Message(e *outbox.Event) *natsio.Msg {
	return jetstream.NewMsg(s.prefix+"e."+strconv.FormatUint(rand.Uint64(), 36), e.Encode(), keep)
}

// Read implements [outbox.Store].
func (s *Store) Read(ctx context.Context, after uint64, limit int) (events []outbox.Event, err error) {
	if after == 0 {
		if err := s.loadMarks(ctx); err != nil {
			return nil, err
		}
	}
	for len(events) < limit {
		m, found, err := s.stream.After(ctx, s.Filter(), after)
		if err != nil || !found {
			return events, err
		}
		after = m.Sequence
		e, err := outbox.Decode(m.Data)
		if err != nil {
			continue // whatever it is, the others must not wait behind it; it expires
		}
		e.ID = schemas.ID{Epoch: s.epoch, Seq: m.Sequence}
		if e.Run != nil {
			e.Message = schemas.ID{Epoch: s.epoch, Seq: m.Sequence + 1}
		}
		s.mu.Lock()
		e.Through = slices.Clone(s.marks[m.Sequence])
		s.mu.Unlock()
		events = append(events, e)
	}
	return events, nil
}

// loadMarks reads who is through with what.
func (s *Store) loadMarks(ctx context.Context) error {
	marks := make(map[uint64][]string)
	for after := uint64(0); ; {
		m, found, err := s.stream.After(ctx, s.prefix+"d.*", after)
		if err != nil {
			return err
		}
		if !found {
			break
		}
		after = m.Sequence
		if position, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, s.prefix+"d."), 10, 64); err == nil {
			marks[position] = strings.Fields(string(m.Data))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks = marks
	return nil
}

// Settle implements [outbox.Store].
func (s *Store) Settle(ctx context.Context, outcomes []outbox.Outcome) error {
	over := make(map[uint64]bool)
	for _, o := range outcomes {
		over[o.Position] = over[o.Position] || o.By == ""
	}
	for _, o := range outcomes {
		var err error
		switch {
		case o.By == "":
			err = s.remove(ctx, o.Position)
		case !over[o.Position]:
			err = s.mark(ctx, o.Position, o.By)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove removes an event and its mark.
func (s *Store) remove(ctx context.Context, position uint64) error {
	if err := s.stream.Delete(ctx, position); err != nil {
		return err
	}
	s.mu.Lock()
	_, marked := s.marks[position]
	delete(s.marks, position)
	s.mu.Unlock()
	if !marked {
		return nil
	}
	return s.stream.Purge(ctx, s.markOf(position), 0)
}

func (s *Store) markOf(position uint64) string {
	return s.prefix + "d." + strconv.FormatUint(position, 10)
}

// mark notes that somebody is through with an event.
func (s *Store) mark(ctx context.Context, position uint64, by string) error {
	s.mu.Lock()
	names := s.marks[position]
	if !slices.Contains(names, by) {
		names = append(slices.Clone(names), by)
	}
	s.marks[position] = names
	s.mu.Unlock()
	m := jetstream.NewMsg(s.markOf(position), []byte(strings.Join(names, "\n")), keep)
	jetstream.Replace(m)
	return s.publish(ctx, m)
}

func (s *Store) publish(ctx context.Context, messages ...*natsio.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_, err := s.stream.Publish(ctx, messages...)
	return err
}

// Occupied implements [outbox.Store].
func (s *Store) Occupied(ctx context.Context) (names []schemas.Channel, err error) {
	newest := make(map[schemas.Channel]bool)
	err = s.stream.Walk(ctx, s.prefix+"o.*", 0, func(m jetstream.Message) bool {
		text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(m.Subject, s.prefix+"o."))
		if err == nil {
			newest[schemas.Channel(text)] = len(m.Data) > 0
		}
		return true
	})
	for name, occupied := range newest {
		if occupied {
			names = append(names, name)
		}
	}
	return names, err
}

// Add implements [outbox.Store]. If a channel is said to be what it was last said to be,
// nothing is stored: an answer to an earlier try was lost.
func (s *Store) Add(ctx context.Context, e outbox.Event) error {
	var note *natsio.Msg
	subject := s.prefix + "o." + base64.RawURLEncoding.EncodeToString([]byte(e.Channel))
	switch e.Type {
	case outbox.ChannelOccupied:
		note = jetstream.NewMsg(subject, []byte(s.node), 0)
	case outbox.ChannelVacated:
		note = jetstream.NewMsg(subject, nil, time.Minute)
	default:
		return s.publish(ctx, s.Message(&e))
	}
	return jetstream.Retry(ctx, 0, jetstream.IsConflict, func(ctx context.Context) error {
		was, found, err := s.stream.Last(ctx, subject)
		if err != nil {
			return err
		}
		if occupied := found && len(was.Data) > 0; occupied == (e.Type == outbox.ChannelOccupied) {
			return nil
		}
		event := s.Message(&e)
		jetstream.ExpectLast(note, was.Sequence)
		jetstream.Replace(note)
		return s.publish(ctx, event, note)
	})
}
