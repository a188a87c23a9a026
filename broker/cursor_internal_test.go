package broker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// TestCursor_releaseMemory: a quiet stream does not keep the memory of its last burst.
func TestCursor_releaseMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, Options{})
		s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 200 {
			b.say(t, "a")
		}
		var batch Batch
		for messages := 0; messages < 200; messages += batch.Messages {
			if err := s.Next(t.Context(), &batch); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Next(t.Context(), &batch); err != nil || batch.Messages > 0 {
			t.Fatalf("no heartbeat: %v, %d messages", err, batch.Messages)
		}
		for _, src := range s.cursors[0].sources {
			if room := reflect.ValueOf(src.Reader).FieldByName("lot").Cap(); room > 0 {
				t.Errorf("a source keeps room for %d frames", room)
			}
		}
		if cap(batch.Events) > 8 {
			t.Errorf("the batch keeps room for %d events", cap(batch.Events))
		}
	})
}

// ahead returns how many bytes the cursor has taken out of logs and not handed out.
func (c *cursor) ahead() (bytes int) {
	for _, src := range c.sources {
		bytes += src.Ahead()
	}
	return bytes
}

// TestCursor_ahead: a stream of many channels that does not advance takes a bounded amount out
// of their logs, however much there is for it.
func TestCursor_ahead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes int // of a message
		each  int // messages of a channel
	}{
		{"small messages", 20, 100},
		{"large messages", 15_000, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const channels = 500
			b := newBroker(t, Options{Replay: engine.Limits{Bytes: int64(tt.each * (tt.bytes + 400)), Messages: tt.each}, BacklogBytes: 1})
			data := fmt.Appendf(nil, "%q", strings.Repeat("x", tt.bytes))
			fill := func() (last uint64) {
				for i := range channels * tt.each {
					r, err := b.Publish(t.Context(), Publication{Channel: schemas.Channel(fmt.Sprint("a:", i%channels)), Topic: "t", Data: data})
					if err != nil {
						t.Fatal(err)
					}
					last = r.ID.Seq
				}
				return last
			}
			fill()
			s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a:*"}}, Replay: ring.ReplayAll()})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c := s.cursors[0]
			var batch Batch
			next := func() {
				if err := s.Next(t.Context(), &batch); err != nil {
					t.Fatal(err)
				}
				if n := c.ahead(); n > maxAhead {
					t.Fatalf("%d bytes are taken", n)
				}
			}
			for s.Messages() == 0 {
				next()
			}
			if kept := c.ahead(); (kept == 0) != (tt.bytes > 1000) {
				t.Errorf("%d bytes are kept for the next batch", kept)
			}
			before := s.Messages()
			c.fallBehind() // so that publishers do not wait for it
			last := fill() // the logs drop what it has not been handed
			gaps := 0
			for c.position.Load() < last {
				next()
				gaps += len(batch.Events) - batch.Messages
			}
			least := before + channels*int64(tt.each)
			if got := s.Messages(); got < least || got >= 2*channels*int64(tt.each) || gaps < channels*9/10 {
				t.Errorf("%d messages and %d other events, want %d or a few more messages, and that it is told of the others", got, gaps, least)
			}
		})
	}
}
