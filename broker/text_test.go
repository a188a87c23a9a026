package broker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// writer publishes a text piece by piece.
type writer struct {
	t      testing.TB
	b      *broker.Broker
	p      broker.Publication
	offset int64
}

func startText(t testing.TB, b *broker.Broker, channel, topic, stream string) *writer {
	t.Helper()
	w := &writer{t: t, b: b, p: broker.Publication{Channel: schemas.Channel(channel), Topic: schemas.Topic(topic), StreamID: stream}}
	w.put(schemas.KindStreamStart, "{}")
	return w
}

func (w *writer) put(kind schemas.Kind, data string) uint64 {
	w.t.Helper()
	p := w.p
	p.Kind, p.Data, p.Offset = kind, []byte(data), w.offset
	return put(w.t, w.b, p).ID.Seq
}

func (w *writer) write(pieces ...string) (last uint64) {
	w.t.Helper()
	for _, piece := range pieces {
		last = w.put(schemas.KindChunk, string(schemas.AppendString(nil, piece)))
		w.offset += int64(len(piece))
	}
	return last
}

func (w *writer) end() uint64 { return w.put(schemas.KindStreamEnd, `{"reason":"complete"}`) }

// textOf puts together the text among the events. It fails if a chunk does not begin where
// the one before it ended.
func textOf(t testing.TB, events []event) string {
	t.Helper()
	var text strings.Builder
	from := int64(-1)
	for _, e := range events {
		var m schemas.Message
		_ = json.Unmarshal([]byte(e.data), &m)
		if m.Kind != schemas.KindChunk {
			continue
		}
		var piece string
		if err := json.Unmarshal(m.Data, &piece); err != nil {
			t.Fatal(err)
		}
		if from < 0 {
			from = m.Offset
		}
		if m.Offset != from+int64(text.Len()) {
			t.Fatalf("a chunk begins at %d, and %d are there", m.Offset, from+int64(text.Len()))
		}
		text.WriteString(piece)
	}
	return text.String()
}

// words returns n pieces of a text.
func words(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("word", i, " ")
	}
	return list
}

// TestBroker_Subscribe_text: whoever comes while a text grows gets all of it, whatever
// replay it asks for, and so does whoever comes after its end. Other messages are
// published between its pieces, more than the ring holds.
func TestBroker_Subscribe_text(t *testing.T) {
	for _, replay := range []string{"all", "latest", "1"} {
		for _, sub := range []broker.Subscription{asking("a"), asking("a/draft"), asking("a", "b"), asking("*")} {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{Replay: engine.Limits{Messages: 8}})
				w := startText(t, b, "a", "draft", "s1")
				for _, word := range words(300) {
					w.write(word)
					publish(t, b, "a", "status", "1")
				}
				w.write(words(300)...)
				during := subscribe(t, b, replaying(sub, replay))
				events := during.now()
				w.write(words(3)...)
				w.end()
				events = append(events, during.now()...)
				after := subscribe(t, b, replaying(sub, replay)).now()
				want := strings.Join(append(append(words(300), words(300)...), words(3)...), "")
				for name, got := range map[string]string{"during": textOf(t, events), "after": textOf(t, after)} {
					if got != want {
						t.Errorf("%s, %v, who came %s: %d of %d bytes", replay, sub.Channels, name, len(got), len(want))
					}
				}
				if reasons, _ := gapsIn(append(events, after...)); len(reasons) > 0 {
					t.Errorf("%s, %v: gaps %v", replay, sub.Channels, reasons)
				}
			})
		}
	}
}

// TestBroker_Subscribe_text_resume: at each position of a text, a reader goes on exactly
// there, whether that piece has been joined with others since or not.
func TestBroker_Subscribe_text_resume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 8}})
		w := startText(t, b, "a", "draft", "s1")
		var after []string // the text after each position
		all := strings.Join(words(100), "")
		for _, word := range words(100) {
			w.write(word)
		}
		last := w.end()
		after = append(after, all, all)
		for i, done := 0, 0; i < 100; i++ {
			done += len(words(100)[i])
			after = append(after, all[done:])
		}
		for seq := range last {
			events := subscribe(t, b, resuming(asking("a"), seq)).now()
			if got := textOf(t, events); got != after[seq] {
				t.Fatalf("after %d: %q, want %q", seq, got, after[seq])
			}
			if reasons, _ := gapsIn(events); len(reasons) > 0 {
				t.Fatalf("after %d: gaps %v", seq, reasons)
			}
		}
	})
}

// TestBroker_History_text: pages hold texts whole, and those that follow each other
// neither overlap nor leave anything out.
func TestBroker_History_text(t *testing.T) {
	b := start(t, broker.Options{Replay: engine.Limits{Messages: 8}})
	w := startText(t, b, "a", "draft", "s1")
	w.write(words(50)...)
	publish(t, b, "a", "status", "1")
	w.write(words(50)...)
	w.end()
	h := must(b.History(t.Context(), "a", broker.Query{Limit: 9}))
	if len(h.Messages) != 5 || h.Gap || h.Next != nil { // start, text, status, text, end
		t.Errorf("%d messages, %+v", len(h.Messages), h)
	}
	for _, newest := range []bool{false, true} {
		q := broker.Query{Limit: 2, Newest: newest}
		var pages int
		for messages := 0; ; pages++ {
			page := must(b.History(t.Context(), "a", q))
			messages += len(page.Messages)
			if page.Next == nil {
				if messages != 5 {
					t.Errorf("newest %v: %d messages on all pages", newest, messages)
				}
				break
			}
			if newest {
				q.Before = page.Next.String()
			} else {
				q.After = page.Next.String()
			}
		}
	}
}

// TestBroker_Subscribe_latest: the latest message of a topic is there, however much is
// published on others.
func TestBroker_Subscribe_latest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 8}})
		publish(t, b, "a", "status", "1")
		for range 100 {
			publish(t, b, "a", "log", "1")
		}
		want(t, "latest", subscribe(t, b, replaying(asking("a"), "latest")).now(), "$open@0 status@1 log@101")
		want(t, "all", subscribe(t, b, replaying(asking("a"), "all")).now(), "$open@93 log@94 log@95 log@96 log@97 log@98 log@99 log@100 log@101")
	})
}

// TestBroker_persistent_text: on a node that has not read a channel, a text is loaded from
// the engine while its pieces go on arriving, whether the node has seen the beginning, the
// end or nothing of it.
func TestBroker_persistent_text(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper()
		opts := broker.Options{Replay: engine.Limits{Messages: 8}}
		a, _ := on(t, k, opts)
		b, n := on(t, k, opts)
		w := startText(t, a, "a", "draft", "s1")
		list := words(200)
		w.write(list[:50]...)
		pattern := subscribe(t, b, asking("*")) // the channel comes into memory with what is published next
		pattern.now()
		w.write(list[50:100]...)
		late := subscribe(t, b, replaying(asking("a"), "all"))
		events := late.now()
		publish(t, a, "a", "status", "1")
		n.deafen("a")
		w.write(list[100:150]...)
		n.repair()
		w.write(list[150:]...)
		events = append(events, late.now()...)
		w.end()
		whole := strings.Join(list, "")
		for name, got := range map[string]string{
			"late":       textOf(t, append(events, late.now()...)),
			"the others": strings.Join(list[:50], "") + textOf(t, pattern.now()),
			"after":      textOf(t, subscribe(t, b, replaying(asking("a"), "latest")).now()),
			"resumed":    strings.Join(list[:30], "") + textOf(t, subscribe(t, b, resuming(asking("a"), 31)).now()),
		} {
			if got != whole {
				t.Errorf("%s: %d of %d bytes", name, len(got), len(whole))
			}
		}
		h := must(b.History(t.Context(), "a", broker.Query{Limit: 99}))
		if len(h.Messages) > 6 || h.Gap {
			t.Errorf("%d messages on a page", len(h.Messages))
		}
	})
}

// TestBroker_Subscribe_text_merged: a stream of several channels with texts can break off
// after any event, and resumes without a piece missing or coming twice.
func TestBroker_Subscribe_text_merged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 8}})
		writers := []*writer{startText(t, b, "a", "draft", "s1"), startText(t, b, "b", "draft", "s2"), startText(t, b, "a", "notes", "s3")}
		for i, word := range words(300) {
			writers[i%7%3].write(word) // sometimes several to one text
		}
		sub := replaying(asking("a", "b"), "all")
		all := subscribe(t, b, sub).now()
		want := textsOf(t, all)
		if len(want) != 3 || len(all) > 300 {
			t.Fatalf("%d texts in %d events", len(want), len(all))
		}
		for i := range all {
			again := sub
			again.LastEventID = all[i].id
			rest := subscribe(t, b, again).now()
			got := textsOf(t, append(all[:i+1:i+1], rest...))
			for stream, text := range want {
				if got[stream] != text {
					t.Fatalf("broken off after event %d of %d, %s is %q, want %q", i, len(all), stream, got[stream], text)
				}
			}
		}
	})
}

// textsOf puts together the texts among the events, by stream id.
func textsOf(t testing.TB, events []event) map[string]string {
	t.Helper()
	byStream := make(map[string][]event)
	for _, e := range events {
		var m schemas.Message
		if _ = json.Unmarshal([]byte(e.data), &m); m.Kind == schemas.KindChunk {
			byStream[m.StreamID] = append(byStream[m.StreamID], e)
		}
	}
	texts := make(map[string]string)
	for stream, list := range byStream {
		texts[stream] = textOf(t, list)
	}
	return texts
}
