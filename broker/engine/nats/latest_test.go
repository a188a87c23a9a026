//go:build unix

package nats_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/schemas"
)

// on returns an entry of a topic of the channel c.
func on(topic schemas.Topic, data string) engine.Entry {
	e := entry("c", data)
	e.Topic = topic
	return e
}

// has reports whether messages include the one at a position.
func has(messages []schemas.Message, seq uint64) bool {
	return slices.ContainsFunc(messages, func(m schemas.Message) bool { return m.ID.Seq == seq })
}

// A node that has restarted knows nothing of what was published before, by itself or others.
func TestLatest_restarts(t *testing.T) {
	opts := shared(t)
	n := start(t, opts)
	quiet := n.put(t, on("quiet", "1")).ID.Seq
	for i := range 1000 {
		if i%90 == 0 {
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			n = start(t, opts)
		}
		n.put(t, on("busy", fmt.Sprint(i)))
	}
	kept := start(t, opts).load(t, "c")
	if m := kept.Messages; m[0].ID.Seq != quiet || len(m) < 256 || kept.Lost.Newest != m[1].ID.Seq-1 {
		t.Errorf("%d messages from %d on, lost up to %d; want %d as well", len(m), m[0].ID.Seq, kept.Lost.Newest, quiet)
	}
}

// What was published through one node is kept by another one that does not know of it, long
// after it began to look.
func TestLatest_ofAnotherNode(t *testing.T) {
	list := nodes(t, 3, shared(t))
	var quiet []uint64
	for round := range 5 {
		e := on(schemas.Topic(fmt.Sprint("quiet", round)), "1")
		e.Sub, e.Key = "alice", fmt.Sprint(round)
		quiet = append(quiet, list[1].put(t, e).ID.Seq)
		for i := range 500 {
			list[0].put(t, on("busy", fmt.Sprint(i)))
			if i == 150 { // one does not wait for the other
				list[1].until(t, "the record", func() bool { return has(list[2].Latest(t, "c"), quiet[round]) })
			}
		}
	}
	kept := list[2].load(t, "c").Messages
	for i, seq := range quiet {
		if kept[i].ID.Seq != seq || kept[i].Sub != "alice" || string(kept[i].Data) != "1" {
			t.Errorf("message %d is %+v, want %d", i, kept[i], seq)
		}
	}
}

// What a node has published is kept after it has ended, by another one that has published
// to the channel before, and not heard of it.
func TestLatest_ofNodeThatEnded(t *testing.T) {
	opts := shared(t)
	n, other := start(t, opts), start(t, opts)
	for i := range 300 {
		n.put(t, on("busy", fmt.Sprint(i)))
	}
	quiet := other.put(t, on("quiet", "1")).ID.Seq
	doubts := n.Doubts()
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	n.until(t, "word of it", func() bool { return n.Doubts() > doubts })
	for i := range 300 {
		n.put(t, on("busy", fmt.Sprint(i)))
	}
	if kept := n.load(t, "c").Messages; kept[0].ID.Seq != quiet {
		t.Errorf("the first of %d messages is %d, want %d", len(kept), kept[0].ID.Seq, quiet)
	}
}

// Three nodes with three publishers each, who do not wait for each other for five messages.
func TestLatest_manyPublishers(t *testing.T) {
	list := nodes(t, 3, shared(t))
	var quiet [9]uint64
	for round := range 100 {
		var all sync.WaitGroup
		for p := range quiet {
			all.Go(func() {
				for range 5 {
					topic := schemas.Topic("busy")
					if round < 40 && round%9 == p {
						topic = schemas.Topic(fmt.Sprint("quiet", p))
					}
					r, err := list[p%3].Append(t.Context(), on(topic, "1"))
					if err != nil {
						t.Error(err)
						return
					}
					if topic != "busy" {
						quiet[p] = r.ID.Seq
					}
				}
			})
		}
		all.Wait()
	}
	kept := list[0].load(t, "c")
	for _, seq := range quiet {
		if !has(kept.Messages, seq) {
			t.Errorf("%d is lost", seq)
		}
	}
}

// What is too old is neither loaded nor put into further records.
func TestLatest_expired(t *testing.T) {
	opts := shared(t)
	n, conn := start(t, opts), dial(t, opts)
	for i, age := range []time.Duration{11 * time.Minute, 10*time.Minute + 15*time.Second, 9 * time.Minute} {
		n.putOld(t, conn, on(schemas.Topic(fmt.Sprint("quiet", i)), fmt.Sprint("old", i)), age)
	}
	for i := range 600 {
		n.put(t, on("busy", fmt.Sprint(i)))
	}
	if got := texts(n.Latest(t, "c")); !slices.Equal(got, []string{"old1", "old2"}) { // clocks may differ
		t.Errorf("the record has %v", got)
	}
	kept := n.load(t, "c")
	if got := texts(kept.Messages[:2]); got[0] != "old2" || has(kept.Messages, kept.Lost.Newest) || kept.Lost.Newest != kept.Messages[1].ID.Seq-1 {
		t.Errorf("loaded %v first, lost up to %d", got, kept.Lost.Newest)
	}
}

// putOld stores a message as if a node had done so that long ago.
func (n *node) putOld(t testing.TB, conn *natsio.Conn, e engine.Entry, age time.Duration) {
	t.Helper()
	e.CreatedAt = schemas.TimeOf(time.Now().Add(-age))
	m := nats.Seal(&e.Message)
	m.Subject = nats.SubjectOf("sluice.0.m.", e.Channel)
	if answer, err := conn.RequestMsg(m, 5*time.Second); err != nil || strings.Contains(string(answer.Data), "error") {
		t.Fatal(answer, err)
	}
}

// A deletion takes the record, too, and hides one that is stored after it but was read before.
func TestLatest_Delete(t *testing.T) {
	n := start(t, shared(t))
	busy := func() {
		for i := range 600 {
			n.put(t, on("busy", fmt.Sprint(i)))
		}
	}
	n.put(t, on("quiet", `"deleted"`))
	busy()
	deleted := n.Latest(t, "c")
	if _, err := n.Delete(t.Context(), "c"); err != nil || len(deleted) != 1 {
		t.Fatalf("%v, %v", texts(deleted), err)
	}
	if got := n.Latest(t, "c"); got != nil {
		t.Errorf("the record still has %v", texts(got))
	}
	n.SetLatest(t, "c", deleted)
	busy()
	if kept := n.load(t, "c"); has(kept.Messages, deleted[0].ID.Seq) {
		t.Error("a deleted message is back")
	}
	n.put(t, on("other", `"new"`))
	busy()
	if got := texts(n.Latest(t, "c")); !slices.Equal(got, []string{`"new"`}) {
		t.Errorf("the record has %v", got)
	}
}

// A channel may have blocks of one node, and a record of another one.
func TestLatest_besideBlocks(t *testing.T) {
	list := nodes(t, 2, shared(t))
	for i := range 20 {
		list[0].put(t, piece("c", i))
	}
	list[0].ArchiveNow(t.Context())
	quiet := list[1].put(t, on("quiet", `"quiet"`)).ID.Seq
	for i := range 600 {
		list[1].put(t, on("busy", fmt.Sprint(i)))
	}
	if got := texts(list[0].Latest(t, "c")); !slices.Equal(got, []string{`"quiet"`}) {
		t.Errorf("the record has %v", got)
	}
	kept := list[0].load(t, "c")
	if m := kept.Messages; len(m) != 20+1+256 || m[20].ID.Seq != quiet || kept.Lost.Newest != m[21].ID.Seq-1 {
		t.Errorf("%d messages, lost up to %d", len(m), kept.Lost.Newest)
	}
}

// Where the stream keeps more than before, the number of messages does not show that some
// were pushed out.
func TestLatest_keepsMoreThanBefore(t *testing.T) {
	opts := shared(t)
	n := start(t, opts)
	quiet := n.put(t, on("quiet", "1")).ID.Seq
	for i := range 600 {
		n.put(t, on("busy", fmt.Sprint(i)))
	}
	opts.Retain.Messages = 400
	kept := start(t, opts).load(t, "c")
	if m := kept.Messages; len(m) != 257 || m[0].ID.Seq != quiet || kept.Lost.Newest != m[1].ID.Seq-1 {
		t.Errorf("%d messages from %d on, lost up to %d", len(m), m[0].ID.Seq, kept.Lost.Newest)
	}
}

// Of more quiet topics than may be kept, or longer messages, the oldest go.
func TestLatest_limits(t *testing.T) {
	n := start(t, shared(t))
	for i := range 40 {
		n.put(t, on(schemas.Topic(fmt.Sprint("quiet", i)), fmt.Sprint("many", i)))
	}
	for i := range 600 {
		n.put(t, on("busy", fmt.Sprint(i)))
	}
	got := n.Latest(t, "c")
	if len(got) != 32 || string(got[0].Data) != "many8" || string(got[31].Data) != "many39" {
		t.Errorf("the record has %v", texts(got))
	}
	for i := range 5 {
		n.put(t, on(schemas.Topic(fmt.Sprint("long", i)), fmt.Sprintf(`"%d%s"`, i, strings.Repeat("x", 50<<10))))
	}
	for i := range 600 {
		e := on("busy", fmt.Sprint(i))
		e.Limits.Bytes = 110 << 10 // two of them
		n.put(t, e)
	}
	var long []string
	got = n.Latest(t, "c")
	for _, m := range got {
		if len(m.Data) > 100 {
			long = append(long, string(m.Data[:2]))
		}
	}
	if !slices.Equal(long, []string{`"3`, `"4`}) || len(got) <= len(long) {
		t.Errorf("the record has the long messages %v, and %d others", long, len(got)-len(long))
	}
}

// A channel without quiet topics has no record, and is listed as before.
func TestLatest_nothingToKeep(t *testing.T) {
	n := start(t, shared(t))
	for i := range 600 {
		n.put(t, on([]schemas.Topic{"one", "two"}[i%2], fmt.Sprint(i)))
		n.put(t, entry("single", fmt.Sprint(i)))
	}
	for _, name := range []schemas.Channel{"c", "single"} {
		if got := n.Latest(t, name); got != nil {
			t.Errorf("the record of %s has %v", name, texts(got))
		}
	}
	n.put(t, on("quiet", "1"))
	for i := range 600 {
		n.put(t, on("one", fmt.Sprint(i)))
	}
	if got := n.Latest(t, "c"); len(got) != 2 {
		t.Errorf("the record has %v", texts(got))
	}
	list, err := n.List(t.Context(), "", "", 10)
	if err != nil || len(list) != 2 || list[0].Messages != 256 || list[0].Last-list[0].First < 255 {
		t.Errorf("listed %+v, %v", list, err)
	}
	if found, err := n.Matching(t.Context(), "*", 0, 10); err != nil || len(found.Channels) != 2 {
		t.Errorf("found %+v, %v", found, err)
	}
}
