package presence

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Occupancy is a change of whether a channel has readers on any node.
type Occupancy struct {
	Channel  schemas.Channel
	Occupied bool      // false: it has had no reader for [Grace]
	At       time.Time // when that began: the first reader came, or the last one went
	Initial  bool      // it was so when the watch, or this node, began
}

// watcher is somebody who watches which channels are occupied.
type watcher struct {
	take    func(Occupancy)
	pending []Occupancy // guarded by the registry's mu
	stopped bool        // guarded by the registry's calls
}

// WatchOccupancy calls take for every channel that is occupied now, and then for each change,
// as this node sees it. The calls come from one goroutine, and those about one channel in
// their order. take must not block, nor stop the watch. stop returns after the last call.
func (r *Registry) WatchOccupancy(take func(Occupancy)) (stop func()) {
	w := &watcher{take: take}
	r.mu.Lock()
	r.watchers[w] = struct{}{}
	if r.isSettled {
		r.tellInitial(w)
	}
	r.mu.Unlock()
	r.signal()
	return func() {
		r.mu.Lock()
		delete(r.watchers, w)
		r.mu.Unlock()
		r.signal()
		r.calls.Lock()
		defer r.calls.Unlock()
		w.stopped = true
	}
}

// tellInitial tells w which channels are occupied. The caller holds mu.
func (r *Registry) tellInitial(w *watcher) {
	for _, room := range r.rooms {
		if room.size() > 0 {
			w.pending = append(w.pending, Occupancy{Channel: room.channel, Occupied: true, At: room.cameAt, Initial: true})
		}
	}
}

// noteOccupancy keeps what watchers have to be told of a room. The caller holds mu.
func (r *Registry) noteOccupancy(room *room, now time.Time) {
	occupied := room.size() > 0
	if occupied == room.occupied {
		return
	}
	if room.occupied = occupied; occupied {
		room.cameAt = now
	}
	if !r.isSettled || len(r.watchers) == 0 {
		return
	}
	at := now
	if !occupied {
		at = room.wentAt
	}
	for w := range r.watchers {
		w.pending = append(w.pending, Occupancy{Channel: room.channel, Occupied: occupied, At: at})
	}
	r.signal()
}

// told is what a watcher has to be told.
type told struct {
	to      *watcher
	changes []Occupancy
}

// takeTold returns what watchers have to be told now. The caller holds mu.
func (r *Registry) takeTold() (all []told) {
	for w := range r.watchers {
		if len(w.pending) > 0 {
			all = append(all, told{w, w.pending})
			w.pending = nil
		}
	}
	return all
}

// tellWatchers calls watchers. Only run does.
func (r *Registry) tellWatchers(all []told) {
	r.calls.Lock()
	defer r.calls.Unlock()
	for _, t := range all {
		for _, change := range t.changes {
			if !t.to.stopped {
				t.to.take(change)
			}
		}
	}
}
