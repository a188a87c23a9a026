package program

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/server/top"
)

const subscribeMessage = `{"id":"e-2","channel":"c","topic":"status","kind":"data","data":{"a":"é"},"created_at":"2026-11-23T06:18:03.222Z"}`

// In a pipe standard output has the messages and nothing else; an interrupt is
// the way to end, not a fault.
func TestSubscribe_pipe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var target string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target = r.URL.RequestURI()
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "id: e-1\nevent: $open\ndata: {\"id\":\"e-1\",\"channels\":[\"c\"]}\n\n"+
			"id: e-1\nevent: $gap\ndata: {\"channel\":\"c\",\"after\":\"e-0\",\"resumes_at\":\"e-2\",\"reason\":\"overrun\"}\n\n"+
			"id: e-1\nevent: status\ndata: <p>\n\n"+
			"id: e-2\nevent: status\ndata: "+subscribeMessage+"\n\n"+
			"id: e-3\nevent: $position\ndata: {}\n\n"+
			"id: e-3\nevent: $close\ndata: {\"code\":4002,\"reason\":\"server_draining\",\"reconnect\":true,\"retry_after_ms\":60000}\n\n")
	}))
	defer server.Close()
	var stdout bytes.Buffer
	stderr := &watching{until: "server_draining", then: cancel}
	args := []string{"subscribe", "c", "d:*", "--topic=status", "--replay=latest", "--last-event-id=e-0", "--url", server.URL}
	if err := run(ctx, args, nil, nil, &stdout, stderr); err != nil {
		t.Fatal(err)
	}
	if want := subscribeMessage + "\n"; stdout.String() != want {
		t.Errorf("standard output\n%s\nwant\n%s", &stdout, want)
	}
	want := "sluice: subscribed to c at e-1\n" +
		"sluice: messages of c are lost: from after e-0 to before e-2 (overrun)\n" +
		"sluice: event \"status\" at e-1 cannot be read: client: its data is not an object\n" +
		"sluice: the server ended the stream: 4002 server_draining\n"
	if stderr.String() != want {
		t.Errorf("standard error\n%s\nwant\n%s", stderr, want)
	}
	if want := "/v1/subscribe?channel=c&channel=d%3A%2A&replay=latest&topic=status"; target != want {
		t.Errorf("asked for %s, want %s", target, want)
	}
}

// watching calls then when it has been written until.
type watching struct {
	bytes.Buffer
	until string
	then  func()
}

func (w *watching) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.until) {
		w.then()
	}
	return n, err
}

func TestSubscribe_refused(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	err := run(t.Context(), []string{"subscribe", "c", "--url", server.URL}, nil, nil, io.Discard, io.Discard)
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusNotFound {
		t.Errorf("error %v", err)
	}
}

func TestPrinter_terminal(t *testing.T) {
	t.Setenv("TZ", "UTC")
	m := schemas.Message{Channel: "c", Topic: "status", Data: json.RawMessage("{\"a\":\"\u009b2J\u202e<é>\"}"), CreatedAt: schemas.TimeOf(time.Date(2026, 11, 23, 6, 18, 3, 222e6, time.UTC))}
	clock := m.CreatedAt.Std().Local().Format("15:04:05.000")
	for _, tt := range []struct {
		name    string
		colours palette
		want    string
	}{
		{"plain", false, clock + ` c status {"a":"\u009b2J\u202e<é>"}` + "\n"},
		{"coloured", true, "\x1b[2m" + clock + "\x1b[0m \x1b[36mc\x1b[0m \x1b[1mstatus\x1b[0m {\"a\":\"\\u009b2J\\u202e<é>\"}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			p := &printer{out: &out, human: true, colours: tt.colours}
			if err := p.event(client.Event{Message: &m}); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("printed %q, want %q", out.String(), tt.want)
			}
		})
	}
}

// TestPicture: what a server calls its problems controls no terminal.
func TestPicture(t *testing.T) {
	lines := picture("http://h\x1b[2J", top.View{Problems: map[string]float64{"\x1b[2J\u009bx": 1}}, false)
	if text := strings.Join(lines, ""); strings.ContainsFunc(text, unicode.IsControl) || !strings.Contains(text, "problem") {
		t.Errorf("%q", lines)
	}
}

// TestPrinter_texts: a terminal shows texts as text, whatever comes between their pieces.
func TestPrinter_texts(t *testing.T) {
	var out, notes bytes.Buffer
	p := &printer{out: &out, err: &notes, human: true}
	show := func(kind schemas.Kind, topic, stream, data string) {
		t.Helper()
		m := schemas.Message{Channel: "c", Topic: schemas.Topic(topic), Kind: kind, StreamID: stream, Data: json.RawMessage(data)}
		if err := p.event(client.Event{Message: &m}); err != nil {
			t.Fatal(err)
		}
	}
	const start, chunk, end, data = schemas.KindStreamStart, schemas.KindChunk, schemas.KindStreamEnd, schemas.KindData
	show(start, "log", "s", "{}")
	show(chunk, "log", "s", `"one\ntw"`)
	show(chunk, "log", "s", `"o \u001b[31m"`)
	show(data, "status", "", `{"a":"b"}`)
	show(data, "status", "", `"a \"text\""`)
	show(chunk, "log", "s", `"three"`)
	show(start, "log", "t", "{}")
	show(chunk, "log", "t", `"other\n"`)
	show(end, "log", "t", `{"reason":"complete"}`)
	show(chunk, "log", "s", `"four"`)
	p.note(dim, "a note")
	show(chunk, "log", "s", `"five"`)
	show(end, "log", "s", `{"reason":"aborted"}`)
	show(chunk, "log", "u", `"six"`)
	p.endLine()
	clock := schemas.Time(0).Std().Local().Format("15:04:05.000") + " c "
	want := strings.Join([]string{
		clock + "log one", `two \x1b[31m`, clock + `status {"a":"b"}`, clock + `status a "text"`, clock + "log three", clock + "log other",
		clock + "log four", clock + "log five", clock + `log {"reason":"aborted"}`, clock + "log six", "",
	}, "\n")
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
	if notes.String() != "sluice: a note\n" {
		t.Errorf("noted %q", &notes)
	}
}

func TestPrinter_writeFails(t *testing.T) {
	_, broken := io.Pipe()
	broken.CloseWithError(io.ErrClosedPipe)
	for _, human := range []bool{true, false} {
		p := &printer{out: broken, human: human}
		if err := p.event(client.Event{Message: new(schemas.Message)}); err == nil {
			t.Error("no error")
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 語 🙂":        "plain é 語 🙂",
		"a\x1b[31m\nb":       `a\x1b[31m\nb`,
		"\u2028\u200b\ufeff": `\u2028\u200b\ufeff`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) is %q, want %q", in, got, want)
		}
	}
}

// TestSubscribe_text: --text prints a text as it grows and ends with it, whatever else is
// published.
func TestSubscribe_text(t *testing.T) {
	message := func(seq int, kind, data, more string) string {
		return fmt.Sprintf("id: e-%d\nevent: draft\ndata: {\"id\":\"e-%d\",\"channel\":\"c\",\"topic\":\"draft\",\"kind\":%q,\"data\":%s,\"stream_id\":\"s\"%s,\"created_at\":\"2026-11-23T06:18:03.222Z\"}\n\n", seq, seq, kind, data, more)
	}
	const open = "id: e-1\nevent: $open\ndata: {\"id\":\"e-1\",\"channels\":[\"c\"]}\n\n"
	start := message(2, "datastream-start", "{}", "")
	for _, tt := range []struct {
		name, events, want, stderr, fault string
	}{
		{"whole", open + start + message(3, "chunk", `"Hel\n"`, `,"offset":0`) + message(4, "chunk", `"lo\u001b"`, `,"offset":4`) + message(5, "datastream-end", `{"reason":"complete"}`, ""), "Hel\nlo\x1b", "", ""},
		{"without its beginning", open + start + message(3, "chunk", `"lo"`, `,"offset":4`) + message(5, "datastream-end", `{"reason":"complete"}`, ""), "lo", "sluice: a part of the text is lost\n", ""},
		{
			"replaced", open + start + message(3, "chunk", `"Hel"`, `,"offset":0`) + message(5, "datastream-end", `{"reason":"superseded"}`, "") +
				message(6, "datastream-start", `{"attempt":2}`, "") + message(7, "chunk", `"Hi"`, `,"offset":0`) + message(8, "datastream-end", `{"reason":"complete"}`, ""),
			"Hel\nHi", "sluice: a later attempt replaces the text, which begins again\n", "",
		},
		{"broken off", open + start + message(3, "chunk", `"Hel"`, `,"offset":0`) + message(5, "datastream-end", `{"reason":"aborted"}`, ""), "Hel", "", "the text was broken off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var target string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				target = r.URL.RequestURI()
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, tt.events)
			}))
			defer server.Close()
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), []string{"subscribe", "c", "--text=draft", "--url", server.URL}, nil, nil, &stdout, &stderr)
			if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("ends with %v", err)
			}
			if stdout.String() != tt.want || stderr.String() != tt.stderr {
				t.Errorf("prints %q, says %q", &stdout, &stderr)
			}
			if want := "/v1/subscribe?channel=c&replay=latest&topic=draft"; target != want {
				t.Errorf("asked for %s", target)
			}
		})
	}
}
