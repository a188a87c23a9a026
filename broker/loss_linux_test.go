package broker_test

import (
	"bytes"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
)

// A reader that a writer loop brings up to date in many pieces is told once, too.
func TestTakeOver_reportsPowerFailureOnce(t *testing.T) {
	opts := broker.Options{Replay: engine.Limits{Messages: 5000}}
	k := newKeeper()
	b, _ := on(t, k, opts)
	for range 3000 {
		publish(t, b, "a", "x", `"a message of a little length"`)
	}
	k.losePower()
	b, _ = on(t, k, opts)
	w, _, err := wired(b, after(asking("a"), "k-1"), bare, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	publish(t, b, "a", "last", "1")
	messages, gaps := 0, 0
	for last := false; !last; {
		events, err := w.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch {
			case bytes.Contains(e, []byte("event: $gap")):
				gaps++
			case bytes.Contains(e, []byte("event: x")):
				messages++
			}
			last = last || bytes.Contains(e, []byte("event: last"))
		}
	}
	if messages != 2999 || gaps != 1 {
		t.Errorf("%d messages and %d gaps", messages, gaps)
	}
}
