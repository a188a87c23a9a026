package handlers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/schemas"
)

// streamReceipt is the answer to a streamed body.
type streamReceipt struct {
	StreamID string     `json:"stream_id"`
	Chunks   int        `json:"chunks"`
	Bytes    int        `json:"bytes"`
	FirstID  schemas.ID `json:"first_id"`
	LastID   schemas.ID `json:"last_id"`

	Duplicate bool `json:"duplicate"`
}

// checkStream checks the messages of one streamed body against its text and its end, and returns
// its chunks.
func checkStream(t testing.TB, got []schemas.Message, text, end string) []string {
	t.Helper()
	if len(got) < 2 {
		t.Fatalf("%d messages", len(got))
	}
	first, last := got[0], got[len(got)-1]
	if first.Kind != schemas.KindStreamStart || first.StreamID == "" || string(first.Data) != "{}" {
		t.Errorf("start %+v", first)
	}
	if last.Kind != schemas.KindStreamEnd || string(last.Data) != `{"reason":"`+end+`"}` {
		t.Errorf("end %+v %s, want %s", last, last.Data, end)
	}
	var chunks []string
	for _, m := range got {
		if m.StreamID != first.StreamID {
			t.Errorf("stream id %q and %q", m.StreamID, first.StreamID)
		}
		if m.Kind != schemas.KindChunk {
			continue
		}
		var chunk string
		if err := json.Unmarshal(m.Data, &chunk); err != nil || chunk == "" || len(chunk) > 3*handlers.MaxChunk {
			t.Errorf("chunk %s: %v", m.Data, err)
		}
		if before := len(strings.Join(chunks, "")); m.Offset != int64(before) {
			t.Errorf("offset %d of a chunk behind %d bytes", m.Offset, before)
		}
		chunks = append(chunks, chunk)
	}
	if len(chunks) != len(got)-2 {
		t.Errorf("%d chunks of %d messages", len(chunks), len(got))
	}
	if joined := strings.Join(chunks, ""); joined != text {
		t.Errorf("chunks make %.100q, want %.100q", joined, text)
	}
	return chunks
}

func (s *suite) publishStream(t *testing.T) {
	for name, change := range map[string]func(*setup){"HTTP1": func(*setup) {}, "HTTP2": func(o *setup) { o.h2 = true }} {
		t.Run(name, func(t *testing.T) {
			s.streamBodies(t, s.start(t, change))
			s.streamLive(t, s.start(t, change))
			s.streamAborted(t, s.start(t, change))
		})
	}
	srv := s.start(t)
	if err := srv.catalog.Put(schemas.Definition{Name: "strict", Strict: true, Topics: map[string]schemas.TopicDefinition{"log": {Schema: json.RawMessage(`{"type":"object"}`)}}}); err != nil {
		t.Fatal(err)
	}
	post := func(name, path string, status int, problem string) call {
		return call{name: name, method: "POST", path: path, as: srv.token("*", "log"), body: "text", status: status, problem: problem}
	}
	packed := post("compressed", "/v1/publish/c/log/stream", 415, "unsupported-media-type")
	packed.header = map[string]string{"Content-Encoding": "gzip"}
	srv.run(t, []call{
		post("a known topic of a strict channel", "/v1/publish/strict/log/stream", 200, ""),
		post("an unknown topic of a strict channel", "/v1/publish/strict/other/stream", 403, "forbidden"),
		{name: "unknown topic", method: "PUT", path: "/v1/publish/strict/other/stream", as: apiKey, body: "x", status: 422, problem: "unknown-topic"},
		{name: "unknown topic by POST", method: "POST", path: "/v1/publish/strict/other/stream", as: apiKey, body: "x", status: 422, problem: "unknown-topic"},
		post("bad channel", "/v1/publish/$c/log/stream", 400, "malformed"),
		post("bad run id", "/v1/publish/c/log/stream?run_id=%00", 400, "malformed"),
		{name: "bad topic", method: "PUT", path: "/v1/publish/c/open/stream", as: apiKey, status: 400, problem: "malformed"},
		{name: "not granted", method: "PUT", path: "/v1/publish/c/x/stream", as: srv.token("*", "log"), status: 403, problem: "forbidden", detail: `topic "x"`},
		packed,
		{name: "compressed by PUT", method: "PUT", path: packed.path, as: apiKey, header: packed.header, status: 415, problem: "unsupported-media-type"},
		post("run id", "/v1/publish/run/log/stream?run_id=r", 200, ""),
	})
	for _, m := range srv.messages("run") {
		if m.RunID != "r" {
			t.Errorf("run id of %+v", m)
		}
	}
}

func (s *suite) streamBodies(t *testing.T, srv *server) {
	for i, tt := range []struct{ name, text string }{
		{"nothing", ""},
		{"one letter", "a"},
		{"JSON characters", "\"\\\x00\x1f<&>\u2028"},
		{"characters of all lengths", strings.Repeat("aé€😀", 5000)},
		{"invalid bytes", "a\xff\xfe\xc3b\xe2\x82"},
		{"control characters", strings.Repeat("\x01", 100_000)},
		{"half a character at the end", "a\xf0\x9f\x98"},
		{"nothing but continuations", strings.Repeat("\x80", 20_000)},
	} {
		for _, method := range []string{"POST", "PUT"} {
			t.Run(method+" "+tt.name, func(t *testing.T) {
				channel := fmt.Sprint(method, i)
				a := srv.check(t, call{method: method, path: "/v1/publish/" + channel + "/log/stream", as: srv.token(channel, "log"), body: tt.text, status: 200})
				got := srv.messages(channel)
				chunks := checkStream(t, got, string([]rune(tt.text)), "complete")
				r := decoded[streamReceipt](t, a)
				if r.Chunks < len(chunks) || r.Chunks > 0 && len(chunks) == 0 { // what follows each other is held as one
					t.Errorf("%d chunks, of which %d are held", r.Chunks, len(chunks))
				}
				want := streamReceipt{got[0].StreamID, r.Chunks, len(tt.text), got[0].ID, got[len(got)-1].ID, false}
				if r != want {
					t.Errorf("receipt %+v, want %+v", r, want)
				}
			})
		}
	}
}

// streamLive tests that each write reaches a subscriber before the next one, even if writes split
// characters.
func (s *suite) streamLive(t *testing.T, srv *server) {
	feed := srv.open(t, call{as: apiKey, path: "channel=c"})
	feed.after("$open")
	r, w := io.Pipe()
	answered := srv.later(t, call{method: "PUT", path: "/v1/publish/c/log/stream", as: apiKey}, r)
	got := []schemas.Message{feed.after("log").message(t)}
	smile := []byte("😀")
	for _, piece := range [][]byte{[]byte("a\n"), []byte("b\n"), append([]byte("c"), smile[:1]...), append(bytes.Clone(smile[1:]), "d"...)} {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
		m := feed.after("log").message(t)
		if !utf8.Valid(m.Data) || strings.Contains(string(m.Data), `\ufffd`) {
			t.Errorf("chunk %s", m.Data)
		}
		got = append(got, m)
	}
	w.Close()
	got = append(got, feed.after("log").message(t))
	chunks := checkStream(t, got, "a\nb\nc😀d", "complete")
	if len(chunks) != 4 || chunks[2] != "c" || chunks[3] != "😀d" {
		t.Errorf("chunks %q", chunks)
	}
	if a := <-answered; a == nil || a.status != 200 {
		t.Errorf("answer %+v", a)
	}
	feed.close()
}

// streamAborted tests that subscribers are told when a body breaks off.
func (s *suite) streamAborted(t *testing.T, srv *server) {
	feed := srv.open(t, call{as: apiKey, path: "channel=c"})
	feed.after("$open")
	r, w := io.Pipe()
	answered := srv.later(t, call{method: "POST", path: "/v1/publish/c/log/stream", as: apiKey}, r)
	got := []schemas.Message{feed.after("log").message(t)}
	if _, err := w.Write([]byte("half\xe2")); err != nil {
		t.Fatal(err)
	}
	got = append(got, feed.after("log").message(t))
	w.CloseWithError(io.ErrClosedPipe)
	for got[len(got)-1].Kind == schemas.KindChunk {
		got = append(got, feed.after("log").message(t))
	}
	checkStream(t, got, "half\ufffd", "aborted")
	if a := <-answered; a != nil {
		t.Errorf("the client got %+v", a)
	}
	feed.close()
}
