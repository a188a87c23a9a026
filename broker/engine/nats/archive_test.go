//go:build unix

package nats_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// piece returns the nth piece of a text, each of which is four bytes long.
func piece(name string, n int) engine.Entry {
	e := entry(name, fmt.Sprintf(`"%04d"`, n))
	e.Topic, e.Kind, e.StreamID, e.Offset = "draft", schemas.KindChunk, "s", int64(4*n)
	return e
}

// putAsBefore stores a message as a node of a version without an archive does.
func (n *node) putAsBefore(t testing.TB, conn *natsio.Conn, e engine.Entry) {
	t.Helper()
	e.CreatedAt = schemas.TimeOf(time.Now())
	m := nats.Seal(&e.Message)
	m.Subject = nats.SubjectOf("sluice.0.m.", e.Channel)
	if answer, err := conn.RequestMsg(m, 5*time.Second); err != nil || strings.Contains(string(answer.Data), "error") {
		t.Fatal(answer, err)
	}
}

func dial(t testing.TB, opts nats.Options) *natsio.Conn {
	t.Helper()
	conn, err := natsio.Connect(opts.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// readText reads until the text has ended, and returns what is sent of it. It fails if
// something is lost.
func (r *reader) readText() (text string) {
	r.t.Helper()
	for {
		if got := r.next(1); len(got) == 0 || strings.HasPrefix(got[0], "$") {
			r.t.Fatalf("after %d bytes: %v", len(text), got)
		} else if got[0] == `{"reason":"complete"}` {
			return text
		} else if piece := ""; json.Unmarshal([]byte(got[0]), &piece) == nil {
			text += piece
		}
	}
}

// TestBroker_text: whoever comes to a node that has nothing of the channel in memory is
// sent the whole text, and from any id on exactly the rest. So is who comes to a node that
// was started afterwards.
func TestBroker_text(t *testing.T) {
	opts := shared(t)
	list := brokers(t, 2, opts)
	p := broker.Publication{Channel: "a", Topic: "draft", StreamID: "s"}
	put := func(kind schemas.Kind, data string) string {
		p.Kind, p.Data = kind, []byte(data)
		r, err := list[0].Publish(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return r.ID.String()
	}
	publish(t, list[0], "a", 1)
	ids := []string{put(schemas.KindStreamStart, "{}")}
	var want strings.Builder
	for i := range 600 {
		ids = append(ids, put(schemas.KindChunk, fmt.Sprintf(`"%04d"`, i)))
		fmt.Fprintf(&want, "%04d", i)
		if p.Offset += 4; i%7 == 0 {
			publish(t, list[0], "a", i)
		}
	}
	put(schemas.KindStreamEnd, `{"reason":"complete"}`)
	third := newBroker(t, open(t, opts))
	for i, b := range []*broker.Broker{list[1], third} {
		sub := broker.Subscription{Channels: []broker.Selector{{Channel: "a"}}, Format: ring.NDJSON, Replay: ring.ReplayAll()}
		s, err := b.Subscribe(t.Context(), sub)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		r := &reader{Stream: s, t: t}
		if got := r.next(1); !slices.Equal(got, []string{"1"}) {
			t.Errorf("node %d: the first message is %v", i, got)
		}
		if got := r.readText(); got != want.String() {
			t.Errorf("node %d: %d bytes of the text", i, len(got))
		}
		for range 20 {
			n := rand.IntN(len(ids))
			if got := read(t, b, ids[n], "a").readText(); got != want.String()[4*n:] {
				t.Errorf("node %d: after piece %d, %d bytes of the text", i, n, len(got))
			}
		}
	}
}

// The latest message of each topic is there on another node, although many more messages
// have come since than the channel, or the stream, keeps.
func TestBroker_latest(t *testing.T) {
	opts := shared(t)
	opts.Retain.Messages = 8
	var list [2]*broker.Broker
	for i := range list {
		b, err := broker.New(broker.Options{Engine: open(t, opts), Replay: engine.Limits{Messages: 8}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		list[i] = b
	}
	publish(t, list[0], "a", `"quiet"`)
	for i := range 1000 {
		if _, err := list[0].Publish(t.Context(), broker.Publication{Channel: "a", Topic: "log", Data: []byte(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	latest, err := ring.ParseReplay("latest")
	if err != nil {
		t.Fatal(err)
	}
	s, err := list[1].Subscribe(t.Context(), broker.Subscription{Channels: []broker.Selector{{Channel: "a"}}, Format: ring.NDJSON, Replay: latest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	wantTexts(t, "latest", (&reader{Stream: s, t: t}).next(2), []string{`"quiet"`, "999"})
}

// What a node leaves over is put into blocks when it closes, and soon after the last piece.
// Then any number of messages may push it out of the channel's subject.
func TestArchive_leftovers(t *testing.T) {
	opts := shared(t)
	for _, how := range []string{"swept", "closed"} {
		a, b := start(t, opts), start(t, opts)
		for i := range 20 {
			a.put(t, piece(how, i))
		}
		if how == "swept" {
			a.ArchiveNow(t.Context())
		} else if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if n := a.Unarchived(); n != 0 {
			t.Errorf("%s: %d channels are left", how, n)
		}
		for i := range 250 { // fewer than are kept, but with the pieces more
			b.put(t, entry(how, fmt.Sprint(i)))
		}
		if kept := start(t, opts).load(t, schemas.Channel(how)); len(kept.Messages) != 270 || kept.Lost.Newest >= kept.Messages[0].ID.Seq {
			t.Errorf("%s: %d messages, lost up to %d", how, len(kept.Messages), kept.Lost.Newest)
		}
	}
}

// What nodes of an older version push out is lost, and said to be. What they have left is
// archived by the first node that knows how.
func TestArchive_olderNodes(t *testing.T) {
	opts := shared(t)
	n, conn := start(t, opts), dial(t, opts)
	for i := range 300 {
		n.putAsBefore(t, conn, piece("c", i))
	}
	for i := 300; i < 900; i++ {
		n.put(t, piece("c", i))
	}
	kept := start(t, opts).load(t, "c")
	if m := kept.Messages; len(m) != 856-1 || string(m[0].Data) != `"0045"` || kept.Lost.Newest != m[0].ID.Seq-1 {
		t.Errorf("kept %d from %s on, lost up to %d", len(m), m[0].Data, kept.Lost.Newest)
	}
	for i := 900; i < 1200; i++ {
		n.putAsBefore(t, conn, piece("c", i))
	}
	kept = start(t, opts).load(t, "c")
	if last, m := len(kept.Messages)-256, kept.Messages; kept.Lost.Newest != m[last].ID.Seq-1 || m[last-1].ID.Seq >= kept.Lost.Newest {
		t.Errorf("lost up to %d, but the newest begin at %d after %d", kept.Lost.Newest, m[last].ID.Seq, m[last-1].ID.Seq)
	}
}

// A channel with many blocks gets few in their place. Nothing is lost, whatever node makes
// them.
func TestArchive_merge(t *testing.T) {
	const pieces = 6000
	opts := shared(t)
	list := nodes(t, 2, opts)
	for i := range pieces {
		list[i/1000%2].put(t, piece("c", i))
	}
	kept := start(t, opts).load(t, "c")
	if len(kept.Messages) != pieces || kept.Lost.Newest >= kept.Messages[0].ID.Seq {
		t.Errorf("%d messages, lost up to %d", len(kept.Messages), kept.Lost.Newest)
	}
	for i, m := range kept.Messages {
		if m.Offset != int64(4*i) {
			t.Fatalf("piece %d is at %d", i, m.Offset)
		}
	}
	if n := list[0].Blocks(t, "c"); n > 64 {
		t.Errorf("%d blocks", n)
	}
}

// Of a channel that is longer than all blocks may be, the oldest messages go, and that is
// said.
func TestArchive_merge_tooLong(t *testing.T) {
	n := start(t, shared(t))
	text := strings.Repeat("x", 8<<10)
	var ids []uint64
	for range 1500 { // 12 MB
		e := piece("c", 0)
		e.Data, e.Offset = []byte(`"`+text+`"`), int64(len(ids)*len(text))
		ids = append(ids, n.put(t, e).ID.Seq)
	}
	kept := n.load(t, "c")
	first := len(ids) - len(kept.Messages)
	if first < 100 || len(kept.Messages) < 4<<20/len(text) || kept.Lost.Newest != ids[first-1] {
		t.Fatalf("%d messages of %d, lost up to %d", len(kept.Messages), len(ids), kept.Lost.Newest)
	}
	for i, m := range kept.Messages {
		if m.ID.Seq != ids[first+i] {
			t.Fatalf("message %d is at %d, want %d", i, m.ID.Seq, ids[first+i])
		}
	}
}

// A channel that is deleted loses its blocks, too, and one that is published to again has
// only what came since.
func TestArchive_Delete(t *testing.T) {
	list := nodes(t, 2, shared(t))
	for i := range 400 {
		list[0].put(t, piece("c", i))
	}
	if _, err := list[1].Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	list[0].until(t, "word of it", func() bool { return len(list[0].load(t, "c").Messages) == 0 })
	for i := range 400 {
		list[0].put(t, piece("c", i))
	}
	for _, n := range list {
		if kept := n.load(t, "c"); len(kept.Messages) != 400 || kept.Lost.Newest >= kept.Messages[0].ID.Seq {
			t.Errorf("%d messages, lost up to %d", len(kept.Messages), kept.Lost.Newest)
		}
	}
}

// Another node may be started that has the stream keep less.
func TestEngine_Load_keepsLessSince(t *testing.T) {
	opts := shared(t)
	opts.Retain.Messages = 400
	n := start(t, opts)
	for i := range 300 {
		n.put(t, entry("c", fmt.Sprint(i)))
	}
	if kept := n.load(t, "c"); len(kept.Messages) != 300 {
		t.Fatalf("%d messages", len(kept.Messages))
	}
	opts.Retain.Messages = 256
	start(t, opts)
	n.until(t, "word of it", func() bool {
		kept := n.load(t, "c")
		return len(kept.Messages) == 256 && kept.Lost.Newest == kept.Messages[0].ID.Seq-1
	})
}

// Messages that a merge rule holds as one are pieces, too.
func TestArchive_mergeRule(t *testing.T) {
	opts := shared(t)
	catalog := schemas.NewCatalog(schemas.Limits{})
	def, err := schemas.ParseDefinition("c", []byte(`{"topics":{"status":{"merge":{"append":"/delta"}}}}`))
	if err == nil {
		err = catalog.Put(def)
	}
	if err != nil {
		t.Fatal(err)
	}
	opts.LimitsOf = func(name schemas.Channel) engine.Limits { return engine.LimitsOf(catalog.For(name)) }
	n := start(t, opts)
	for i := range 600 {
		e := entry("c", fmt.Sprintf(`{"delta":"%d"}`, i))
		e.Limits.Merge = opts.LimitsOf("c").Merge
		n.put(t, e)
	}
	if kept := start(t, opts).load(t, "c"); len(kept.Messages) != 600 || kept.Lost.Newest >= kept.Messages[0].ID.Seq {
		t.Errorf("%d messages, lost up to %d", len(kept.Messages), kept.Lost.Newest)
	}
}

// Three nodes publish a text each to one channel at the same time, and one of them other
// messages.
func TestArchive_manyNodes(t *testing.T) {
	const pieces = 500
	opts := shared(t)
	list := nodes(t, 3, opts)
	var all sync.WaitGroup
	for i, n := range append(list, list[0]) {
		all.Go(func() {
			for k := range pieces {
				e := piece("c", k)
				if e.StreamID = fmt.Sprint(i); i == len(list) {
					e = entry("c", fmt.Sprint(k))
				}
				if _, err := n.Append(t.Context(), e); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if kept := start(t, opts).load(t, "c"); len(kept.Messages) != 4*pieces || kept.Lost.Newest >= kept.Messages[0].ID.Seq {
		t.Errorf("%d messages, lost up to %d", len(kept.Messages), kept.Lost.Newest)
	}
}

// While a channel is read, messages that nobody has read yet are pushed out. That is
// noticed.
func TestEngine_Load_whilePublishing(t *testing.T) {
	list := nodes(t, 2, shared(t))
	first := list[0].put(t, entry("c", "0")).ID.Seq
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 4000 {
			if _, err := list[0].Append(t.Context(), entry("c", fmt.Sprint(i))); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for loads := 0; ; loads++ {
		if kept := list[1].load(t, "c"); kept.Messages[0].ID.Seq > first && kept.Lost.Newest != kept.Messages[0].ID.Seq-1 {
			t.Fatalf("load %d: %d messages from %d on, lost up to %d", loads, len(kept.Messages), kept.Messages[0].ID.Seq, kept.Lost.Newest)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
