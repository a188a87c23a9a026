package broker

import (
	"encoding/json"
	"time"

	"github.com/sluicehq/sluice/broker/audience"
	"github.com/sluicehq/sluice/schemas"
)

// follow has the stream told who reads the channels. It must be called before anybody else can
// find the stream, and give it a seat.
func (s *Stream) follow(channels []schemas.Channel) {
	if to := s.broker.opts.Audience; to != nil && len(channels) > 0 {
		s.seatIn(to, channels)
	}
}

// attend reports the stream to the audience if somebody wants to know that it reads. If not,
// as for most streams, the next round finds it among the open ones.
func (s *Stream) attend() {
	to := s.broker.opts.Audience
	if to == nil || to.Round() == 0 {
		return
	}
	if seat := s.seatIn(to, nil); seat != nil {
		seat.Report(time.Now().Add(-s.Age()))
	}
}

// seatIn returns the stream's seat, made with the first call; nil if the stream is closed.
func (s *Stream) seatIn(to audience.Audience, followed []schemas.Channel) *audience.Seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seat := s.seat(); seat != nil || s.left {
		return seat
	}
	seat := audience.New(to, s.owner.subject(), s.filter.named(), followed, func() { s.wake() })
	s.rare.Store(&rare{s.merging(), seat})
	return seat
}

// leaveSeat gives up the stream's place in the audience, for good.
func (s *Stream) leaveSeat() {
	s.mu.Lock()
	s.left = true
	s.mu.Unlock()
	if seat := s.seat(); seat != nil {
		seat.Close()
	}
}

// ReportStreams has every open stream report itself to [Options.Audience], in a new round.
func (b *Broker) ReportStreams() {
	for _, s := range b.streams.open() {
		s.attend()
	}
}

// tellAudience puts what there is to tell about followed channels into b: at most limit bytes
// but for the last event. Followers share what they have yet to be told, and a client that does
// not take its batch has the rest of it alone.
func (s *Stream) tellAudience(b *Batch, limit int) {
	seat := s.seat()
	if seat == nil {
		return
	}
	for limit > 0 {
		data := seat.Next()
		if data == nil {
			return
		}
		at := s.here()
		s.report()
		event := control{event: string(schemas.TopicPresence), id: at, data: json.RawMessage(data)}.encode(s.format)
		b.add(event)
		limit -= len(event)
	}
}
