package broker

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// Query asks for messages of a channel without a stream.
type Query struct {
	Topics schemas.TopicSet
	// After and Before bound the positions, both exclusive; "" means no bound. An After
	// from another epoch of the log counts as a loss, a Before from one as no bound.
	After, Before string
	Limit         int  // at most this many messages; at least 1
	Newest        bool // newest first
}

// History is one page of a channel's messages.
type History struct {
	Messages []json.RawMessage `json:"messages"`
	FirstID  *schemas.ID       `json:"first_id"` // the oldest message that the channel holds
	LastID   *schemas.ID       `json:"last_id"`  // the newest message that the channel holds
	// Gap says that something after Query.After is lost. If there are several pages,
	// only the one on which the lost messages would be says so.
	Gap bool `json:"gap"`
	// Next is the After of the next page, or its Before if newest first; nil if there
	// is none. If everything newer than a loss is lost, Next is past the loss, so that
	// whoever continues from there is not told again.
	Next *schemas.ID `json:"next"`
}

// AppendJSON appends h as JSON. Messages are copied as they are: encoding/json would
// refuse the whole page because of one message in an older log that is nested too
// deeply for it.
func (h *History) AppendJSON(b []byte) []byte {
	b = append(b, `{"messages":[`...)
	for i, m := range h.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m...)
	}
	b = appendID(append(b, `],"first_id":`...), h.FirstID)
	b = appendID(append(b, `,"last_id":`...), h.LastID)
	b = strconv.AppendBool(append(b, `,"gap":`...), h.Gap)
	b = appendID(append(b, `,"next":`...), h.Next)
	return append(b, '}')
}

// appendID appends the id as a JSON string, or null.
func appendID(b []byte, id *schemas.ID) []byte {
	if id == nil {
		return append(b, "null"...)
	}
	return append(id.Append(append(b, '"')), '"')
}

// History returns kept messages of the channel. A channel that does not exist has none.
// Errors: [engine.ErrUnavailable] and that of ctx.
func (b *Broker) History(ctx context.Context, name schemas.Channel, q Query) (History, error) {
	return b.shardFor(name).history(ctx, name, q)
}

func (sh *shard) history(ctx context.Context, name schemas.Channel, q Query) (History, error) {
	h := History{Messages: []json.RawMessage{}}
	if seq, known := sh.position(q.After); known {
		if err := sh.store.learnPosition(ctx, seq); err != nil {
			return h, err
		}
	}
	after, foreign := sh.bound(q.After, 0)
	before, _ := sh.bound(q.Before, ring.NoReader)
	watermark := sh.seq.Watermark()
	c, err := sh.store.view(ctx, name)
	if err != nil {
		return h, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sh.trim(c, time.Now())
	h.FirstID, h.LastID = sh.span(&c.log)
	found, more := c.log.Page(q.Topics, after, before, q.Limit, q.Newest)
	for _, f := range found {
		h.Messages = append(h.Messages, f.Message())
	}
	last := after // the newest position that the caller knows after this page
	if len(found) > 0 {
		last = found[len(found)-1].Seq
		if q.Newest {
			last = found[len(found)-1].First()
		}
	}
	if more {
		h.Next = sh.idPtr(last)
	}
	if q.After == "" || more && q.Newest {
		return h, nil // nobody asks for what is lost, or a later page says so
	}
	lost := c.log.LostOf(q.Topics)
	if hole := sh.origin.Lost; hole > after && (!more || last > hole) {
		lost = max(lost, hole)
	}
	h.Gap = foreign || lost > after
	if foreign && len(found) == 0 {
		lost = watermark
	}
	if h.Gap && !more && !q.Newest && q.Before == "" && last < lost {
		h.Next = sh.idPtr(max(lost, watermark))
	}
	return h, nil
}

func (sh *shard) idPtr(seq uint64) *schemas.ID {
	id := sh.idOf(seq)
	return &id
}

// bound parses the id of a bound. foreign reports an id that is not from this log; none
// is returned for it and for "".
func (sh *shard) bound(text string, none uint64) (seq uint64, foreign bool) {
	if text == "" {
		return none, false
	}
	seq, known := sh.position(text)
	if !known || seq > sh.seq.Last() {
		return none, true
	}
	return seq, false
}

// span returns the oldest and the newest id in the log, nil if it is empty.
func (sh *shard) span(l *ring.Log) (first, last *schemas.ID) {
	oldest, newest := l.Span()
	if newest == 0 {
		return nil, nil
	}
	return sh.idPtr(oldest), sh.idPtr(newest)
}

// Delete forgets a channel, including its run status, and ends the streams that named
// it. Streams that follow a pattern go on. Errors: [ErrNoChannel],
// [engine.ErrUnavailable], [engine.ErrUncertain] and that of ctx.
func (b *Broker) Delete(ctx context.Context, name schemas.Channel) error {
	found, err := b.shardFor(name).store.delete(ctx, name)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoChannel
	}
	return nil
}

// Ended reports whether a stream that is to end with the run of its channel would end
// without a message: the run has a final status, and the client has been sent it or
// wants nothing from before. Errors: [engine.ErrUnavailable] and that of ctx.
func (b *Broker) Ended(ctx context.Context, sub Subscription) (bool, error) {
	name, _ := sub.Channels[0].Channel.Exact()
	sh := b.shardFor(name)
	c, err := sh.store.view(ctx, name)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.run == nil || !c.run.change.Status.Final():
		return false, nil
	case sub.LastEventID == "":
		return sub.Replay.None(), nil
	}
	seq, known := sh.position(sub.LastEventID)
	return known && seq >= c.run.frame.Seq, nil
}
