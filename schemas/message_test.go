package schemas_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// encode is encoding/json's output without its HTML escapes.
func encode(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func TestMessage_AppendJSON(t *testing.T) {
	base := schemas.Message{
		ID: schemas.ID{Epoch: 20, Seq: 1027}, Channel: "pipeline:run_42", Topic: "status", Kind: schemas.KindData,
		Data: json.RawMessage(`{"message":"Done"}`), RunID: "run_42", CreatedAt: 1795414683222,
	}
	tests := []struct {
		name   string
		change func(*schemas.Message)
		want   string // "": what encoding/json makes of it
	}{
		{
			name: "every field, in the order of the wire",
			change: func(m *schemas.Message) {
				m.Kind, m.StreamID, m.Sub, m.Offset = schemas.KindChunk, "s-1", "user-7", 5
				m.FirstID, m.Traceparent = schemas.ID{Epoch: 20, Seq: 1020}, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
			},
			want: `{"id":"k-1027","channel":"pipeline:run_42","topic":"status","kind":"chunk","data":{"message":"Done"},` +
				`"run_id":"run_42","stream_id":"s-1","first_id":"k-1020","offset":5,"sub":"user-7","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","created_at":"2026-11-23T06:18:03.222Z"}`,
		},
		{
			name:   "what is empty is left out",
			change: func(m *schemas.Message) { m.RunID = "" },
			want: `{"id":"k-1027","channel":"pipeline:run_42","topic":"status","kind":"data","data":{"message":"Done"},` +
				`"created_at":"2026-11-23T06:18:03.222Z"}`,
		},
		{name: "run", change: func(m *schemas.Message) { m.Kind, m.Topic = schemas.KindRun, schemas.TopicRun }},
		{
			name: "a chunk at the beginning of its text",
			change: func(m *schemas.Message) {
				m.Kind, m.RunID, m.StreamID, m.Data = schemas.KindChunk, "", "s-1", json.RawMessage(`"a\n"`)
			},
			want: `{"id":"k-1027","channel":"pipeline:run_42","topic":"status","kind":"chunk","data":"a\n",` +
				`"stream_id":"s-1","offset":0,"created_at":"2026-11-23T06:18:03.222Z"}`,
		},
		{name: "a chunk far into its text", change: func(m *schemas.Message) { m.Kind, m.Offset = schemas.KindChunk, 1<<63-1 }},
		{
			name:   "a chunk whose offset is not known",
			change: func(m *schemas.Message) { m.Kind, m.Offset = schemas.KindChunk, -1 },
			want: `{"id":"k-1027","channel":"pipeline:run_42","topic":"status","kind":"chunk","data":{"message":"Done"},` +
				`"run_id":"run_42","created_at":"2026-11-23T06:18:03.222Z"}`,
		},
		{name: "quotes and backslashes in the subject", change: func(m *schemas.Message) { m.Sub = `a"b\c\"d` }},
		{name: "other letters in the subject", change: func(m *schemas.Message) { m.Sub = "auth0|北京 🙂 <b>&" }},
		{
			name: "line ends and control characters in the subject",
			change: func(m *schemas.Message) {
				m.Data, m.RunID, m.Sub = json.RawMessage(`1`), "", "a\r\n\n\t\b\f\x00\x7f\u0085\u2028\u2029"
			},
			want: `{"id":"k-1027","channel":"pipeline:run_42","topic":"status","kind":"data","data":1,` +
				`"sub":"a\r\n\n\t\b\f\u0000\u007f\u0085\u2028\u2029","created_at":"2026-11-23T06:18:03.222Z"}`,
		},
		{name: "quotes and backslashes in the run id", change: func(m *schemas.Message) { m.RunID = `a"b\c\"d` }},
		{name: "other letters and spaces in the run id", change: func(m *schemas.Message) { m.RunID = "Lauf 北京 🙂 <b>&" }},
		{name: "markup in the channel", change: func(m *schemas.Message) { m.Channel = "a<b>&'é/🙂" }},
		{name: "null data", change: func(m *schemas.Message) { m.Data = json.RawMessage(`null`) }},
		{name: "separators in the data", change: func(m *schemas.Message) { m.Data = json.RawMessage("\"\u2028<\"") }},
		{name: "the largest id", change: func(m *schemas.Message) { m.ID = schemas.ID{Epoch: 1<<64 - 1, Seq: 1<<64 - 1} }},
		{name: "several messages as one", change: func(m *schemas.Message) { m.FirstID = schemas.ID{Epoch: 20, Seq: 9, Shard: 3} }},
		{name: "a time before 1970", change: func(m *schemas.Message) { m.CreatedAt = -1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := base
			tt.change(&m)
			got := string(m.AppendJSON([]byte("before ")))[len("before "):]
			want := tt.want
			if want == "" {
				want = encode(t, &m)
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			m.Offset = max(m.Offset, 0)
			var back schemas.Message
			if err := json.Unmarshal([]byte(got), &back); err != nil || !reflect.DeepEqual(back, m) {
				t.Errorf("read back as %+v, %v", back, err)
			}
		})
	}
}

func TestReceipt_AppendJSON(t *testing.T) {
	tests := []struct {
		receipt schemas.Receipt
		want    string
	}{
		{
			schemas.Receipt{
				ID: schemas.ID{Epoch: 20, Seq: 7}, Channel: "a:b", Topic: "status", Kind: schemas.KindData,
				CreatedAt: 1795414683000, Durable: true,
			},
			`{"id":"k-7","channel":"a:b","topic":"status","kind":"data","created_at":"2026-11-23T06:18:03.000Z","durable":true,"duplicate":false}`,
		},
		{
			schemas.Receipt{Channel: "é<", Topic: schemas.TopicRun, Kind: schemas.KindRun, Duplicate: true},
			`{"id":"0-0","channel":"é<","topic":"$run","kind":"run","created_at":"1970-01-01T00:00:00.000Z","durable":false,"duplicate":true}`,
		},
	}
	for _, tt := range tests {
		got := string(tt.receipt.AppendJSON(nil))
		if got != tt.want || got != encode(t, &tt.receipt) {
			t.Errorf("got  %s\nwant %s\njson %s", got, tt.want, encode(t, &tt.receipt))
		}
	}
}

func TestMessage_AppendJSON_doesNotAllocate(t *testing.T) {
	m := schemas.Message{Channel: "a", Topic: "b", Kind: schemas.KindData, Data: json.RawMessage(`1`), RunID: `a"b`, StreamID: "s", Sub: "a\nü"}
	b := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { b = m.AppendJSON(b[:0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTime(t *testing.T) {
	cet := time.FixedZone("CET", 3600)
	tests := []struct {
		name string
		std  time.Time
		want string
	}{
		{"three digits when there are none", time.Date(2026, 11, 23, 6, 18, 3, 0, time.UTC), "2026-11-23T06:18:03.000Z"},
		{"in UTC", time.Date(2026, 11, 23, 0, 18, 3, 222e6, cet), "2026-11-22T23:18:03.222Z"},
		{"cut, not rounded", time.Date(2026, 11, 23, 6, 18, 3, 222_999_999, time.UTC), "2026-11-23T06:18:03.222Z"},
		{"before 1970", time.Date(1969, 12, 31, 23, 59, 59, 999e6, time.UTC), "1969-12-31T23:59:59.999Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := schemas.TimeOf(tt.std)
			if got.String() != tt.want {
				t.Fatalf("got %s, want %s", got, tt.want)
			}
			if want := tt.std.UTC().Truncate(time.Millisecond); !got.Std().Equal(want) || got.Std().Location() != time.UTC {
				t.Errorf("as time.Time: %v, want %v", got.Std(), want)
			}
			var back schemas.Time
			if err := back.UnmarshalText([]byte(tt.want)); err != nil || back != got {
				t.Errorf("read back as %v, %v", back, err)
			}
		})
	}
}

func TestTime_Append_likeTheStandardLibrary(t *testing.T) {
	const century = 100 * 365 * 24 * 60 * 60 * 1000
	for ms := schemas.Time(-century); ms < 2*century; ms += 7_919_999_777 {
		if got, want := ms.String(), ms.Std().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestTime_UnmarshalText(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-23T07:18:03+01:00":      "2026-11-23T06:18:03.000Z",
		"2026-11-23T06:18:03.222999999Z": "2026-11-23T06:18:03.222Z",
	} {
		var got schemas.Time
		if err := got.UnmarshalText([]byte(text)); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1795414683222", "2026-11-23", "2026-11-23 06:18:03Z", "2026-13-01T00:00:00Z"} {
		got := schemas.Time(5)
		if err := got.UnmarshalText([]byte(text)); err == nil || got != 5 {
			t.Errorf("%q was read as %v, %v", text, got, err)
		}
	}
}
