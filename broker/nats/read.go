package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	natsio "github.com/nats-io/nats.go"
)

const (
	readMessages = 500     // at most in one answer
	readBytes    = 1 << 20 // and about so many bytes
)

// errTooMany says that more subjects match than a server tells of at once.
var errTooMany = errors.New("nats: too many subjects match")

// query is a direct get; it is answered by any replica.
type query struct {
	Seq      uint64   `json:"seq,omitempty"`
	Next     string   `json:"next_by_subj,omitempty"`
	Lasts    []string `json:"multi_last,omitempty"`
	Batch    int      `json:"batch"`
	MaxBytes int      `json:"max_bytes"`
}

// page is one answer.
type page struct {
	messages []stored
	more     bool
	upTo     uint64 // how far the replica was, for queries for the last ones
}

// read makes a query.
func (j *journal) read(ctx context.Context, q query) (page, error) {
	q.Batch, q.MaxBytes = readMessages, readBytes
	body, err := json.Marshal(q)
	if err != nil {
		return page{}, err
	}
	return again(ctx, func(ctx context.Context) (page, error) { return j.readOnce(ctx, body) })
}

func (j *journal) readOnce(ctx context.Context, body []byte) (page, error) {
	w := j.begin(readMessages + 2)
	defer w.end()
	if err := w.send(&natsio.Msg{Subject: "$JS.API.DIRECT.GET." + j.stream, Data: body}); err != nil {
		return page{}, err
	}
	var p page
	for {
		m, err := w.wait(ctx)
		if err != nil {
			return page{}, err
		}
		switch status := m.Header.Get("Status"); {
		case len(m.Data) > 0 || status == "":
			s, err := storedOf(m)
			if err != nil {
				return page{}, err
			}
			p.messages = append(p.messages, s)
		case status == "204":
			p.more, p.upTo = headerUint(m, headerPending) > 0, headerUint(m, headerUpTo)
			return p, nil
		case status == "404":
			return p, nil
		case status == "413":
			return page{}, errTooMany
		default:
			return page{}, fmt.Errorf("nats: direct get: %s %s", status, m.Header.Get("Description"))
		}
	}
}

// walk calls visit for what is stored under filter from a position on, in order,
// until visit returns false or, as far as one replica has it, the end.
func (j *journal) walk(ctx context.Context, filter string, from uint64, visit func(stored) bool) error {
	for {
		p, err := j.read(ctx, query{Seq: max(from, 1), Next: filter})
		if err != nil {
			return err
		}
		for _, s := range p.messages {
			if from = s.seq + 1; !visit(s) {
				return nil
			}
		}
		if !p.more || len(p.messages) == 0 {
			return nil
		}
	}
}

// fetch is walk up to a position that the leader told of, whatever a replica lacks. If
// what was there is there no longer, it ends before.
func (j *journal) fetch(ctx context.Context, filter string, from, to uint64, visit func(stored)) error {
	var pause backoff
	for from <= to {
		begun := from
		err := j.walk(ctx, filter, from, func(s stored) bool {
			from = s.seq + 1
			visit(s)
			return from <= to
		})
		if err != nil {
			return err
		}
		if from > to {
			return nil
		}
		newest, found, err := j.last(ctx, filter)
		if err != nil {
			return err
		}
		if !found || newest.seq < from {
			return nil
		}
		if begun == from {
			if err := pause.wait(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// lasts returns the newest messages of all subjects that filters match, from a
// position on, and the position as of which it does: at least the one that is given.
// The subject always must have a message. Errors: errTooMany and others.
func (j *journal) lasts(ctx context.Context, filters []string, always string, from, asOf uint64) ([]stored, uint64, error) {
	var found []stored
	var pause backoff
	q := query{Lasts: append(filters[:len(filters):len(filters)], always), Seq: from}
	for first := uint64(0); ; {
		p, err := j.read(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		if p.upTo < max(asOf, 1) {
			if err := pause.wait(ctx); err != nil {
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
		// What is published meanwhile is found on a later page.
		q.Seq = p.messages[len(p.messages)-1].seq + 1
	}
}

// backoff waits a little, and each time longer, up to a quarter of a second.
type backoff struct{ last time.Duration }

func (b *backoff) wait(ctx context.Context) error {
	b.last = min(max(2*b.last, 2*time.Millisecond), 250*time.Millisecond)
	timer := time.NewTimer(b.last)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
