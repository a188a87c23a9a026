// Package audience is how a broker tells who reads which channels, and how streams are
// told of it. It knows neither channels' messages nor what becomes of the news: see
// package presence.
package audience

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Audience hears of the streams that name a channel. Its methods are called while streams
// begin and end: they neither wait nor call back. They are safe for concurrent use.
type Audience interface {
	// Round is the number of the present round. A round begins when somebody wants to
	// know who reads. 0: nobody does, and the broker reports nothing. At the beginning of
	// a round, the broker is asked for every open stream, see [Seat.Report].
	Round() uint64

	// Came and Went say that a stream of the subject, "" for none, has read the channel
	// since a time, and that it does so no longer. What belongs to another round than the
	// present one is ignored.
	Came(round uint64, channel schemas.Channel, subject string, since time.Time)
	Went(round uint64, channel schemas.Channel, subject string)

	// Follow begins to tell a stream who reads the channel. It calls wake when there may be
	// something, perhaps once more after Close.
	Follow(channel schemas.Channel, wake func()) Following
}

// Following is what one stream is told of one channel. It is safe for concurrent use.
type Following interface {
	// Next returns the data of the next event as JSON, nil if there is none now. Other
	// streams share it: it must not be modified.
	Next() []byte
	Close()
}

// Seat is the place of one stream in an audience.
type Seat struct {
	// Static after construction.
	to       Audience
	subject  string
	channels []schemas.Channel // that it reads by name
	follows  []Following

	mu    sync.Mutex
	round uint64 // guarded by mu; in which it was reported; 0: in none
	gone  bool   // guarded by mu
}

// New returns the seat of a stream that reads the channels and is told of those that it
// follows. The caller closes it.
func New(to Audience, subject string, channels, followed []schemas.Channel, wake func()) *Seat {
	s := &Seat{to: to, subject: subject, channels: channels}
	for _, name := range followed {
		s.follows = append(s.follows, to.Follow(name, wake))
	}
	return s
}

// Report reports the stream, which began at a time, once in each round.
func (s *Seat) Report(began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	round := s.to.Round()
	if round == 0 || round == s.round || s.gone {
		return
	}
	s.round = round
	for _, name := range s.channels {
		s.to.Came(round, name, s.subject, began)
	}
}

// Next returns the data of the next event about a followed channel, nil if there is none.
func (s *Seat) Next() []byte {
	for _, f := range s.follows {
		if data := f.Next(); data != nil {
			return data
		}
	}
	return nil
}

// Close gives the seat up.
func (s *Seat) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	s.gone = true
	for _, f := range s.follows {
		f.Close()
	}
	if s.round == 0 {
		return
	}
	for _, name := range s.channels {
		s.to.Went(s.round, name, s.subject)
	}
}
