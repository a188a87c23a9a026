package presence

import (
	"encoding/json"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker/audience"
	"github.com/sluicehq/sluice/schemas"
)

const (
	// maxPart is how many bytes of names one event has. Longer lists are several events.
	maxPart = 8 << 10
	// maxUntold is how many events may wait for a follower. One that is slower is told the
	// state anew.
	maxUntold = 64
)

// event is the data of an event about a channel.
type event struct {
	Channel schemas.Channel `json:"channel"`
	// State says that this is all there is: what was told before does not count any more.
	State  bool     `json:"state,omitempty"`
	Joined []string `json:"joined"`
	Left   []string `json:"left"`
	Count  int      `json:"count"`
	// Partial says that the next event belongs to this one: together they are the state, or
	// the changes.
	Partial bool `json:"partial,omitempty"`
	// More says that the channel has too many subjects to name them.
	More bool `json:"more,omitempty"`
}

// Follower is a stream that is told who reads a channel.
type Follower struct {
	// Static after construction.
	registry *Registry
	room     *room
	wake     func()

	some    atomic.Bool // there is something in untold
	untold  [][]byte    // guarded by the registry's mu
	isFresh bool        // guarded by the registry's mu; it is in room.fresh
	closed  bool        // guarded by the registry's mu
}

// Follow implements [audience.Audience].
func (r *Registry) Follow(channel schemas.Channel, wake func()) audience.Following {
	r.mu.Lock()
	defer r.mu.Unlock()
	room := r.room(channel)
	f := &Follower{registry: r, room: room, wake: wake}
	if room.followers == nil {
		room.followers = make(map[*Follower]struct{})
	}
	room.followers[f] = struct{}{}
	if r.followers++; r.followers == 1 {
		r.signal()
	}
	r.tellAnew(f, time.Now())
	return f
}

// tellAnew has f told the state. The caller holds mu.
func (r *Registry) tellAnew(f *Follower, now time.Time) {
	if !f.isFresh {
		f.isFresh = true
		f.room.fresh = append(f.room.fresh, f)
	}
	r.scheduleFlush(f.room, now)
}

// Next implements [audience.Following].
func (f *Follower) Next() []byte {
	if !f.some.Load() {
		return nil
	}
	f.registry.mu.Lock()
	defer f.registry.mu.Unlock()
	if len(f.untold) == 0 {
		f.some.Store(false)
		return nil
	}
	data := f.untold[0]
	f.untold = f.untold[1:]
	if len(f.untold) == 0 {
		f.untold = nil
		f.some.Store(false)
	}
	return data
}

// Close implements [audience.Following].
func (f *Follower) Close() {
	r := f.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.closed {
		return
	}
	f.closed, f.untold = true, nil
	delete(f.room.followers, f)
	if len(f.room.followers) == 0 {
		f.room.joined, f.room.left, f.room.named = nil, nil, false
	}
	if r.followers--; r.followers == 0 {
		r.wanted = time.Now().Add(interest) // it may come back
		r.at(r.wanted, func(time.Time) { r.signal() })
	}
	r.dropIfUnused(f.room)
}

// scheduleFlush has the followers of a room told what has changed: soon, but not more often
// than once in [Gather]. The caller holds mu.
func (r *Registry) scheduleFlush(room *room, now time.Time) {
	if room.flushing || !r.isSettled {
		return
	}
	room.flushing = true
	at := now.Add(promptly)
	if next := room.flushedAt.Add(Gather); next.After(at) {
		at = next
	}
	r.at(at, func(now time.Time) {
		room.flushing, room.flushedAt = false, now
		r.flush(room)
	})
}

// flush tells the followers of a room what has changed, and the state to those that have
// just come. Names are told as long as there are not too many of them; when that ends,
// everybody is told the state anew. The caller holds mu.
func (r *Registry) flush(room *room) {
	fresh := room.fresh
	room.fresh = nil
	for _, f := range fresh {
		f.isFresh = false
	}
	if len(room.followers) == 0 {
		return
	}
	many := len(room.members) > MaxNamed
	anew := many == room.named // also at the beginning, when nothing is known
	changes := room.changes(many)
	room.named, room.count = !many, room.size()
	room.joined, room.left = nil, nil
	var state [][]byte
	if anew || len(fresh) > 0 {
		state = room.state(many)
	}
	if anew {
		for f := range room.followers {
			r.tell(f, state)
		}
		return
	}
	unaware := make(map[*Follower]bool, len(fresh))
	for _, f := range fresh {
		unaware[f] = true
		r.tell(f, state)
	}
	if len(changes) == 0 {
		return
	}
	for f := range room.followers {
		if !unaware[f] {
			r.tell(f, changes)
		}
	}
}

// tell lets f have the events. The caller holds mu.
func (r *Registry) tell(f *Follower, events [][]byte) {
	if f.closed {
		return
	}
	if len(f.untold)+len(events) > maxUntold && len(f.untold) > 0 {
		f.untold = nil
		f.some.Store(false)
		r.tellAnew(f, time.Now())
		return
	}
	f.untold = append(f.untold, events...)
	f.some.Store(true)
	r.wake = append(r.wake, f)
}

// changes returns the events about what has changed since the last ones, none if nothing
// has.
func (room *room) changes(many bool) [][]byte {
	if many {
		if room.size() == room.count {
			return nil
		}
		return encode(event{Channel: room.channel, Count: room.size(), More: true}, nil, nil)
	}
	if len(room.joined)+len(room.left) == 0 && room.size() == room.count {
		return nil
	}
	return encode(event{Channel: room.channel, Count: room.size()}, slices.Sorted(maps.Keys(room.joined)), slices.Sorted(maps.Keys(room.left)))
}

// state returns the events that tell everything.
func (room *room) state(many bool) [][]byte {
	e := event{Channel: room.channel, State: true, Count: room.size(), More: many}
	if many {
		return encode(e, nil, nil)
	}
	return encode(e, slices.Sorted(maps.Keys(room.members)), nil)
}

// encode returns the events with the names, of which each holds [maxPart] bytes or so. Of
// several, the first one is the state, and the others add to it.
func encode(e event, joined, left []string) (events [][]byte) {
	for first := true; first || len(joined)+len(left) > 0; first = false {
		room := maxPart
		e.Joined, joined, room = part(joined, room)
		e.Left, left, _ = part(left, room)
		e.Partial = len(joined)+len(left) > 0
		data, err := json.Marshal(e)
		if err != nil {
			panic("presence: event does not marshal: " + err.Error()) // only texts and numbers get here
		}
		events = append(events, data)
		e.State = false
	}
	return events
}

// part returns as many of the names as have room, the others, and how much room is left.
func part(names []string, room int) (some, others []string, left int) {
	n := 0
	for n < len(names) && room > 0 {
		room -= len(names[n]) + 3 // quotes and comma
		n++
	}
	return append([]string{}, names[:n]...), names[n:], room
}
