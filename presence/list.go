package presence

import (
	"cmp"
	"context"
	"slices"

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

// Presence returns who reads a channel, on all nodes. Errors: that of ctx.
func (r *Registry) Presence(ctx context.Context, channel schemas.Channel) (Presence, error) {
	if err := r.await(ctx); err != nil {
		return Presence{}, err
	}
	p := Presence{Subjects: []Subject{}}
	r.mu.Lock()
	if room := r.rooms[channel]; room != nil {
		p.Count, p.Subjects = room.size(), room.subjects()
	}
	r.mu.Unlock()
	slices.SortFunc(p.Subjects, func(a, b Subject) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Sub, b.Sub))
	})
	if p.More = len(p.Subjects) > MaxNamed; p.More {
		p.Subjects = p.Subjects[:MaxNamed]
	}
	return p, nil
}
