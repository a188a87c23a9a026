package broker

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// TestCursor_addOutOfOrder_bounded: a stream that does not take its messages out of
// order cannot make them pile up.
func TestCursor_addOutOfOrder_bounded(t *testing.T) {
	c := new(cursor)
	for i := range maxOutOfOrder {
		if !c.addOutOfOrder(outOfOrder{}) {
			t.Fatalf("there is no room for message %d", i+1)
		}
	}
	if c.addOutOfOrder(outOfOrder{}) {
		t.Error("there is room for more")
	}
	if waiting := c.takeOutOfOrder(); len(waiting) > 0 {
		t.Errorf("%d are still waiting", len(waiting))
	}
}

// deliverAt delivers a message at a position, which is also its data.
func deliverAt(sh *shard, seq uint64, channel schemas.Channel) {
	m := schemas.Message{ID: sh.idOf(seq), Channel: channel, Topic: "a", Kind: schemas.KindData, Data: fmt.Append(nil, seq), CreatedAt: schemas.TimeOf(time.Now())}
	sh.deliver(&m, engine.Limits{})
}

// mergingCursor returns the cursor of a stream that merges a:1 and a:2.
func mergingCursor(t *testing.T) *cursor {
	t.Helper()
	b := newBroker(t, Options{})
	b.say(t, "a:1")
	b.say(t, "a:2")
	s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a:*"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.cursors[0]
}

// TestCursor_outOfOrder_overtaken: messages that come out of order after a stream has
// looked for them, and before it reads their channel, are not overtaken by a newer one of
// the channel that the stream has not passed.
func TestCursor_outOfOrder_overtaken(t *testing.T) {
	c := mergingCursor(t)
	sh := c.shard
	read := func(channel schemas.Channel, limit uint64) (data string) {
		c.markPending(sh.registry.get(channel))
		c.openSources()
		var batch Batch
		c.walk(&batch, limit, 1<<20)
		for _, m := range regexp.MustCompile(`"data":(\d+)`).FindAllSubmatch(bytes.Join(batch.Events, nil), -1) {
			data += string(m[1]) + " "
		}
		return data
	}
	deliverAt(sh, 55, "a:2")
	read("a:2", 55)
	deliverAt(sh, 99, "a:2")
	deliverAt(sh, 50, "a:1")
	deliverAt(sh, 60, "a:1")
	if got := read("a:1", 60); got != "50 60 " {
		t.Errorf("was sent %s", got)
	}
	c.markPending(sh.registry.get("a:2"))
	var batch Batch
	c.collect(&batch, 1<<20)
	if text := string(bytes.Join(batch.Events, nil)); strings.Contains(text, `"data":50`) || strings.Contains(text, `"data":60`) {
		t.Errorf("was sent again: %s", text)
	}
}

// TestCursor_outOfOrder_joined: a piece of a text that comes out of order between two
// looks of a stream, and that it is sent joined with others in its turn, is not sent again.
func TestCursor_outOfOrder_joined(t *testing.T) {
	c := mergingCursor(t)
	sh := c.shard
	deliver := func(seq uint64, channel schemas.Channel) {
		m := schemas.Message{ID: sh.idOf(seq), Channel: channel, Topic: "a", Kind: schemas.KindChunk, StreamID: "s", Data: []byte(`"x"`), CreatedAt: schemas.TimeOf(time.Now())}
		m.Offset = int64(seq)
		sh.deliver(&m, engine.Limits{})
	}
	for seq := range uint64(30) {
		deliver(10+seq, "a:1")
	}
	deliver(99, "a:2")
	c.markPending(sh.registry.get("a:1"))
	c.openSources()
	deliver(50, "a:1")
	var batch Batch
	c.walk(&batch, 99, 1<<20)
	c.collect(&batch, 1<<20)
	if text := string(bytes.Join(batch.Events, nil)); strings.Count(text, `-50"`) != 1 {
		t.Errorf("was sent\n%s", text)
	}
}

// TestCursor_outOfOrder_beforeStart: of what comes out of order while a stream is still
// finding out where it starts, it is sent nothing from before that. It would be part of a
// text of which the rest is not sent, or come twice to a client that resumes.
func TestCursor_outOfOrder_beforeStart(t *testing.T) {
	b := newBroker(t, Options{})
	b.say(t, "a:1")
	sh := b.shards[0]
	deliverAt(sh, 99, "a:2")
	s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a:*"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := s.cursors[0]
	start := c.start.Swap(0) // it is not known yet
	deliverAt(sh, 50, "a:1")
	c.start.Store(start)
	var batch Batch
	c.collect(&batch, 1<<20)
	if text := string(bytes.Join(batch.Events, nil)); start < 50 || strings.Contains(text, `"data":50`) {
		t.Errorf("a stream that starts after %d was sent\n%s", start, text)
	}
}
