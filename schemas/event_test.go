package schemas_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/sluicehq/sluice/schemas"
)

// Whatever a token's subject and a run's id are, an event is one event, as long as
// EventBytes says, and says the same when it is read.
func FuzzMessage_Event(f *testing.F) {
	f.Add(uint64(1), "", "", int64(0), true)
	f.Add(uint64(1<<63), "run 1", "user-7", int64(1<<40), false)
	f.Add(uint64(7), `a"b\`, "a\r\n\n\x00\x7f\u0085\u2028\u2029\"\\<é🙂", int64(-1), true)
	f.Add(uint64(7), "\xff", "\xed\xa0\x80", int64(9), true)
	f.Fuzz(func(t *testing.T, seq uint64, runID, sub string, offset int64, chunk bool) {
		m := schemas.Message{
			ID: schemas.ID{Epoch: 20, Seq: seq}, Channel: "a:ü", Topic: "t", Kind: schemas.KindData, Data: json.RawMessage(`{"a":1}`),
			RunID: runID, Sub: sub, CreatedAt: 1795414683222,
		}
		if chunk {
			m.Kind, m.Offset, m.StreamID = schemas.KindChunk, offset, "s-1"
		}
		if offset > 0 {
			m.FirstID = schemas.ID{Epoch: 20, Seq: seq / 2}
		}
		event, at := m.Event()
		if want := m.EventBytes(len(m.ID.String())); len(event) != want {
			t.Errorf("%q has %d bytes, EventBytes says %d", event, len(event), want)
		}
		lines := bytes.FieldsFunc(event, func(r rune) bool { return r == '\n' || r == '\r' || r == 0x85 || r == 0x2028 || r == 0x2029 })
		if len(lines) != 3 || !bytes.HasSuffix(event, []byte("\n\n")) {
			t.Errorf("%q is not one event", event)
		}
		var back schemas.Message
		if err := json.Unmarshal(event[at:], &back); err != nil {
			t.Fatalf("%q: %v", event, err)
		}
		m.Offset = max(m.Offset, 0)
		if utf8.ValidString(runID) && utf8.ValidString(sub) && !reflect.DeepEqual(back, m) {
			t.Errorf("%+v became %+v", m, back)
		}
	})
}
