package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// TextStore is a [Store] that also keeps the records of texts.
type TextStore interface {
	Store
	Text(ctx context.Context, name engine.TextName) (t engine.Text, revision uint64, err error)
	SetText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error)
}

// Fences tests the records of texts: each revision is followed by one other, and a piece
// is stored only if its fence is the newest revision.
func Fences(t *testing.T, stores ...TextStore) {
	t.Helper()
	t.Run("record", func(t *testing.T) { textRecord(t, stores) })
	t.Run("names do not collide", func(t *testing.T) { textNames(t, stores[0]) })
	t.Run("revisions are positions", func(t *testing.T) { textPositions(t, stores) })
	t.Run("old fences are refused", func(t *testing.T) { oldFences(t, stores) })
	t.Run("one of many follows", func(t *testing.T) { oneTakesIt(t, stores) })
	t.Run("nothing comes after the text was taken", func(t *testing.T) { takenWhileWritten(t, stores) })
}

// setText sets the record of a text that has this revision.
func setText(t *testing.T, s TextStore, name engine.TextName, revision uint64, text engine.Text) uint64 {
	t.Helper()
	next, err := s.SetText(t.Context(), name, revision, text)
	if err != nil || next <= revision {
		t.Fatalf("the revision after %d is %d, %v", revision, next, err)
	}
	return next
}

// expectText checks what a store remembers of a text.
func expectText(t *testing.T, s TextStore, name engine.TextName, revision uint64, want engine.Text) {
	t.Helper()
	got, at, err := s.Text(t.Context(), name)
	if err != nil || at != revision {
		t.Fatalf("revision %d, %v, want %d", at, err, revision)
	}
	if revision > 0 && got.At == 0 {
		t.Error("the record has no time")
	}
	if got.At = 0; got != want {
		t.Errorf("the record is %+v, want %+v", got, want)
	}
}

// piece returns a piece of a text for Append.
func piece(name engine.TextName, data string, fence uint64) engine.Entry {
	e := entry(name.Channel, data, "")
	e.Topic, e.StreamID, e.Kind, e.Fence = name.Topic, name.StreamID, schemas.KindChunk, fence
	return e
}

func textRecord(t *testing.T, stores []TextStore) {
	name := engine.TextName{Channel: "texts:record", Topic: "t", StreamID: "a"}
	last := stores[len(stores)-1]
	expectText(t, stores[0], name, 0, engine.Text{})
	first := setText(t, stores[0], name, 0, engine.Text{Attempt: 1, State: engine.TextOpen})
	expectText(t, last, name, first, engine.Text{Attempt: 1, State: engine.TextOpen, Since: first})
	for _, wrong := range []uint64{0, first - 1, first + 1} {
		if _, err := last.SetText(t.Context(), name, wrong, engine.Text{Attempt: 2, State: engine.TextOpen}); !errors.Is(err, engine.ErrFenced) {
			t.Errorf("set at the wrong revision %d: %v", wrong, err)
		}
	}
	whole := engine.Text{Attempt: 1 << 40, State: engine.TextComplete, Since: first, First: 1 << 40, Last: 1 << 41, Chunks: 1 << 42, Bytes: 1 << 43}
	second := setText(t, last, name, first, whole)
	expectText(t, stores[0], name, second, whole)
	if messages := kept(t, last, name.Channel); len(messages) != 0 {
		t.Errorf("the record is among the messages: %+v", messages)
	}
	if _, err := stores[0].Delete(t.Context(), name.Channel); err != nil {
		t.Fatal(err)
	}
	expectText(t, last, name, second, whole)
	third := setText(t, stores[0], name, second, engine.Text{Attempt: 1 << 41, State: engine.TextOpen})
	if _, err := last.Delete(t.Context(), name.Channel); err != nil {
		t.Fatal(err)
	}
	put(t, stores[0], piece(name, `"of a deleted channel"`, third))
}

// textPositions compares the revisions of a record with the positions of messages. Those
// of a text come after the revision that its attempt began with.
func textPositions(t *testing.T, stores []TextStore) {
	name := engine.TextName{Channel: "texts:positions", Topic: "t", StreamID: "a"}
	revision, last := uint64(0), uint64(0)
	for i := range 6 {
		s := stores[i%len(stores)]
		before := put(t, s, entry(name.Channel, `"of no text"`, "")).ID.Seq
		revision = setText(t, s, name, revision, engine.Text{Attempt: int64(i + 1), State: engine.TextOpen})
		after := put(t, s, piece(name, `"of the text"`, revision)).ID.Seq
		if before <= last || revision <= before || after <= revision {
			t.Errorf("a message at %d, the revision %d and a piece at %d, after %d", before, revision, after, last)
		}
		last = after
	}
}

func textNames(t *testing.T, s TextStore) {
	names := []engine.TextName{
		{Channel: "texts:names", Topic: "t", StreamID: "a"},
		{Channel: "texts:names", Topic: "t", StreamID: "b"},
		{Channel: "texts:names", Topic: "u", StreamID: "a"},
		{Channel: "texts:others", Topic: "t", StreamID: "a"},
		{Channel: "texts:names", Topic: "t", StreamID: "A"},
	}
	revisions := make([]uint64, len(names))
	for i, name := range names {
		revisions[i] = setText(t, s, name, 0, engine.Text{Attempt: int64(i + 1), State: engine.TextOpen})
	}
	keyed := entry("texts:names", `"keyed"`, "a")
	if put(t, s, keyed).Duplicate {
		t.Error("a text is taken for a durable publish")
	}
	for i, name := range names {
		expectText(t, s, name, revisions[i], engine.Text{Attempt: int64(i + 1), State: engine.TextOpen, Since: revisions[i]})
	}
}

func oldFences(t *testing.T, stores []TextStore) {
	name := engine.TextName{Channel: "texts:fences", Topic: "t", StreamID: "a"}
	text := engine.Text{Attempt: 1, State: engine.TextOpen}
	first := setText(t, stores[0], name, 0, text)
	put(t, stores[0], piece(name, `"one"`, first))
	second := setText(t, stores[len(stores)-1], name, first, text)
	put(t, stores[0], entry(name.Channel, `"of no text"`, ""))
	for _, s := range stores {
		for _, fence := range []uint64{first, second + 1, 1} {
			if _, err := s.Append(t.Context(), piece(name, `"too late"`, fence)); !errors.Is(err, engine.ErrFenced) {
				t.Errorf("fence %d of %d: %v", fence, second, err)
			}
		}
		put(t, s, piece(name, `"two"`, second))
	}
	other := name
	other.StreamID = "b"
	if _, err := stores[0].Append(t.Context(), piece(other, `"of no text"`, second)); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("a piece of a text without a record: %v", err)
	}
	want := []string{`"one"`, `"of no text"`}
	for range stores {
		want = append(want, `"two"`)
	}
	for _, s := range stores {
		if got := dataOf(kept(t, s, name.Channel)); !slices.Equal(got, want) {
			t.Errorf("kept %s, want %s", got, want)
		}
	}
}

func dataOf(messages []schemas.Message) (list []string) {
	for _, m := range messages {
		list = append(list, string(m.Data))
	}
	return list
}

// oneTakesIt lets many publishers take one text at the same time, over and over.
func oneTakesIt(t *testing.T, stores []TextStore) {
	name := engine.TextName{Channel: "texts:race", Topic: "t", StreamID: "a"}
	const publishers, rounds = 6, 20
	revision := uint64(0)
	for round := range rounds {
		var next [publishers]uint64
		var errs [publishers]error
		var all sync.WaitGroup
		for i := range publishers {
			all.Go(func() {
				next[i], errs[i] = stores[i%len(stores)].SetText(t.Context(), name, revision, engine.Text{Attempt: int64(i + 1), State: engine.TextOpen})
			})
		}
		all.Wait()
		var won []int
		for i, err := range errs {
			if err == nil {
				won = append(won, i)
				revision = next[i]
			} else if !errors.Is(err, engine.ErrFenced) {
				t.Fatal(err)
			}
		}
		if len(won) != 1 {
			t.Fatalf("round %d: %v have taken it", round, won)
		}
		expectText(t, stores[0], name, revision, engine.Text{Attempt: int64(won[0] + 1), State: engine.TextOpen, Since: revision})
	}
}

// takenWhileWritten takes a text from a publisher that goes on writing: what is loaded
// then is all that the publisher ever stores.
func takenWhileWritten(t *testing.T, stores []TextStore) {
	for round := range 20 {
		name := engine.TextName{Channel: schemas.Channel(fmt.Sprint("texts:taken:", round)), Topic: "t", StreamID: "a"}
		text := engine.Text{Attempt: 1, State: engine.TextOpen}
		first := setText(t, stores[0], name, 0, text)
		stored := make(chan int)     // is sent to for every piece
		taken := make(chan struct{}) // closed when the text was taken
		var writing sync.WaitGroup
		writing.Go(func() {
			defer close(stored)
			for n := 0; ; n++ {
				late := false
				select {
				case <-taken:
					late = true
				default:
				}
				e := piece(name, `"x"`, first)
				e.Offset = int64(n)
				if _, err := stores[0].Append(t.Context(), e); err != nil {
					if !errors.Is(err, engine.ErrFenced) {
						t.Errorf("piece %d: %v", n, err)
					}
					return
				}
				if late {
					t.Errorf("piece %d is stored although the text was taken before", n)
					return
				}
				stored <- n + 1
			}
		})
		for range 1 + round/2 {
			<-stored
		}
		count := make(chan int, 1)
		go func() {
			n := 0
			for n = range stored {
			}
			count <- n
		}()
		taker := stores[len(stores)-1]
		setText(t, taker, name, first, text)
		close(taken)
		got := pieces(t, taker, name)
		writing.Wait()
		if n := <-count; n > got {
			t.Errorf("%d pieces were acknowledged, and %d are loaded after the text was taken", n, got)
		}
		if later := pieces(t, taker, name); later != got {
			t.Errorf("%d pieces after the text was taken, and then %d", got, later)
		}
	}
}

// pieces returns how many pieces of one byte a store keeps of a text.
func pieces(t *testing.T, s TextStore, name engine.TextName) int {
	t.Helper()
	snapshot, err := s.Load(t.Context(), name.Channel)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := Joined(t, snapshot, name.StreamID)
	return len(text)
}
