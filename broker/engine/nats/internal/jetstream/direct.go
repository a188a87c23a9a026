package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	natsio "github.com/nats-io/nats.go"
	upstream "github.com/nats-io/nats.go/jetstream"
)

const (
	pageMessages = 500     // at most in one answer
	pageBytes    = 1 << 20 // roughly, in one answer
)

// query is a direct get. Any replica answers it.
type query struct {
	From     uint64   `json:"seq,omitempty"`
	Filter   string   `json:"next_by_subj,omitempty"`
	LastOf   []string `json:"multi_last,omitempty"`
	Messages int      `json:"batch"`
	Bytes    int      `json:"max_bytes"`
}

// page is the answer to a query.
type page struct {
	messages []Message
	more     bool
	upTo     uint64 // how far the replica had got; only for LastOf
}

// get makes a query until it is answered. A page is as long as an answer may be,
// unless q says less.
func (s *Stream) get(ctx context.Context, q query) (p page, err error) {
	if q.Messages == 0 {
		q.Messages = pageMessages
	}
	q.Bytes = pageBytes
	body, err := json.Marshal(q)
	if err != nil {
		return page{}, err
	}
	err = Retry(ctx, answerWait, unanswered, func(ctx context.Context) error {
		p, err = s.getOnce(ctx, body)
		return err
	})
	return p, err
}

func (s *Stream) getOnce(ctx context.Context, body []byte) (p page, err error) {
	call := s.client.NewCall(pageMessages + 2)
	defer call.Close()
	if err := call.Send(&natsio.Msg{Subject: "$JS.API.DIRECT.GET." + s.name, Data: body}); err != nil {
		return page{}, err
	}
	for {
		m, err := call.wait(ctx)
		if err != nil {
			return page{}, err
		}
		switch status := m.Header.Get(headerStatus); {
		case len(m.Data) > 0 || status == "":
			got, err := messageOf(m)
			if err != nil {
				return page{}, err
			}
			p.messages = append(p.messages, got)
		case status == "204": // the end of the page
			p.more, p.upTo = headerUint(m, headerPending) > 0, headerUint(m, headerUpTo)
			return p, nil
		case status == "404":
			return p, nil
		case status == "413":
			return page{}, ErrTooManySubjects
		default:
			return page{}, fmt.Errorf("%w: direct get: %s %s", ErrBadAnswer, status, m.Header.Get(headerDescription))
		}
	}
}

// messageOf reads the answer to a direct get.
func messageOf(m *natsio.Msg) (Message, error) {
	seq, err := strconv.ParseUint(m.Header.Get(upstream.SequenceHeader), 10, 64)
	if err != nil {
		return Message{}, fmt.Errorf("%w: a message without its position: %w", ErrBadAnswer, err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerTime))
	if err != nil {
		return Message{}, fmt.Errorf("%w: a message without its time: %w", ErrBadAnswer, err)
	}
	return Message{Subject: m.Header.Get(upstream.SubjectHeader), Sequence: seq, Header: m.Header, Data: m.Data, Time: at}, nil
}

// Walk calls visit for the messages that filter matches, in order from a position on,
// until visit returns false or the replicas have no more. Each page may come from
// another replica.
func (s *Stream) Walk(ctx context.Context, filter string, from uint64, visit func(Message) bool) error {
	for {
		p, err := s.get(ctx, query{From: max(from, 1), Filter: filter})
		if err != nil {
			return err
		}
		for _, m := range p.messages {
			if from = m.Sequence + 1; !visit(m) {
				return nil
			}
		}
		if !p.more || len(p.messages) == 0 {
			return nil
		}
	}
}

// WalkTo is [Stream.Walk] up to a position that the leader is known to have. It waits
// for replicas that lag behind. It ends earlier if the stream no longer has the
// messages up to there.
func (s *Stream) WalkTo(ctx context.Context, filter string, from, to uint64, visit func(Message)) error {
	return s.walkTo(ctx, filter, from, to, func(m Message) bool {
		visit(m)
		return m.Sequence < to
	})
}

// WalkPast is WalkTo, but goes on to the newest message that the replica has.
func (s *Stream) WalkPast(ctx context.Context, filter string, from, to uint64, visit func(Message)) error {
	return s.walkTo(ctx, filter, from, to, func(m Message) bool {
		visit(m)
		return true
	})
}

func (s *Stream) walkTo(ctx context.Context, filter string, from, to uint64, visit func(Message) bool) error {
	var pause Backoff
	for from <= to {
		before := from
		err := s.Walk(ctx, filter, from, func(m Message) bool {
			from = m.Sequence + 1
			return visit(m)
		})
		if err != nil || from > to {
			return err
		}
		newest, found, err := s.Last(ctx, filter)
		if err != nil || !found || newest.Sequence < from {
			return err
		}
		if from == before {
			if err := pause.Wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Next returns the first message that filter matches from a position on, as far as one
// replica has it, and whether there is one.
func (s *Stream) Next(ctx context.Context, filter string, from uint64) (Message, bool, error) {
	p, err := s.get(ctx, query{From: max(from, 1), Filter: filter, Messages: 1})
	if err != nil || len(p.messages) == 0 {
		return Message{}, false, err
	}
	return p.messages[0], true, nil
}

// LastPerSubject returns the newest message of every subject that filters match, from a
// position on. It also returns as of which position they are the newest: asOf or a
// later one. A server answers only if something matches, so present must be a subject
// that always has a message. Errors: [ErrTooManySubjects] and others.
func (s *Stream) LastPerSubject(ctx context.Context, filters []string, present string, from, asOf uint64) ([]Message, uint64, error) {
	var found []Message
	var pause Backoff
	q := query{LastOf: append(filters[:len(filters):len(filters)], present), From: from}
	for first := uint64(0); ; {
		p, err := s.get(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		if p.upTo < max(asOf, 1) { // the replica lags behind
			if err := pause.Wait(ctx); err != nil {
				return nil, 0, err
			}
			continue
		}
		if first == 0 {
			first = p.upTo
		}
		found = append(found, p.messages...)
		if !p.more || len(p.messages) == 0 {
			return found, first, nil
		}
		// A subject that gets a message meanwhile is found on a later page.
		q.From = p.messages[len(p.messages)-1].Sequence + 1
	}
}
