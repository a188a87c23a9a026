package enginetest

import (
	"reflect"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Messages tests that every field of a message comes back, of the latest run too.
func Messages(t *testing.T, stores ...Store) {
	t.Helper()
	durable := entry("fields", "1", "k")
	durable.Sub, durable.Traceparent = "auth0|7 ", traceparent
	start := entry("fields", "{}", "")
	start.Kind, start.StreamID, start.Traceparent = schemas.KindStreamStart, "s", traceparent
	first := entry("fields", `"a"`, "")
	first.Kind, first.StreamID = schemas.KindChunk, "s"
	chunk := entry("fields", `"é"`, "")
	chunk.Kind, chunk.RunID, chunk.StreamID, chunk.Offset = schemas.KindChunk, "r 1", "s", 1<<40
	chunk.Sub = "\ta\r\n\x00\x7f\u2028\"ü: x "
	run := status("fields", schemas.RunRunning)
	run.Sub, run.Traceparent = "user-7", traceparent

	var want []schemas.Message
	for _, e := range []engine.Entry{durable, start, first, chunk, run} {
		r := put(t, stores[0], e)
		e.ID, e.CreatedAt = r.ID, r.CreatedAt
		want = append(want, e.Message)
	}
	for _, s := range stores {
		snapshot, err := s.Load(t.Context(), "fields")
		if err != nil || !reflect.DeepEqual(snapshot.Messages, want) {
			t.Errorf("kept %+v, %v\nwant %+v", snapshot.Messages, err, want)
		}
		if latest := want[len(want)-1]; snapshot.Run == nil || !reflect.DeepEqual(*snapshot.Run, latest) {
			t.Errorf("the run is %+v, want %+v", snapshot.Run, latest)
		}
	}
}
