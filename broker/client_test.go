package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// client is a reader that lives through many connections. It reads, stalls, loses its
// connection at any place in what was sent to it, and comes back with the last id that
// it has received whole.
type client struct {
	history
	broker *broker.Broker
	oracle *oracle
	format ring.Format
	calm   bool // never stalls, never leaves
	faults faults

	rand     *rand.Rand
	wired    bool // over a connection, and not with Next
	stream   source
	position uint64 // last id received
	newest   uint64 // highest id of a message that came in its turn
	inTurn   map[uint64]bool
}

// connect opens the first stream, or one that resumes.
func (c *client) connect() bool {
	conn := &connection{first: len(c.connections) == 0, asked: c.position, before: c.broker.Head("c").Seq, runs: map[schemas.Channel]uint64{}}
	sub := broker.Subscription{Channels: c.selectors, Format: c.format}
	if conn.first {
		sub.Replay = must(ring.ParseReplay(c.replay))
	} else {
		sub.LastEventID = schemas.ID{Epoch: c.broker.Head("c").Epoch, Seq: c.position}.String()
	}
	var err error
	if c.wired {
		c.stream, _, err = wired(c.broker, sub, lines()[c.rand.IntN(len(lines()))], c.rand.IntN(2) == 0, nil)
	} else {
		var s *broker.Stream
		s, err = c.broker.Subscribe(context.Background(), sub)
		c.stream = &pulled{stream: s}
	}
	if err != nil {
		c.faults.add("subscribe: %v", err)
		c.stream = nil
		return false
	}
	conn.since, conn.end = c.broker.Head("c").Seq, c.position
	c.connections = append(c.connections, conn)
	return true
}

func (c *client) disconnect() {
	c.stream.close()
	c.stream = nil
	if !c.now().open && c.now().first {
		c.connections = nil // it knows nothing: it starts over
	}
}

func (c *client) now() *connection { return c.connections[len(c.connections)-1] }

// live reads until ctx ends, in the given conditions.
func (c *client) live(ctx context.Context) {
	for len(c.faults) == 0 && ctx.Err() == nil {
		if c.stream == nil && !c.connect() {
			return
		}
		cut := -1 // nothing is cut off
		if !c.calm && c.rand.IntN(12) == 0 {
			cut = c.rand.IntN(8)
		}
		if !c.step(ctx, cut) {
			return
		}
		if !c.calm && c.rand.IntN(6) == 0 {
			c.oracle.awaitMore(c.rand.IntN(30))
		}
	}
}

// drain reads until the client has received everything or been told of its loss, or ctx
// ends.
func (c *client) drain(ctx context.Context) {
	for len(c.faults) == 0 {
		if c.stream == nil && !c.connect() {
			return
		}
		if c.now().open && len(c.missing(c.oracle, c.broker.Head("c").Seq)) == 0 {
			return
		}
		if !c.step(ctx, -1) && ctx.Err() != nil {
			return
		}
	}
}

// step takes the next batch. If cut is not negative, it takes only the first cut events
// of it, and then the connection is gone. It reports whether there may be more.
func (c *client) step(ctx context.Context, cut int) bool {
	sent, err := c.stream.next(ctx)
	switch {
	case errors.Is(err, io.EOF):
		c.disconnect()
		return true
	case err != nil:
		return false
	}
	if cut >= 0 {
		sent = sent[:min(cut, len(sent))]
	}
	events, _, err := read(c.format, bytes.Join(sent, nil))
	if err != nil {
		c.faults.add("%v", err)
		return false
	}
	for _, e := range events {
		c.receive(e)
	}
	if cut >= 0 {
		c.disconnect()
	}
	return true
}

// receive checks one event against the guarantees and remembers it.
func (c *client) receive(e event) {
	conn := c.now()
	id, err := schemas.ParseID(e.id)
	if err != nil && (c.format == ring.SSE || e.name[0] != '$') {
		c.faults.add("event %+v has no id", e)
		return
	}
	if !conn.open && e.name != "$open" {
		c.faults.add("the stream begins with %+v", e)
		return
	}
	switch e.name {
	case "$open":
		c.opened(conn, e)
	case "$gap":
		c.gap(conn, e)
	case "$position", "$close":
	default:
		c.message(conn, e, id.Seq)
	}
	conn.introduced = conn.introduced || id.Seq > conn.asked
	if c.format == ring.NDJSON && (err != nil || e.name == "$run") {
		return // a line names its own id, and that of a run message may be old
	}
	if id.Seq < c.position {
		c.faults.add("the position went back from %d to %d with %+v", c.position, id.Seq, e)
	}
	c.position, conn.end = id.Seq, id.Seq
}

func (c *client) opened(conn *connection, e event) {
	var open openEvent
	if err := json.Unmarshal([]byte(e.data), &open); err != nil {
		c.faults.add("%v: %+v", err, e)
	}
	switch {
	case conn.open:
		c.faults.add("$open came twice")
	case open.ID.String() != e.id:
		c.faults.add("$open says %s under id %s", open.ID, e.id)
	case open.Resumed == conn.first:
		c.faults.add("$open says resumed: %t", open.Resumed)
	case !conn.first && open.ID.Seq != conn.asked:
		c.faults.add("asked to resume after %d, got %s", conn.asked, open.ID)
	}
	conn.open, conn.asked = true, open.ID.Seq
}

func (c *client) gap(conn *connection, e event) {
	var g gapEvent
	if err := json.Unmarshal([]byte(e.data), &g); err != nil {
		c.faults.add("%v: %+v", err, e)
		return
	}
	after, err := schemas.ParseID(g.After)
	if err != nil {
		c.faults.add("a gap after %q", g.After)
	}
	until := c.broker.Head("c").Seq + 1
	if g.ResumesAt != nil {
		until = g.ResumesAt.Seq
	}
	if until <= after.Seq {
		c.faults.add("a gap from %d to %d", after.Seq, until)
	}
	conn.gaps = append(conn.gaps, heard{g.Channel, after.Seq, until, g.Reason})
}

func (c *client) message(conn *connection, e event, position uint64) {
	var m schemas.Message
	if err := json.Unmarshal([]byte(e.data), &m); err != nil {
		c.faults.add("%v: %+v", err, e)
		return
	}
	got := delivery{published: published{seq: m.ID.Seq, channel: m.Channel, topic: m.Topic}}
	got.of, got.tokens = partsOf(&m)
	got.offset = m.Offset
	if string(m.Topic) != e.name || !c.wants(got.published) {
		c.faults.add("was sent %+v", e)
	}
	if got.run() && (position == conn.asked || c.format == ring.NDJSON) {
		c.runStatus(conn, got.published)
		return
	}
	if told := conn.runs[m.Channel]; got.run() && got.seq <= told {
		c.faults.add("run message %d came after %d was told", got.seq, told)
	}
	if position != got.seq {
		c.faults.add("message %d under id %d", got.seq, position)
	}
	if c.inTurn[got.seq] {
		c.faults.add("message %d came twice", got.seq)
	}
	if got.seq <= c.newest {
		c.faults.add("message %d came after %d", got.seq, c.newest)
	}
	c.inTurn[got.seq], c.newest = true, got.seq
	conn.got = append(conn.got, got)
}

// runStatus takes a status that is told ahead of its turn. An NDJSON client cannot tell
// it from one in its turn.
func (c *client) runStatus(conn *connection, m published) {
	before, told := conn.runs[m.channel]
	if told && (c.format == ring.SSE || before >= m.seq) {
		c.faults.add("run status %d of %s was told after %d", m.seq, m.channel, before)
	}
	if c.format == ring.SSE && (!conn.first || len(conn.got) > 0) {
		c.faults.add("run status %d was told late, or to a client that knew it", m.seq)
	}
	conn.runs[m.channel] = m.seq
}

// tokenBytes is how long a token is.
const tokenBytes = 8

// partsOf returns of what m is a part, and the tokens in it.
func partsOf(m *schemas.Message) (of string, tokens []string) {
	of = m.StreamID
	var text string
	switch {
	case m.Kind == schemas.KindChunk:
		_ = json.Unmarshal(m.Data, &text)
	case m.Topic == "parts":
		var p struct{ Delta string }
		_ = json.Unmarshal(m.Data, &p)
		of, text = string(m.Channel), p.Delta
	}
	for token := range slices.Chunk([]byte(text), tokenBytes) {
		tokens = append(tokens, string(token))
	}
	return of, tokens
}
