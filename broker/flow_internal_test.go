package broker

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
)

// TestShard_waitForReaders_leavesOthersAsleep: a publisher that wakes up and must continue to
// wait does not wake the other waiting publishers. Otherwise they would wake each other for
// ever.
func TestShard_waitForReaders_leavesOthersAsleep(t *testing.T) {
	b := newBroker(t, Options{Pace: time.Hour, Replay: engine.Limits{Messages: 1, Bytes: 1}, BacklogBytes: 1000})
	s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.puller() // as if it were in Next
	b.say(t, "a")
	c := b.shards[0].registry.get("a")
	for range 1000 {
		c.mu.Lock()
		if b.shards[0].backlogFull(c, time.Now()) {
			defer c.mu.Unlock()
			room := make(chan struct{})
			c.caughtUp = room
			if !b.shards[0].backlogFull(c, time.Now()) {
				t.Error("it is not behind any more")
			}
			select {
			case <-room:
				t.Error("the others were woken although the backlog is still full")
			default:
			}
			return
		}
		c.mu.Unlock()
		b.say(t, "a")
	}
	t.Fatal("it never falls behind")
}
