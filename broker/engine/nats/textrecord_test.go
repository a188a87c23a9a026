//go:build unix

package nats_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

// textOf returns the name of the text that [piece] makes pieces of.
func textOf(name schemas.Channel) engine.TextName {
	return engine.TextName{Channel: name, Topic: "draft", StreamID: "s"}
}

// takeText sets the record of the channel's text if it has this revision.
func (n *node) takeText(ctx context.Context, name schemas.Channel, revision uint64) (uint64, error) {
	return n.SetText(ctx, textOf(name), revision, engine.Text{Attempt: 1, State: engine.TextOpen})
}

// take is takeText for a record that has this revision.
func (n *node) take(t testing.TB, name schemas.Channel, revision uint64) uint64 {
	t.Helper()
	next, err := n.takeText(t.Context(), name, revision)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// fenced returns a piece of the channel's text with a fence.
func fenced(name string, n int, fence uint64) engine.Entry {
	e := piece(name, n)
	e.Fence = fence
	return e
}

// nextRevision waits until the record has another revision than the given one.
func (n *node) nextRevision(t testing.TB, name schemas.Channel, old uint64) (revision uint64) {
	t.Helper()
	n.until(t, "another revision", func() bool {
		var err error
		_, revision, err = n.Text(t.Context(), textOf(name))
		return err == nil && revision != old
	})
	return revision
}

// A record whose answer is lost is not in its own way. If somebody else has taken the text
// since, that counts.
func TestEngine_SetText_answerIsLost(t *testing.T) {
	server := natstest.Start(t, "")
	proxy := natstest.NewProxy(t, server)
	a := start(t, nats.Options{URLs: []string{proxy.URL()}, Timeout: 20 * time.Second})
	b := start(t, nats.Options{URLs: []string{server.URL()}, Timeout: patience})
	type result struct {
		revision uint64
		err      error
	}
	lost := func(revision uint64) (stored uint64, outcome <-chan result) {
		done := make(chan result, 1)
		proxy.Deafen()
		go func() {
			next, err := a.takeText(t.Context(), "c", revision)
			done <- result{next, err}
		}()
		return b.nextRevision(t, "c", revision), done
	}
	first, outcome := lost(0)
	proxy.Drop()
	if r := <-outcome; r.err != nil || r.revision != first {
		t.Fatalf("revision %d, %v, want %d", r.revision, r.err, first)
	}
	a.until(t, "the connection", func() bool { _, err := a.Append(t.Context(), fenced("c", 1, first)); return err == nil })
	second, outcome := lost(first)
	third := b.take(t, "c", second)
	proxy.Drop()
	if r := <-outcome; !errors.Is(r.err, engine.ErrFenced) {
		t.Errorf("somebody else has taken it with revision %d: %d, %v", third, r.revision, r.err)
	}
}

// What was loaded after a text was taken is all that the one before ever stores, whatever
// happens to the servers meanwhile.
func TestEngine_SetText_leaderIsKilled(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	opts := nats.Options{URLs: natstest.URLs(servers), Replicas: 3, Retain: engine.Limits{Messages: 1 << 16}, Timeout: 3 * time.Second}
	writer, taker := start(t, opts), start(t, opts)
	fence := writer.take(t, "c", 0)
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends when it is fenced
		defer close(ended)
		for i := 0; ; i++ {
			_, err := writer.Append(t.Context(), fenced("c", i, fence))
			if i == 20 {
				close(begun)
			}
			switch {
			case errors.Is(err, engine.ErrFenced):
				return
			case err == nil, errors.Is(err, engine.ErrUncertain):
			case errors.Is(err, engine.ErrUnavailable):
				<-time.After(time.Millisecond)
			default:
				t.Error(err)
				return
			}
		}
	}()
	<-begun
	leaderOf(t, servers).Kill()
	taker.insistOnTaking(t, "c", fence)
	got := taker.insistOnLoading(t, "c")
	<-ended
	if later := writer.insistOnLoading(t, "c"); len(got) < 20 || !slices.Equal(got, later) {
		t.Errorf("%d pieces after the text was taken, and then %d", len(got), len(later))
	}
}

// insistOnLoading returns what is kept of a channel once that can be read.
func (n *node) insistOnLoading(t testing.TB, name schemas.Channel) (data []string) {
	t.Helper()
	n.until(t, "what is kept", func() bool {
		kept, err := n.Load(t.Context(), name)
		data = texts(kept.Messages)
		return err == nil
	})
	return data
}

// insistOnTaking takes the text from whoever has it.
func (n *node) insistOnTaking(t testing.TB, name schemas.Channel, revision uint64) {
	t.Helper()
	n.until(t, "the text", func() bool {
		_, err := n.takeText(t.Context(), name, revision)
		switch {
		case errors.Is(err, engine.ErrFenced):
			t.Fatal("somebody else has taken it")
		case errors.Is(err, engine.ErrUncertain): // then it may be set
			_, at, readErr := n.Text(t.Context(), textOf(name))
			return readErr == nil && at > revision
		case err != nil && !errors.Is(err, engine.ErrUnavailable):
			t.Fatal(err)
		}
		return err == nil
	})
}

// Who was not answered at all cannot tell whether the text is theirs.
func TestEngine_SetText_uncertain(t *testing.T) {
	server := natstest.Start(t, "")
	n := start(t, nats.Options{URLs: []string{server.URL()}, Timeout: 600 * time.Millisecond})
	n.insistOnTaking(t, "c", 0) // the timeout is short for a busy machine
	fence := n.nextRevision(t, "c", 0)
	server.Stop()
	defer server.Continue()
	var all sync.WaitGroup // at once: soon the engine will know that nobody answers
	all.Go(func() {
		if _, err := n.takeText(t.Context(), "c", fence); !errors.Is(err, engine.ErrUncertain) {
			t.Errorf("the record: %v", err)
		}
	})
	all.Go(func() {
		if _, err := n.Append(t.Context(), fenced("c", 1, fence)); !errors.Is(err, engine.ErrUncertain) {
			t.Errorf("a piece: %v", err)
		}
	})
	all.Wait()
}

// A text is orphaned once the stream has forgotten the node that set its record, and only
// as long as it goes on. A node knows when it has been there long enough itself.
func TestEngine_Text_orphaned(t *testing.T) {
	t.Parallel()                 // it waits
	const kept = 8 * time.Second // the canary is renewed every second, unless the machine is busy
	opts := shared(t).WithCanaryKept(kept)
	proxy := natstest.NewProxy(t, natstest.Start(t, ""))
	opts.URLs = []string{proxy.URL()}
	a, b := start(t, opts), start(t, opts)
	open, ended := textOf("c"), engine.TextName{Channel: "c", Topic: "draft", StreamID: "ended"}
	if _, err := a.SetText(t.Context(), ended, 0, engine.Text{Attempt: 1, State: engine.TextComplete}); err != nil {
		t.Fatal(err)
	}
	revision := a.take(t, "c", 0)
	orphaned := func(n *node, name engine.TextName) bool {
		text, _, err := n.Text(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return text.Orphaned
	}
	if orphaned(a, open) || orphaned(b, open) {
		t.Error("orphaned while its node is there")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b.until(t, "an orphan", func() bool { return orphaned(b, open) })
	if orphaned(b, ended) {
		t.Error("a text that has ended cannot be orphaned")
	}
	late := start(t, opts)
	if orphaned(late, open) {
		t.Error("a node that has just started cannot know")
	}
	b.take(t, "c", revision)
	late.until(t, "a while", func() bool { return orphaned(late, open) || late.Steady(kept) })
	if orphaned(b, open) || orphaned(late, open) {
		t.Error("orphaned although a node that is there has taken it")
	}
}
