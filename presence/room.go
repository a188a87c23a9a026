package presence

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// room is a channel that somebody reads or follows. The registry's mu guards all of it.
type room struct {
	channel schemas.Channel

	members       map[string]*member // by subject; who is there, or was there a moment ago
	anonymous     int                // streams without a subject
	anonymousHere int                // those of this node
	absent        int                // streams without a subject that went within the grace
	returned      int                // of their departures, how many were made good by others that came

	occupied bool      // it has readers, or had some within the grace
	cameAt   time.Time // when it became occupied
	wentAt   time.Time // when the last reader went

	followers map[*Follower]struct{}
	fresh     []*Follower         // followers that have yet to be told the state
	joined    map[string]struct{} // since the last event
	left      map[string]struct{}
	named     bool // followers know all names
	count     int  // that followers know
	flushedAt time.Time
	flushing  bool // an event is scheduled

	listed *listed // nil: there were never too many subjects to list
}

// member is a subject in a channel.
type member struct {
	streams int // on all nodes; 0: it is away, and leaves unless it comes back within the grace
	here    int // on this node
	since   time.Time
	wentAt  time.Time // when it was last seen
}

// size returns how many readers the room has.
func (room *room) size() int { return len(room.members) + room.anonymous + room.absent }

// room returns a channel's room and makes it if necessary. The caller holds mu.
func (r *Registry) room(name schemas.Channel) *room {
	found := r.rooms[name]
	if found == nil {
		found = &room{channel: name, members: make(map[string]*member)}
		r.rooms[name] = found
	}
	return found
}

// dropIfUnused forgets a room that has neither readers nor followers. The caller holds mu.
func (r *Registry) dropIfUnused(room *room) {
	if room.size() == 0 && len(room.followers) == 0 && r.rooms[room.channel] == room {
		delete(r.rooms, room.channel)
	}
}

// add adds n streams of a subject, which on that node is there since the given time. When
// its last stream has gone, it leaves after the grace. The caller holds mu.
func (r *Registry) add(room *room, subject string, n int, since, now time.Time, grace time.Duration) {
	if n == 0 {
		return
	}
	if n < 0 {
		room.wentAt = now
	}
	if subject == "" {
		r.addAnonymous(room, n, now, grace)
	} else {
		r.addNamed(room, subject, n, since, now, grace)
	}
	r.changed(room, now)
}

func (r *Registry) addNamed(room *room, subject string, n int, since, now time.Time, grace time.Duration) {
	m := room.members[subject]
	if m == nil && n < 0 {
		return
	}
	if m == nil {
		m = &member{since: since}
		room.members[subject] = m
		r.names++
		room.noteJoined(subject)
	}
	if !since.IsZero() && since.Before(m.since) {
		m.since = since
	}
	if m.streams = max(m.streams+n, 0); m.streams > 0 {
		return
	}
	m.wentAt = now
	leave := func(now time.Time) {
		if room.members[subject] != m || m.streams > 0 || m.wentAt.Add(grace).After(now) {
			return // it came back, and may have gone again
		}
		delete(room.members, subject)
		r.names--
		room.noteLeft(subject)
		r.changed(room, now)
	}
	if grace == 0 {
		leave(now)
		return
	}
	r.at(now.Add(grace), leave)
}

// addAnonymous is add for streams without a subject. One that comes within the grace of one
// that went is taken for that one.
func (r *Registry) addAnonymous(room *room, n int, now time.Time, grace time.Duration) {
	for ; n > 0; n-- {
		room.anonymous++
		if room.absent > 0 {
			room.absent--
			room.returned++
		}
	}
	for ; n < 0 && room.anonymous > 0; n++ {
		room.anonymous--
		if grace == 0 {
			continue
		}
		room.absent++
		r.at(now.Add(grace), func(now time.Time) {
			if room.returned > 0 {
				room.returned--
				return
			}
			room.absent--
			r.changed(room, now)
		})
	}
}

// noteJoined and noteLeft keep what the followers have to be told.
func (room *room) noteJoined(subject string) {
	if len(room.followers) == 0 {
		return
	}
	if _, ok := room.left[subject]; ok {
		delete(room.left, subject) // nobody was told that it had left
		return
	}
	if room.joined == nil {
		room.joined = make(map[string]struct{})
	}
	room.joined[subject] = struct{}{}
}

func (room *room) noteLeft(subject string) {
	if len(room.followers) == 0 {
		return
	}
	if _, ok := room.joined[subject]; ok {
		delete(room.joined, subject)
		return
	}
	if room.left == nil {
		room.left = make(map[string]struct{})
	}
	room.left[subject] = struct{}{}
}

// changed has followers and watchers told what there is to tell. The caller holds mu.
func (r *Registry) changed(room *room, now time.Time) {
	r.noteOccupancy(room, now)
	if len(room.followers) > 0 {
		r.scheduleFlush(room, now)
	}
	r.dropIfUnused(room)
}
