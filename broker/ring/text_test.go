package ring_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// texts publishes messages and texts to a log.
type texts struct {
	ring.Log
	t    *testing.T
	at   schemas.Time
	sent map[string]string // by stream id
}

func newTexts(t *testing.T, limits engine.Limits) *texts {
	if limits.Age == 0 {
		limits.Age = time.Hour
	}
	x := &texts{t: t, sent: make(map[string]string)}
	x.Limits = limits
	x.Floor, x.Swept = ring.NoReader, ring.NoReader
	return x
}

func (x *texts) add(kind schemas.Kind, topic, stream, data string) uint64 {
	m := schemas.Message{
		ID: schemas.ID{Epoch: 1, Seq: x.Last() + 1}, Channel: "c", Topic: schemas.Topic(topic), Kind: kind,
		Data: []byte(data), StreamID: stream, CreatedAt: x.at,
	}
	if kind == schemas.KindChunk {
		var piece string
		if err := json.Unmarshal(m.Data, &piece); err != nil {
			x.t.Fatal(err)
		}
		m.Offset = int64(len(x.sent[stream]))
		x.sent[stream] += piece
	}
	before := x.Bytes()
	if _, grown := x.Append(&m); grown != x.Bytes()-before {
		x.t.Fatalf("grew by %d, says %d", x.Bytes()-before, grown)
	}
	return m.ID.Seq
}

func (x *texts) data(topic string) uint64 { return x.add(schemas.KindData, topic, "", `1`) }

func (x *texts) begin(topic, stream string) uint64 {
	return x.add(schemas.KindStreamStart, topic, stream, `{}`)
}

func (x *texts) piece(topic, stream, text string) uint64 {
	return x.add(schemas.KindChunk, topic, stream, string(schemas.AppendString(nil, text)))
}

func (x *texts) end(topic, stream string) uint64 {
	return x.add(schemas.KindStreamEnd, topic, stream, `{"reason":"complete"}`)
}

// listener puts together what a reader is sent.
type listener struct {
	t        *testing.T
	log      *texts
	topics   schemas.TopicSet
	reader   ring.Reader
	position uint64
	replayed string
	joined   uint64 // newest position when it came
	text     map[string]string
	from     map[string]int64 // where a text that was joined begins
	ended    map[string]bool
	seen     []uint64
	gaps     []ring.Gap
}

func (x *texts) listen(topics ...string) *listener {
	set := schemas.NewTopicSet(topics)
	return &listener{
		t: x.t, log: x, topics: set, reader: ring.NewReader(set, 0, 0),
		text: make(map[string]string), from: make(map[string]int64), ended: make(map[string]bool),
	}
}

// replay begins with a replay.
func (r *listener) replay(text string) *listener {
	replay, err := ring.ParseReplay(text)
	if err != nil {
		r.t.Fatal(err)
	}
	r.replayed = text
	r.position, r.joined = r.log.Last(), r.log.Last()
	if first, some := r.reader.Select(&r.log.Log, replay); some {
		r.position = min(r.position, first-1)
	}
	return r
}

// resume connects anew, with the position that it has, unless it is still in its replay:
// what that leaves out would be sent then.
func (r *listener) resume() {
	if r.position >= r.joined {
		r.reader = ring.NewReader(r.topics, 0, 0)
	}
}

// read takes what there is. The frames that it is handed end at random positions, as if
// it read other channels as well.
func (r *listener) read(random *rand.Rand) {
	for {
		if gap := r.reader.Fill(&r.log.Log, nil, r.position, ring.NoReader, 1<<20); gap != nil {
			r.gaps = append(r.gaps, *gap)
		}
		if r.reader.Empty() {
			return
		}
		for !r.reader.Empty() {
			limit := uint64(ring.NoReader)
			if random != nil && random.IntN(2) == 0 {
				limit = r.reader.Peek() + random.Uint64N(5)
			}
			r.take(r.reader.Next(limit), limit)
			if random != nil && random.IntN(20) == 0 {
				r.resume()
			}
		}
	}
}

func (r *listener) take(f *ring.Frame, limit uint64) {
	if f.Seq <= r.position || f.Seq > limit {
		r.t.Fatalf("handed %d at %d, with the limit %d", f.Seq, r.position, limit)
	}
	r.position = f.Seq
	var m schemas.Message
	if err := json.Unmarshal(f.Message(), &m); err != nil {
		r.t.Fatal(err)
	}
	if m.ID.Seq != f.Seq {
		r.t.Fatalf("%d says that it is %d", f.Seq, m.ID.Seq)
	}
	switch m.Kind {
	case schemas.KindChunk:
		var piece string
		if err := json.Unmarshal(m.Data, &piece); err != nil {
			r.t.Fatal(err)
		}
		if _, known := r.text[m.StreamID]; !known {
			r.from[m.StreamID] = m.Offset
		}
		if want := r.from[m.StreamID] + int64(len(r.text[m.StreamID])); m.Offset != want && len(r.gaps) == 0 {
			r.t.Fatalf("%s goes on at %d, and %d are there", m.StreamID, m.Offset, want)
		}
		r.text[m.StreamID] += piece
	case schemas.KindStreamEnd:
		r.ended[m.StreamID] = true
	case schemas.KindData:
		r.seen = append(r.seen, f.Seq)
	}
}

func (r *listener) wants(stream, text string) {
	r.t.Helper()
	if r.text[stream] != text {
		r.t.Fatalf("%s is %q, want %q", stream, r.text[stream], text)
	}
}

// TestLog_text: whoever comes while a text grows, or after it has ended, is sent all of
// it, in few messages.
func TestLog_text(t *testing.T) {
	for _, replay := range []string{"all", "latest", "1", "9"} {
		x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20})
		for range 9 {
			x.data("status")
		}
		x.begin("draft", "s")
		for i := range 600 {
			x.piece("draft", "s", fmt.Sprint("word ", i, `" `))
		}
		during := x.listen().replay(replay)
		during.read(nil)
		during.wants("s", x.sent["s"])
		for i := range 600 {
			x.piece("draft", "s", fmt.Sprint("more ", i, "\n"))
		}
		x.end("draft", "s")
		during.read(nil)
		after := x.listen().replay(replay)
		after.read(nil)
		for _, r := range []*listener{during, after} {
			r.wants("s", x.sent["s"])
			if !r.ended["s"] || len(r.gaps) > 0 {
				t.Errorf("%s: ended %v, gaps %v", replay, r.ended, r.gaps)
			}
		}
		if n := x.Len(); n != 8 {
			t.Errorf("%d messages are held", n)
		}
	}
}

// TestLog_text_whole: the pieces between which nothing else was published come as one.
func TestLog_text_whole(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20})
	x.begin("draft", "s")
	for range 100 {
		x.piece("draft", "s", "piece ")
	}
	x.data("status")
	for range 100 {
		x.piece("draft", "s", "piece ")
	}
	x.end("draft", "s")
	x.data("status")
	frames, more := x.Page(schemas.NewTopicSet(nil), 0, ring.NoReader, 99, false)
	if len(frames) != 6 || more { // start, piece, status, piece, end, status
		t.Errorf("%d messages, %v", len(frames), more)
	}
	if frames, _ = x.Page(schemas.NewTopicSet([]string{"draft"}), 0, ring.NoReader, 99, false); len(frames) != 3 {
		t.Errorf("%d messages of the topic", len(frames))
	}
}

// TestLog_text_tooLong: a text that is longer than it may be loses its beginning.
func TestLog_text_tooLong(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20, TextBytes: 64 << 10})
	x.begin("draft", "s")
	for range 10_000 {
		x.piece("draft", "s", "01234567")
	}
	r := x.listen().replay("latest")
	r.read(nil)
	if n := len(r.text["s"]); n > 64<<10 || n < 48<<10 || int64(n)+r.from["s"] != 80_000 {
		t.Errorf("%d bytes from %d", n, r.from["s"])
	}
}

// TestLog_text_memory: a text takes little more memory than its bytes.
func TestLog_text_memory(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 256, Bytes: 1 << 20})
	x.begin("draft", "s")
	for range 7500 {
		x.piece("draft", "s", "01234567")
	}
	x.end("draft", "s")
	if n := x.Bytes(); n > 60_000*3/2 {
		t.Errorf("60,000 bytes of text take %d", n)
	}
}

// TestLog_text_largePieces: that is also so if its pieces are large.
func TestLog_text_largePieces(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 100, Bytes: 1 << 20})
	x.begin("a", "s")
	for range 10 {
		x.piece("a", "s", strings.Repeat("x", 6000))
	}
	x.end("a", "s")
	if most := int64(60_000 * 5 / 4); x.Bytes() > most {
		t.Errorf("60,000 bytes of text take %d, at most %d are expected", x.Bytes(), most)
	}
	late := x.listen().replay("all")
	late.read(nil)
	late.wants("s", x.sent["s"])
}

// TestLog_latest: the latest message of a topic is held, whatever the others publish.
func TestLog_latest(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 8, Bytes: 1 << 20})
	first := x.data("status")
	x.begin("draft", "s")
	x.piece("draft", "s", "all of it")
	x.end("draft", "s")
	for range 100 {
		x.data("tokens")
	}
	r := x.listen().replay("latest")
	r.read(nil)
	r.wants("s", "all of it")
	if fmt.Sprint(r.seen) != fmt.Sprint([]uint64{first, x.Last()}) {
		t.Errorf("saw %v", r.seen)
	}
	next := x.data("status")
	r.read(nil)
	again := x.listen("status").replay("latest")
	again.read(nil)
	if fmt.Sprint(again.seen) != fmt.Sprint([]uint64{next}) {
		t.Errorf("saw %v after it was replaced", again.seen)
	}
	for i := range 1000 {
		x.data(fmt.Sprint("topic", i))
	}
	if x.Len() > 8+32 {
		t.Errorf("%d messages are held", x.Len())
	}
	x.Drop(x.Len(), ring.Overrun)
	if x.Len() != 0 || x.Bytes() != 0 || x.Frames() != 0 {
		t.Errorf("%d messages and %d bytes are left", x.Len(), x.Bytes())
	}
}

// TestLog_texts_random: texts grow between each other and between other messages, and
// readers come, stall, go and come back. Each has every text from where it joined, once.
func TestLog_texts_random(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		x := newTexts(t, engine.Limits{Messages: 4 + random.IntN(8), Bytes: 1 << 20})
		open := map[string]string{} // topics by stream id
		var readers []*listener
		for step := range 600 {
			x.step(random, open, step)
			if random.IntN(10) == 0 {
				topics := [][]string{nil, {"draft"}, {"draft", "status"}, {"notes", "draft"}}[random.IntN(4)]
				readers = append(readers, x.listen(topics...).replay([]string{"all", "latest", "3"}[random.IntN(3)]))
				x.Hold()
			}
			for _, r := range readers {
				switch random.IntN(12) {
				case 0, 1:
					r.read(random)
				case 2:
					r.resume()
				}
			}
			if random.IntN(4) == 0 {
				x.measure(readers)
			}
		}
		for _, r := range readers {
			r.read(random)
			for stream, text := range r.text {
				if !strings.HasSuffix(x.sent[stream], text) || len(r.gaps) == 0 && text != x.sent[stream] {
					t.Fatalf("seed %d: %s is %q, want %q; gaps %v; %v joined at %d, from %d; %v", seed, stream, text, x.sent[stream], r.gaps, r.topics.Names(), r.joined, r.from[stream], r.replayed)
				}
			}
			if len(r.gaps) > 0 {
				t.Fatalf("seed %d: gaps %+v, although everything is held for readers", seed, r.gaps)
			}
		}
	}
}

// step publishes something.
func (x *texts) step(random *rand.Rand, open map[string]string, step int) {
	topic := []string{"draft", "notes"}[random.IntN(2)]
	switch n := random.IntN(20); {
	case n == 0 && len(open) < 8:
		stream := fmt.Sprint("s", step)
		open[stream] = topic
		x.begin(topic, stream)
	case n < 4:
		x.data([]string{"status", "log"}[random.IntN(2)])
	default:
		for stream, topic := range open {
			if random.IntN(40) == 0 {
				x.end(topic, stream)
				delete(open, stream)
			} else {
				x.piece(topic, stream, strings.Repeat(fmt.Sprint(step, "ä "), 1+random.IntN(3)))
			}
			return
		}
	}
}

// measure tells the log how far its readers are.
func (x *texts) measure(readers []*listener) {
	x.BeginMeasure()
	floor := uint64(ring.NoReader)
	for _, r := range readers {
		floor = min(floor, r.position)
	}
	x.EndMeasure(floor)
	x.Trim(int64(x.at))
}

// chatRules merges the parts of a model's answer on topic parts.
func chatRules(t *testing.T) *schemas.MergeRules {
	t.Helper()
	def, err := schemas.ParseDefinition("c", []byte(`{"topics":{"parts":{"merge":{"append":"/delta","key":["/type","/id"]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	catalog := schemas.NewCatalog(schemas.Limits{})
	if err := catalog.Put(def); err != nil {
		t.Fatal(err)
	}
	return catalog.For("c").Merge()
}

// answer is what a page makes of the parts that it is sent.
type answer struct {
	parts []part
	last  uint64
}

type part struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	Delta string `json:"delta,omitempty"`
}

func (a *answer) take(t *testing.T, f *ring.Frame) {
	t.Helper()
	var m schemas.Message
	var p part
	if err := json.Unmarshal(f.Message(), &m); err != nil {
		t.Fatal(err)
	}
	if m.Topic != "parts" {
		return
	}
	if err := json.Unmarshal(m.Data, &p); err != nil {
		t.Fatal(err)
	}
	if f.First() <= a.last {
		t.Fatalf("sent %d, which begins with %d, after %d", f.Seq, f.First(), a.last)
	}
	first := schemas.ID{}
	if f.First() != f.Seq {
		first = m.ID
		first.Seq = f.First()
	}
	if m.ID.Seq != f.Seq || m.FirstID != first {
		t.Fatalf("the ids of %d to %d are %v and %v", f.First(), f.Seq, m.FirstID, m.ID)
	}
	a.last = f.Seq
	a.add(p)
}

func (a *answer) add(p part) {
	if n := len(a.parts) - 1; n >= 0 && p.Delta != "" && a.parts[n].Type == p.Type && a.parts[n].ID == p.ID {
		a.parts[n].Delta += p.Delta
		return
	}
	a.parts = append(a.parts, p)
}

// TestLog_merged: the parts of an answer are held as few messages, and a reader that comes
// or resumes anywhere makes the same of them as one that was sent all of them.
func TestLog_merged(t *testing.T) {
	rules := chatRules(t)
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		x := newTexts(t, engine.Limits{Messages: 40, Bytes: 1 << 20, Merge: rules})
		var whole answer
		var after []answer // by position: what a reader makes of the rest
		publish := func(p part) {
			data, _ := json.Marshal(p)
			seq := x.add(schemas.KindData, "parts", "", string(data))
			for len(after) < int(seq) {
				after = append(after, answer{})
			}
			for i := range after {
				after[i].add(p)
			}
			whole.add(p)
		}
		for i := range 12 {
			id := fmt.Sprint(i)
			publish(part{Type: "text-start", ID: id})
			for n := range 1 + random.IntN(60) {
				publish(part{Type: "text-delta", ID: id, Delta: fmt.Sprint("wört", n, "\n")})
				if random.IntN(20) == 0 && i < 10 {
					x.data("status")
				}
			}
			publish(part{Type: "text-end", ID: id})
		}
		for from := range x.Last() {
			var got answer
			r := ring.NewReader(schemas.NewTopicSet(nil), 0, 0)
			if random.IntN(9) > 0 && from > 0 {
				continue
			}
			for {
				if gap := r.Fill(&x.Log, nil, from, ring.NoReader, 1<<20); gap != nil && from == 0 && x.Lost() == 0 {
					t.Fatalf("seed %d: gap %+v", seed, gap)
				}
				if r.Empty() {
					break
				}
				for !r.Empty() {
					got.take(t, r.Next(r.Peek()+random.Uint64N(90)))
				}
			}
			var want answer
			if int(from) < len(after) {
				want = after[from]
			}
			if fmt.Sprint(got.parts) != fmt.Sprint(want.parts) && x.Lost() <= from {
				t.Fatalf("seed %d, after %d:\n got %v\nwant %v", seed, from, got.parts, want.parts)
			}
		}
	}
}

// TestLog_merged_held: messages that are held as one count as one, and those that do not
// agree, or between which others were published on their topic, are held apart.
func TestLog_merged_held(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 99, Bytes: 1 << 20, Merge: chatRules(t)})
	add := func(data string) { x.add(schemas.KindData, "parts", "", data) }
	for range 100 {
		add(`{"type":"text-delta","id":"1","delta":"ab"}`)
	}
	add(`{"type":"text-end","id":"1"}`)
	for range 100 {
		add(`{"type":"text-delta","id":"2","delta":"cd","extra":true}`)
	}
	x.data("other")
	add(`{"type":"text-delta","id":"2","delta":"ef"}`)
	add(`{"type":"text-delta","id":"3","delta":"gh"}`)
	frames, _ := x.Page(schemas.NewTopicSet([]string{"parts"}), 0, ring.NoReader, 99, false)
	var got []string
	for _, f := range frames {
		var m schemas.Message
		if err := json.Unmarshal(f.Message(), &m); err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m.Data))
	}
	want := []string{
		`{"type":"text-delta","id":"1","delta":"` + strings.Repeat("ab", 100) + `"}`,
		`{"type":"text-end","id":"1"}`,
		`{"type":"text-delta","id":"2","delta":"` + strings.Repeat("cd", 100) + `ef","extra":true}`,
		`{"type":"text-delta","id":"3","delta":"gh"}`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if x.Len() != 5 {
		t.Errorf("%d messages are held", x.Len())
	}
}

// TestLog_text_eventBytes: what joins several messages is no longer than an event may be,
// whatever is in them.
func TestLog_text_eventBytes(t *testing.T) {
	const most = 3000
	x := newTexts(t, engine.Limits{Messages: 99, Bytes: 1 << 20, EventBytes: most, Merge: chatRules(t)})
	x.begin("draft", "s")
	for range 200 {
		x.piece("draft", "s", "\x01\x02\x03\x04\"\\€")
	}
	x.end("draft", "s")
	add := func(extra int, delta string) {
		x.add(schemas.KindData, "parts", "", fmt.Sprintf(`{"type":"a","id":1,"delta":%q,"extra":"%s"}`, delta, strings.Repeat("x", extra)))
	}
	for _, extra := range []int{0, 1000, 2500} {
		for range 100 {
			add(extra, strings.Repeat("y", 40))
		}
		add(0, strings.Repeat("z", 2500))
	}
	frames, _ := x.Page(schemas.NewTopicSet(nil), 0, ring.NoReader, 999, false)
	for _, f := range frames {
		if n := len(f.In(ring.SSE)); n > most {
			t.Errorf("an event of %d bytes", n)
		}
	}
	if len(frames) > 200 {
		t.Errorf("%d messages", len(frames))
	}
}

// TestLog_merged_empty: pieces without text take memory, too, and that is bounded.
func TestLog_merged_empty(t *testing.T) {
	x := newTexts(t, engine.Limits{Messages: 9, Bytes: 64 << 10, Merge: chatRules(t)})
	for range 200_000 {
		x.add(schemas.KindData, "parts", "", `{"type":"a","id":1,"delta":""}`)
	}
	if x.Bytes() > 96<<10 {
		t.Errorf("%d bytes are held", x.Bytes())
	}
}
