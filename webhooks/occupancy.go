package webhooks

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

// unheardFor is how long a node that begins to watch waits before it takes silence about a
// channel for a lack of readers. By then it knows the readers of other nodes, and those that a
// restart cut off are back.
const unheardFor = 6 * time.Second

// oldNews is the age beyond which a change of readers gets the present time.
const oldNews = time.Minute

// Watch calls take with every channel that has readers on any node, and then with each change,
// until stop returns. A channel that has lost its readers is one that has had none for a
// while. take does not block.
type Watch func(take func(name schemas.Channel, occupied bool, since time.Time)) (stop func())

// tellOccupancy puts into the outbox which channels get readers and which lose them, until
// leading ends.
//
// Every node sees the changes, and the one that leads adds them. The outbox stores with each
// event what the channel was last said to be. So whoever leads next compares that with what
// there is: it adds what has changed in between, and repeats nothing.
func (src *source) tellOccupancy(leading context.Context) {
	s := src.sender
	for leading.Err() == nil {
		s.mu.Lock()
		changed, wanted := s.changed, slices.ContainsFunc(s.endpoints, func(e *endpoint) bool { return e.settings.wantsReaders() })
		s.mu.Unlock()
		if wanted {
			src.follow(leading, changed)
			continue
		}
		select {
		case <-leading.Done():
		case <-changed: // the file
		}
	}
}

// wantsReaders reports whether the endpoint is to be told of readers of any channel.
func (s *settings) wantsReaders() bool {
	return s.wantsType(outbox.ChannelOccupied) || s.wantsType(outbox.ChannelVacated)
}

// wantsReadersOf reports whether an endpoint is to be told of readers of a channel.
func (s *Sender) wantsReadersOf(name schemas.Channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.endpoints, func(e *endpoint) bool { return e.settings.wantsReaders() && e.settings.wantsChannel(name) })
}

// follow is tellOccupancy until the file changes.
func (src *source) follow(leading context.Context, changed <-chan struct{}) {
	said, ok := src.said(leading)
	if !ok {
		return
	}
	h := &heard{states: make(map[schemas.Channel]state), wake: make(chan struct{}, 1)}
	stop := src.sender.opts.Watch(func(name schemas.Channel, occupied bool, since time.Time) {
		if src.sender.wantsReadersOf(name) {
			h.put(name, state{occupied, since})
		}
	})
	defer stop()
	unheard := time.NewTimer(unheardFor)
	defer unheard.Stop()
	// What was heard: of channels that have readers, and of those that somebody has to be told of.
	occupied, news := make(map[schemas.Channel]bool), make(map[schemas.Channel]state)
	for ok {
		select {
		case <-leading.Done():
			return
		case <-changed:
			return
		case <-h.wake:
			h.take(occupied, news)
		case now := <-unheard.C:
			h.take(occupied, news)
			for name := range said {
				if _, told := news[name]; !told && !occupied[name] {
					news[name] = state{false, now}
				}
			}
		}
		if err := src.sayAll(leading, said, news); err != nil {
			src.failed(leading, err)
			said, ok = src.said(leading) // what failed may have been stored all the same
			h.poke()
		}
	}
}

// sayAll adds the events about news that others were not told yet. It takes what is dealt with
// out of news, and notes in said what was said.
func (src *source) sayAll(ctx context.Context, said map[schemas.Channel]bool, news map[schemas.Channel]state) error {
	for name, is := range news {
		if said[name] != is.occupied {
			if err := src.say(ctx, name, is); err != nil {
				return err
			}
		}
		delete(news, name)
		if delete(said, name); is.occupied {
			said[name] = true
		}
	}
	return nil
}

// said returns the channels that were last said to be occupied. It reports false if leading
// ends first.
func (src *source) said(leading context.Context) (map[schemas.Channel]bool, bool) {
	for leading.Err() == nil {
		names, err := src.box.Occupied(leading)
		if err != nil {
			src.failed(leading, err)
			continue
		}
		said := make(map[schemas.Channel]bool, len(names))
		for _, name := range names {
			said[name] = true
		}
		return said, true
	}
	return nil, false
}

// say adds an event about the readers of a channel. An event is given up by its age, so a change
// that is old, because nobody wanted to know of it before, gets the present time.
func (src *source) say(ctx context.Context, name schemas.Channel, is state) error {
	if now := time.Now(); now.Sub(is.since) > oldNews {
		is.since = now
	}
	e := outbox.Event{Type: outbox.ChannelVacated, Channel: name, At: schemas.TimeOf(is.since)}
	if is.occupied {
		e.Type = outbox.ChannelOccupied
	}
	return src.box.Add(ctx, e)
}

// state is whether a channel has readers, and since when.
type state struct {
	occupied bool
	since    time.Time
}

// heard is what was heard of channels and not yet taken: the newest state of each.
type heard struct {
	wake chan struct{} // capacity 1

	mu     sync.Mutex
	states map[schemas.Channel]state // guarded by mu
}

func (h *heard) put(name schemas.Channel, is state) {
	h.mu.Lock()
	h.states[name] = is
	h.mu.Unlock()
	h.poke()
}

func (h *heard) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take moves what was heard to news, and notes which channels have readers.
func (h *heard) take(occupied map[schemas.Channel]bool, news map[schemas.Channel]state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, is := range h.states {
		news[name] = is
		if delete(occupied, name); is.occupied {
			occupied[name] = true
		}
	}
	clear(h.states)
}
