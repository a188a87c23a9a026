package ring_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// TestLog_text_pause: a text whose writer has paused for longer than messages are kept
// goes on, and only what is too old itself is dropped.
func TestLog_text_pause(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 99, Bytes: 1 << 20, Age: time.Minute})
	x.begin("draft", "s")
	x.piece("draft", "s", "before ")
	r := x.listen()
	r.read(nil)
	x.at += schemas.Time(time.Hour.Milliseconds())
	x.piece("draft", "s", "after")
	x.data("status")
	x.piece("draft", "s", "wards")
	r.read(nil)
	r.wants("s", "before afterwards")
	if len(r.gaps) > 0 || len(r.seen) != 1 {
		t.Errorf("gaps %+v, messages %v", r.gaps, r.seen)
	}
	x.at += schemas.Time(time.Hour.Milliseconds())
	x.Trim(int64(x.at))
	if x.Len() != 0 || x.Bytes() != 0 {
		t.Errorf("%d messages of %d bytes are left", x.Len(), x.Bytes())
	}
}

// TestLog_merged_replaced: the latest messages of a topic are kept over the limits and
// replaced by others, again and again.
func TestLog_merged_replaced(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 8, Bytes: 8 << 10, Merge: chatRules(t)})
	for id := range 200 {
		for range 40 {
			x.add(schemas.KindData, "parts", "", fmt.Sprintf(`{"type":"a","id":%d,"delta":"some words"}`, id))
		}
		for range 20 {
			x.data("status")
		}
	}
	if x.Counted() != 8 {
		t.Errorf("%d messages count", x.Counted())
	}
	x.Clear(ring.Overrun)
	if x.Len() != 0 || x.Bytes() != 0 || x.Counted() != 0 {
		t.Errorf("%d messages of %d bytes are left, and %d count", x.Len(), x.Bytes(), x.Counted())
	}
}

// TestLog_merged_selected: a message that a replay selects is sent, even if it is joined
// with the next one before it is read.
func TestLog_merged_selected(t *testing.T) {
	for _, replay := range []string{"all", "latest", "1"} {
		x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20, Merge: chatRules(t)})
		x.begin("draft", "s")
		x.end("draft", "s")
		add := func(delta string) {
			x.add(schemas.KindData, "parts", "", fmt.Sprintf(`{"type":"a","id":"1","delta":"%s"}`, delta))
		}
		add("first ")
		r := ring.NewReader(schemas.NewTopicSet(nil), 0, 0)
		first, _ := r.Select(&x.Log, must(ring.ParseReplay(replay)))
		add("second")
		var got answer
		for r.Fill(&x.Log, nil, first-1, ring.NoReader, 1<<20); !r.Empty(); {
			got.take(t, r.Next(ring.NoReader))
		}
		if fmt.Sprint(got.parts) != "[{a 1 first second}]" {
			t.Errorf("%s: got %v", replay, got.parts)
		}
	}
}

// stored returns messages as an engine returns them.
func stored(first uint64, data ...string) []schemas.Message {
	var list []schemas.Message
	for i, d := range data {
		list = append(list, schemas.Message{
			ID: schemas.ID{Epoch: 1, Seq: first + uint64(i)}, Channel: "c", Topic: "parts", Kind: schemas.KindData,
			Data: []byte(d), CreatedAt: schemas.TimeOf(time.Now()),
		})
	}
	return list
}

// TestLog_Merge_held: a text of which the log has dropped nothing, while the engine was
// left with older messages, is not held twice once these are loaded.
func TestLog_Merge_held(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20})
	x.at = schemas.TimeOf(time.Now())
	var all []schemas.Message
	add := func(kind schemas.Kind, topic, stream, data string) {
		seq := x.add(kind, topic, stream, data)
		m := schemas.Message{ID: schemas.ID{Epoch: 1, Seq: seq}, Channel: "c", Topic: schemas.Topic(topic), Kind: kind, Data: []byte(data), StreamID: stream, CreatedAt: x.at}
		if kind == schemas.KindChunk {
			m.Offset = int64(len(x.sent[stream]) - len(data) + 2)
		}
		all = append(all, m)
	}
	add(schemas.KindStreamStart, "draft", "s", `{}`)
	for range 4 {
		add(schemas.KindData, "status", "", `1`)
		add(schemas.KindChunk, "draft", "s", `"piece "`)
	}
	x.Drop(3, ring.Kept)
	if x.Cold == 0 || x.Len() != 2 {
		t.Fatalf("cold up to %d, %d messages", x.Cold, x.Len())
	}
	before := x.Bytes()
	if grown := x.Merge(all, engine.Losses{}, ring.Expired); grown != x.Bytes()-before {
		t.Errorf("grew by %d, says %d", x.Bytes()-before, grown)
	}
	if x.Len() != 5 {
		t.Errorf("%d messages are held", x.Len())
	}
	r := x.listen()
	r.read(nil)
	r.wants("s", strings.Repeat("piece ", 4))
	if len(r.seen) != 4 {
		t.Errorf("saw %v", r.seen)
	}
}

// TestLog_Merge_lost: what the engine has kept and the log leaves out, since it has lost
// newer messages, is lost for readers of each topic.
func TestLog_Merge_lost(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 1, Bytes: 1 << 20})
	x.at = schemas.TimeOf(time.Now())
	x.Cold = 3
	for _, m := range stored(4, `1`, `1`, `1`) {
		m.Topic = "log"
		x.Append(&m)
	}
	if x.Lost() != 5 {
		t.Fatalf("lost up to %d", x.Lost())
	}
	x.Merge(stored(1, `1`, `1`, `1`), engine.Losses{}, ring.Expired)
	topics := schemas.NewTopicSet([]string{"parts"})
	r := ring.NewReader(topics, 0, 0)
	gap := r.Fill(&x.Log, nil, 1, ring.NoReader, 1<<20)
	if r.Empty() && gap == nil {
		t.Error("nothing is sent, and nothing is said of it")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestLog_texts_interleaved: a reader comes to many texts that have grown at the same time.
// It is sent every piece by itself, and that takes it no longer than the pieces do that
// are joined.
func TestLog_texts_interleaved(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 256, Bytes: 4 << 20})
	const texts, pieces = 50, 1000
	for i := range texts {
		x.begin("draft", fmt.Sprint(i))
	}
	for range pieces {
		for i := range texts {
			x.piece("draft", fmt.Sprint(i), "word ")
		}
	}
	r := x.listen().replay("all")
	r.read(nil)
	for i := range texts {
		r.wants(fmt.Sprint(i), strings.Repeat("word ", pieces))
	}
}

// TestLog_Page_newest: the newest page is the end of all there is, wherever that begins.
func TestLog_Page_newest(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	x := newTexts(t, engine.Limits{Messages: 99, Bytes: 1 << 20})
	open := map[string]string{}
	for step := range 2000 {
		x.step(random, open, step)
	}
	for _, topics := range [][]string{nil, {"status"}, {"draft"}, {"none"}} {
		set := schemas.NewTopicSet(topics)
		for _, after := range []uint64{0, 1000, 1900} {
			all, _ := x.Page(set, after, ring.NoReader, 9999, false)
			for _, limit := range []int{1, 2, 3, 10, 100, 9999} {
				page, more := x.Page(set, after, ring.NoReader, limit, true)
				if len(page) != min(limit, len(all)) || more != (len(all) > limit) {
					t.Fatalf("%v after %d: %d of %d messages, more: %v", topics, after, len(page), len(all), more)
				}
				for i, f := range page {
					if want := all[len(all)-1-i]; string(f.Message()) != string(want.Message()) {
						t.Fatalf("%v after %d: message %d is %s, want %s", topics, after, i, f.Message(), want.Message())
					}
				}
			}
		}
	}
}

// TestLog_DropHeld_text: a text that is the only message is not held whole for a reader
// that is far behind, even if its pieces are empty.
func TestLog_DropHeld_text(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 9, Bytes: 32 << 10, TextBytes: 1 << 20})
	x.Floor = 1
	x.begin("draft", "s")
	for range 100_000 {
		x.piece("draft", "s", "")
		for x.OverLimits() && x.Bytes() > 64<<10 {
			if _, ok := x.DropHeld(ring.NoReader); !ok {
				break
			}
		}
	}
	if x.Bytes() > 64<<10 {
		t.Errorf("%d bytes are held", x.Bytes())
	}
}

// TestLog_fold_behind: a reader that stays behind does not make the log look at all it
// holds with each message, and once the reader has passed, the pieces are folded.
func TestLog_fold_behind(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 99, Bytes: 64 << 20})
	x.begin("draft", "s")
	x.Floor = 1
	for range 1000 {
		x.piece("draft", "s", "word ")
	}
	if n := x.Frames(); n != 1000 {
		t.Errorf("%d frames are held for a reader", n)
	}
	x.Floor = x.Last()
	x.piece("draft", "s", "word ")
	if n := x.Frames(); n > 2 {
		t.Errorf("%d frames are held for nobody", n)
	}
	if n := ring.Room(&x.Log); n > 16 {
		t.Errorf("there is room for %d frames", n)
	}
}

// TestLog_merged_around: what stands around the strings is not sent again and again with
// a little text: then messages are held as they are.
func TestLog_merged_around(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 4096, Bytes: 1 << 20, EventBytes: 60 << 10, Merge: chatRules(t)})
	x.add(schemas.KindData, "parts", "", `{"type":"a","id":1,"delta":"","extra":"`+strings.Repeat("x", 58<<10)+`"}`)
	for range 4000 {
		x.add(schemas.KindData, "parts", "", `{"type":"a","id":1,"delta":"some words"}`)
	}
	frames, _ := x.Page(schemas.NewTopicSet(nil), 0, ring.NoReader, 9999, false)
	sent := 0
	for _, f := range frames {
		sent += len(f.In(ring.SSE))
	}
	if sent > 1<<20 {
		t.Errorf("%d bytes are sent of a log of %d", sent, x.Bytes())
	}
}

// TestLog_text_heldWhole: a text does not lose its beginning because more messages are held
// for a reader than the limits allow: that would make them no fewer.
func TestLog_text_heldWhole(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 4, Bytes: 1 << 20})
	x.begin("draft", "s")
	for range 3000 {
		x.piece("draft", "s", "some words ")
	}
	x.Floor = x.Last()
	for range 9 {
		x.data("status")
	}
	x.piece("draft", "s", "and others")
	r := x.listen().replay("all")
	r.read(nil)
	r.wants("s", x.sent["s"])
}

// Of a text that has ended, nothing but the end stays in the ring once its readers have passed
// it: nothing more may come for long.
func TestLog_fold_ended(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20})
	x.begin("draft", "s")
	for range 9 {
		x.piece("draft", "s", "and so on, ")
	}
	if n := x.Frames(); n != 10 {
		t.Errorf("%d frames of a text that goes on", n)
	}
	x.Swept = 5
	end := x.end("draft", "s")
	if n := x.Frames(); n != 11-5 || !x.OverLimits() {
		t.Errorf("%d frames, as readers have passed 5, over the limits: %t", n, x.OverLimits())
	}
	x.Swept = end
	x.Trim(0)
	if n := x.Frames(); n != 1 || x.OverLimits() {
		t.Errorf("%d frames when readers have passed all, over the limits: %t", n, x.OverLimits())
	}
	r := x.listen().replay("all")
	r.read(nil)
	r.wants("s", x.sent["s"])
}
