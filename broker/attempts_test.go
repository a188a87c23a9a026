package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/texts"
	"github.com/sluicehq/sluice/schemas"
)

// inEach runs a test in a bubble with two nodes of one engine, and with a broker without
// an engine, which is both.
func inEach(t *testing.T, test func(t *testing.T, a, b *broker.Broker)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, broker.Options{})
			test(t, b, b)
		})
	})
	t.Run("two nodes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newKeeper()
			a, _ := on(t, k, broker.Options{})
			b, _ := on(t, k, broker.Options{})
			test(t, a, b)
		})
	})
}

func attempt(n int64, offset int) texts.Text {
	return texts.Text{Channel: "c", Topic: "t", StreamID: "s", Attempt: n, Offset: int64(offset)}
}

func open(t testing.TB, b *broker.Broker, text texts.Text) *texts.Writer {
	t.Helper()
	w, first, err := b.OpenText(t.Context(), text)
	if err != nil || first != nil {
		t.Fatalf("opened: %+v, %v", first, err)
	}
	return w
}

func write(t testing.TB, w *texts.Writer, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if err := w.Write(t.Context(), piece); err != nil {
			t.Fatal(err)
		}
	}
}

func complete(t testing.TB, w *texts.Writer) schemas.StreamReceipt {
	t.Helper()
	r, err := w.Complete(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// script returns what a reader has heard of a text: + for a start, its pieces, and the
// reason of its end.
func script(events []event) string {
	var parts []string
	for _, e := range events {
		var m schemas.Message
		_ = json.Unmarshal([]byte(e.data), &m)
		switch m.Kind {
		case schemas.KindStreamStart:
			parts = append(parts, "+"+strings.Trim(string(m.Data), `{}":abcdefghijklmnopqrstuvwxyz`))
		case schemas.KindChunk:
			parts = append(parts, strings.Trim(string(m.Data), `"`))
		case schemas.KindStreamEnd:
			parts = append(parts, strings.TrimSuffix(strings.TrimPrefix(string(m.Data), `{"reason":"`), `"}`))
		}
	}
	return strings.Join(parts, " ")
}

func expectScript(t testing.TB, b *broker.Broker, want string) {
	t.Helper()
	r := subscribe(t, b, replaying(asking("c/t"), "all"))
	if got := script(r.during(time.Millisecond)); got != want {
		t.Errorf("a reader hears %q, want %q", got, want)
	}
	r.Close()
}

func expectStatus(t testing.TB, b *broker.Broker, want string) {
	t.Helper()
	s, found, err := b.TextStatus(t.Context(), engine.TextName{Channel: "c", Topic: "t", StreamID: "s"})
	if got := fmt.Sprint(s.Attempt, " ", s.State, " ", s.Bytes); err != nil || !found || got != want {
		t.Errorf("the text is %s, %v, want %s", got, err, want)
	}
}

func TestBroker_OpenText(t *testing.T) {
	inEach(t, func(t *testing.T, a, b *broker.Broker) {
		live := subscribe(t, b, asking("c/t"))
		if _, found, err := a.TextStatus(t.Context(), engine.TextName{Channel: "c", Topic: "t", StreamID: "s"}); found || err != nil {
			t.Fatalf("known before it began: %v", err)
		}
		w := open(t, a, attempt(1, 0))
		write(t, w, "one ", "two ")
		expectStatus(t, b, "1 open 8")
		again := open(t, b, attempt(1, 4)) // goes on, and repeats a part
		expectStatus(t, b, "1 open 8")
		write(t, again, "two ", "three")
		if err := w.Write(t.Context(), "lost"); !errors.Is(err, texts.ErrTaken) {
			t.Errorf("the old connection: %v", err)
		}
		r := complete(t, again)
		if r.Bytes != 13 || r.Chunks != 3 || r.StreamID != "s" || r.FirstID.Seq >= r.LastID.Seq || r.Duplicate {
			t.Errorf("receipt %+v", r)
		}
		expectStatus(t, a, "1 complete 13")
		if _, err := w.Complete(t.Context()); !errors.Is(err, texts.ErrTaken) {
			t.Errorf("the old connection ends: %v", err)
		}
		first := r
		first.Duplicate = true
		for _, n := range []*broker.Broker{a, b} {
			for _, offset := range []int{0, 13, 99} {
				if w, r, err := n.OpenText(t.Context(), attempt(1, offset)); err != nil || w != nil || r == nil || *r != first {
					t.Errorf("a complete text again: %+v, %v, want %+v", r, err, first)
				}
			}
		}
		const want = "+1 one  two  three complete"
		if got := script(live.during(time.Minute)); got != want {
			t.Errorf("the live reader hears %q, want %q", got, want)
		}
		expectScript(t, a, "+1 one two three complete")
	})
}

func TestBroker_OpenText_takenOver(t *testing.T) {
	inEach(t, func(t *testing.T, a, b *broker.Broker) {
		old := open(t, a, attempt(1, 0))
		write(t, old, "old")
		w := open(t, b, attempt(7, 0))
		expectStatus(t, a, "7 open 0")
		if err := old.Write(t.Context(), "late"); !errors.Is(err, texts.ErrSuperseded) {
			t.Errorf("the old attempt writes: %v", err)
		}
		if err := old.Abort(t.Context()); !errors.Is(err, texts.ErrSuperseded) {
			t.Errorf("the old attempt ends: %v", err)
		}
		for _, n := range []int64{1, 6} {
			if _, _, err := a.OpenText(t.Context(), attempt(n, 0)); !errors.Is(err, texts.ErrSuperseded) {
				t.Errorf("attempt %d: %v", n, err)
			}
		}
		write(t, w, "new")
		complete(t, w)
		expectScript(t, a, "+1 old superseded +7 new complete")
		w = open(t, a, attempt(8, 0)) // after the end of another attempt
		write(t, w, "newest")
		complete(t, w)
		expectScript(t, b, "+1 old superseded +7 new complete +8 newest complete")
	})
}

func TestBroker_OpenText_refused(t *testing.T) {
	inEach(t, func(t *testing.T, a, b *broker.Broker) {
		var offset *texts.OffsetError
		if _, _, err := a.OpenText(t.Context(), attempt(1, 1)); !errors.As(err, &offset) || offset.Held != 0 {
			t.Errorf("begins at 1: %v", err)
		}
		expectScript(t, a, "") // nothing has begun it
		w := open(t, a, attempt(1, 0))
		write(t, w, "some text")
		if _, _, err := b.OpenText(t.Context(), attempt(1, 10)); !errors.As(err, &offset) || offset.Held != 9 {
			t.Errorf("goes on at 10 of 9: %v", err)
		}
		write(t, w, " more") // it was not taken
		other := open(t, b, attempt(1, 5))
		if err := other.Write(t.Context(), "next"); !errors.Is(err, texts.ErrDiffers) {
			t.Errorf("it differs: %v", err)
		}
		other = open(t, b, attempt(1, 5))
		write(t, other, "text")
		if _, err := other.Complete(t.Context()); !errors.Is(err, texts.ErrDiffers) {
			t.Errorf("it ends before what is held: %v", err)
		}
		expectStatus(t, a, "1 open 14")
		expectScript(t, a, "+1 some text more")
	})
}

// TestTextWriter_Leave: a text stays open for a while after its publisher was lost.
func TestTextWriter_Leave(t *testing.T) {
	inEach(t, func(t *testing.T, a, b *broker.Broker) {
		w := open(t, a, attempt(1, 0))
		write(t, w, "half")
		leave(t, w)
		time.Sleep(29 * time.Second)
		w = open(t, b, attempt(1, 4))
		write(t, w, " and half")
		time.Sleep(5 * time.Minute) // a publisher may take its time
		expectStatus(t, b, "1 open 13")
		leave(t, w)
		time.Sleep(31 * time.Second)
		expectStatus(t, a, "1 aborted 13")
		if err := w.Write(t.Context(), "late"); !errors.Is(err, texts.ErrAborted) {
			t.Errorf("writes after the end: %v", err)
		}
		if _, _, err := a.OpenText(t.Context(), attempt(1, 4)); !errors.Is(err, texts.ErrAborted) {
			t.Errorf("goes on after the end: %v", err)
		}
		w = open(t, b, attempt(2, 0))
		write(t, w, "whole")
		complete(t, w)
		expectScript(t, a, "+1 half and half aborted +2 whole complete")
	})
}

// TestTextWriter_remembered: the record of a text is not forgotten while the text grows,
// and is some time after its end.
func TestTextWriter_remembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const remember = 10 * time.Minute
		b := start(t, broker.Options{RememberFor: remember})
		before := open(t, b, attempt(1, 0))
		w := open(t, b, attempt(1, 0))
		for range 60 {
			time.Sleep(time.Minute)
			write(t, w, "x")
		}
		if record, _, err := b.Text(t.Context(), engine.TextName{Channel: "c", Topic: "t", StreamID: "s"}); err != nil || time.Since(record.At.Std()) >= remember {
			t.Errorf("the record was set at %v, %v", record.At, err)
		}
		if err := before.Write(t.Context(), "late"); !errors.Is(err, texts.ErrTaken) {
			t.Errorf("another connection writes: %v", err)
		}
		complete(t, w)
		time.Sleep(remember + 2*time.Minute)
		if _, found, err := b.TextStatus(t.Context(), engine.TextName{Channel: "c", Topic: "t", StreamID: "s"}); found || err != nil {
			t.Errorf("it is still remembered, or %v", err)
		}
	})
}

func leave(t testing.TB, w *texts.Writer) {
	t.Helper()
	if err := w.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestBroker_OpenText_random lets publishers of several attempts write one text, lose
// their connections and go on: readers hear each attempt whole up to where the next one
// replaced it, and nothing of it afterwards.
func TestBroker_OpenText_random(t *testing.T) {
	for _, nodes := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			for seed := range uint64(30) {
				synctest.Test(t, func(t *testing.T) { randomAttempts(t, nodes, seed) })
			}
		})
	}
}

func randomAttempts(t *testing.T, nodes int, seed uint64) {
	k := newKeeper()
	var list []*broker.Broker
	for range nodes {
		b, _ := on(t, k, broker.Options{})
		list = append(list, b)
	}
	if nodes == 0 {
		list = append(list, start(t, broker.Options{}))
	}
	var all sync.WaitGroup
	for n := int64(1); n <= 4; n++ {
		rnd := rand.New(rand.NewPCG(seed, uint64(n)))
		all.Go(func() { publishAttempt(t, list, n, rnd) })
	}
	all.Wait()
	r := subscribe(t, list[0], replaying(asking("c/t"), "all"))
	defer r.Close()
	checkScript(t, seed, r.during(time.Millisecond))
}

// textOfAttempt is what an attempt writes: words that tell which attempt they are of, and
// in which order they come.
func textOfAttempt(n int64) string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "%d-%d;", n, i)
	}
	return b.String()
}

// publishAttempt publishes the text of an attempt until it is complete or superseded.
func publishAttempt(t *testing.T, list []*broker.Broker, n int64, rnd *rand.Rand) {
	text := textOfAttempt(n)
	at := 0 // what the publisher knows to be held
	for {
		b := list[rnd.IntN(len(list))]
		from := rnd.IntN(at + 1)
		w, first, err := b.OpenText(t.Context(), attempt(n, from))
		if errors.Is(err, texts.ErrSuperseded) || first != nil {
			return
		}
		if err != nil {
			t.Errorf("attempt %d at %d: %v", n, from, err)
			return
		}
		for at = from; at < len(text); {
			piece := text[at:min(len(text), at+1+rnd.IntN(20))]
			if err = w.Write(t.Context(), piece); err != nil {
				break
			}
			if at += len(piece); rnd.IntN(8) == 0 {
				break // the connection is lost
			}
		}
		if err == nil && at == len(text) && rnd.IntN(4) > 0 {
			_, err = w.Complete(t.Context())
		} else if err == nil {
			err = w.Leave(t.Context())
		}
		if err != nil && !errors.Is(err, texts.ErrSuperseded) {
			t.Errorf("attempt %d: %v", n, err)
			return
		}
	}
}

// checkScript checks what a reader hears of a text.
func checkScript(t *testing.T, seed uint64, events []event) {
	t.Helper()
	current, text := "", ""
	last := ""
	for _, part := range strings.Split(script(events), " ") {
		switch {
		case strings.HasPrefix(part, "+"):
			if current != "" || part <= last {
				t.Fatalf("seed %d: %s begins after %s%s: %s", seed, part, last, current, script(events))
			}
			current, last, text = part, part, ""
		case part == "superseded" || part == "complete":
			whole := textOfAttempt(int64(current[1] - '0'))
			if part == "complete" && text != whole || !strings.HasPrefix(whole, text) {
				t.Fatalf("seed %d: %s ends as %s with %q: %s", seed, current, part, text, script(events))
			}
			current = ""
		default:
			text += part
		}
	}
	if current != "" || last != "+4" {
		t.Fatalf("seed %d: the script ends within %s, the last one is %s: %s", seed, current, last, script(events))
	}
}

// TestBroker_TextStatus_orphaned: a text whose node has ended is aborted by whoever looks
// after a while.
func TestBroker_TextStatus_orphaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		a, dead := on(t, k, broker.Options{})
		b, _ := on(t, k, broker.Options{})
		w := open(t, a, attempt(1, 0))
		write(t, w, "half")
		k.mu.Lock()
		dead.down = engine.ErrUnavailable
		k.mu.Unlock()
		expectStatus(t, b, "1 open 4")
		time.Sleep(31 * time.Second)
		expectStatus(t, b, "1 aborted 4")
		expectScript(t, b, "+1 half aborted")
	})
}

// TestBroker_orphanedTexts: a text that somebody reads ends although its node has ended,
// and not before its publisher could have gone on.
func TestBroker_orphanedTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		a, dead := on(t, k, broker.Options{})
		b, _ := on(t, k, broker.Options{})
		live := subscribe(t, b, asking("c/t"))
		w := open(t, a, attempt(1, 0))
		write(t, w, "half")
		time.Sleep(time.Minute) // a publisher may take its time
		if got := script(live.during(time.Minute)); got != "+1 half" {
			t.Errorf("a reader hears %q", got)
		}
		k.mu.Lock()
		dead.down = engine.ErrUnavailable
		k.mu.Unlock()
		if got := script(live.during(61 * time.Second)); got != "aborted" {
			t.Errorf("after the node has ended, a reader hears %q", got)
		}
		live.Close()
		time.Sleep(time.Hour)
		// A reader who comes later finds one, too.
		k.mu.Lock()
		dead.down = nil
		k.mu.Unlock()
		w = open(t, a, attempt(2, 0))
		write(t, w, "again")
		k.mu.Lock()
		dead.down = engine.ErrUnavailable
		k.mu.Unlock()
		late := subscribe(t, b, replaying(asking("c/t"), "all"))
		if got := script(late.during(61 * time.Second)); got != "+2 again aborted" {
			t.Errorf("a late reader hears %q", got)
		}
	})
}

// stuckTexts is a node that, once it is stuck, does not answer when the record of a text is
// to be set.
type stuckTexts struct {
	*node
	stuck atomic.Bool
}

func (s *stuckTexts) SetText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error) {
	if s.stuck.Load() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return s.node.SetText(ctx, name, revision, t)
}

// TestBroker_Close_endsTexts: Close does not wait for the end of a text that an engine does
// not store.
func TestBroker_Close_endsTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &stuckTexts{node: newKeeper().node()}
		b := start(t, broker.Options{Engine: n})
		w := open(t, b, attempt(1, 0))
		n.stuck.Store(true)
		leave(t, w)
		time.Sleep(31 * time.Second)
		began := time.Now()
		if err := b.Close(); err != nil || time.Since(began) > 0 { // of the bubble's clock
			t.Errorf("closed after %v, %v", time.Since(began), err)
		}
	})
}
