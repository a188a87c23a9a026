package client_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/client"
)

// The loop ends without an error after the final status and everything before it, and at once
// if the run has already ended.
func TestClient_Subscribe_untilEnd(t *testing.T) {
	c, _ := realServer(t)
	sub := client.Subscription{Channels: []string{"job:1"}, UntilEnd: true}
	run := c.Run("job:1", "1")
	must(run.Start(t.Context()))
	got := make(chan []string, 1)
	opened := make(chan struct{})
	go func() { // ends with the run
		var messages []string
		for m, err := range c.Subscribe(t.Context(), sub) {
			if err != nil {
				messages = append(messages, err.Error())
				continue
			}
			if len(messages) == 0 {
				close(opened) // the status that each stream begins with
			}
			messages = append(messages, string(m.Topic))
		}
		got <- messages
	}()
	select {
	case <-opened:
	case <-time.After(2 * time.Minute):
		t.Fatal("the stream did not begin")
	}
	must(run.Publish(t.Context(), "step", "status", 1))
	must(run.Complete(t.Context(), nil))
	select {
	case messages := <-got:
		if !slices.Equal(messages, []string{"$run", "status", "$run"}) {
			t.Errorf("got %v", messages)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the loop goes on")
	}
	for m, err := range c.Subscribe(t.Context(), sub) {
		t.Errorf("the run has ended: %v, %v", m, err)
	}
	sub.Replay = "all"
	replayed := 0
	for _, err := range c.Subscribe(t.Context(), sub) {
		if err != nil {
			t.Error(err)
		}
		replayed++
	}
	if replayed != 2 { // the status, which comes first, and the message
		t.Errorf("%d messages of a run that has ended", replayed)
	}
}
