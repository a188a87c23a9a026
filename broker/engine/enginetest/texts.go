package enginetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Texts tests that a text counts as one message, however many pieces it has: every store
// has it whole, and what was published before and meanwhile. The nth piece is appended to
// the nth store, as if each were a node behind a proxy.
func Texts(t *testing.T, stores ...Store) {
	t.Helper()
	const pieces = 600
	var want []schemas.Message
	add := func(kind schemas.Kind, topic schemas.Topic, data, stream string, offset int64) {
		e := entry("text", data, "")
		e.Kind, e.Topic, e.StreamID, e.Offset = kind, topic, stream, offset
		e.Limits = engine.Limits{Messages: 256, Bytes: 1 << 20, Age: 10 * time.Minute, TextBytes: 1 << 20}
		r := put(t, stores[len(want)%len(stores)], e)
		e.ID, e.CreatedAt = r.ID, r.CreatedAt
		want = append(want, e.Message)
	}
	add(schemas.KindData, "status", `"before"`, "", 0)
	add(schemas.KindStreamStart, "draft", "{}", "s", 0)
	for i := range pieces {
		add(schemas.KindChunk, "draft", fmt.Sprintf(`"%04d"`, i), "s", int64(4*i))
		if i%10 == 0 {
			add(schemas.KindData, "log", fmt.Sprint(i), "", 0)
		}
	}
	add(schemas.KindStreamEnd, "draft", "{}", "s", 0)
	for i, s := range stores {
		snapshot, err := s.Load(t.Context(), "text")
		if err != nil {
			t.Fatal(err)
		}
		if got := snapshot.Messages; !slices.EqualFunc(got, want, sameMessage) {
			t.Errorf("store %d keeps %d messages of %d", i, len(got), len(want))
		}
		if first := want[0].ID.Seq; snapshot.Lost.Last() >= first {
			t.Errorf("store %d: lost up to %d, but the first is %d", i, snapshot.Lost.Last(), first)
		}
	}
}

func sameMessage(a, b schemas.Message) bool {
	return a.ID == b.ID && a.Kind == b.Kind && a.Topic == b.Topic && a.StreamID == b.StreamID && a.Offset == b.Offset && string(a.Data) == string(b.Data)
}
