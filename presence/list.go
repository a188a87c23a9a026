package presence

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// MaxNamed is how many subjects a list has at most. A channel that has more is told to its
// followers as a number.
const MaxNamed = 1000

// Presence is who reads a channel.
type Presence struct {
	Count    int       `json:"count"`    // subjects, and streams without one
	Subjects []Subject `json:"subjects"` // at most MaxNamed, who has been there the longest first
	More     bool      `json:"more"`     // there are more subjects
}

// Subject is a subject that reads a channel.
type Subject struct {
	Sub     string       `json:"sub"`
	Streams int          `json:"streams"` // 0: the last one has ended within the grace
	Since   schemas.Time `json:"since"`   // when its first stream came, as long as it was never away for longer than the grace
}

// Presence returns who reads a channel, on all nodes. If More, that may be as old as [Gather].
// Callers share the list. Errors: that of ctx.
func (r *Registry) Presence(ctx context.Context, channel schemas.Channel) (Presence, error) {
	if err := r.await(ctx); err != nil {
		return Presence{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if room := r.rooms[channel]; room != nil {
		return room.list(time.Now()), nil
	}
	return Presence{Subjects: []Subject{}}, nil
}

// listed is a list that leaves some out.
type listed struct {
	Presence
	at time.Time
}

// list returns who is there. Nobody comes or goes on this node while all subjects are gone
// through, so very many are not, whenever somebody asks.
func (room *room) list(now time.Time) Presence {
	if len(room.members) <= MaxNamed {
		return Presence{Count: room.size(), Subjects: room.longest()}
	}
	if room.listed == nil || now.Sub(room.listed.at) >= Gather {
		room.listed = &listed{Presence{Count: room.size(), Subjects: room.longest(), More: true}, now}
	}
	return room.listed.Presence
}

// longest returns the subjects who have been there the longest, in that order, at most [MaxNamed].
func (room *room) longest() []Subject {
	list := make([]Subject, 0, min(len(room.members), 2*MaxNamed))
	sort := func() {
		slices.SortFunc(list, before)
		list = list[:min(len(list), MaxNamed)]
	}
	full := false
	var last Subject // of those that are in the list, once that is full
	for name, m := range room.members {
		s := Subject{Sub: name, Streams: m.streams, Since: schemas.TimeOf(m.since)}
		if full && before(last, s) < 0 {
			continue
		}
		if list = append(list, s); len(list) == 2*MaxNamed {
			sort()
			full, last = true, list[MaxNamed-1]
		}
	}
	sort()
	return list
}

// before compares subjects by how long they have been there, and then by name.
func before(a, b Subject) int {
	return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Sub, b.Sub))
}
