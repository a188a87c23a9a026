package handlers_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

// event is one event of a stream as it was sent. A heartbeat has only its raw text.
type event struct {
	id, name, data, retry string
	raw                   string
}

// message returns the message in the event's data.
func (e event) message(t testing.TB) schemas.Message {
	t.Helper()
	var m schemas.Message
	if err := json.Unmarshal([]byte(e.data), &m); err != nil {
		t.Fatalf("%v: %q", err, e.raw)
	}
	return m
}

// feed is an open stream.
type feed struct {
	t         testing.TB
	resp      *http.Response
	in        *bufio.Reader
	ndjson    bool
	anonymous bool // messages have no event name
	lives     bool // $live is handed on; else it is left out, since it may stand anywhere
}

// open opens a stream and checks its head.
func (s *server) open(t testing.TB, c call) *feed {
	t.Helper()
	if c.method == "" {
		c.method, c.path = "GET", "/v1/subscribe?"+c.path
	}
	resp, err := s.http.Do(s.request(t, c, strings.NewReader(c.body)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	f := &feed{t: t, resp: resp, in: bufio.NewReader(resp.Body), ndjson: strings.Contains(c.header["Accept"], "ndjson")}
	a := &answer{method: c.method, path: c.path, status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode != 200 {
		t.Fatalf("status %d: %s", resp.StatusCode, drained(t, resp.Body))
	}
	media := "text/event-stream"
	if f.ndjson {
		media = "application/x-ndjson"
	}
	checkHeaders(t, a, map[string]string{
		"Content-Type": media, "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no",
		"X-Content-Type-Options": "nosniff", "Vary": "Accept, Authorization, Origin", "Content-Encoding": "-",
	})
	s.saw(a)
	return f
}

// next returns the next event or heartbeat.
func (f *feed) next() event {
	f.t.Helper()
	e, err := f.read()
	if err != nil {
		f.t.Fatalf("the stream ended: %v", err)
	}
	return e
}

// after returns the next event that is not a heartbeat. It must have the given name.
func (f *feed) after(name string) event {
	f.t.Helper()
	for {
		e := f.next()
		if e.name == "" {
			continue
		}
		if e.name != name {
			f.t.Fatalf("got %q, want %s", e.raw, name)
		}
		return e
	}
}

// ends checks that the stream ends cleanly here.
func (f *feed) ends() {
	f.t.Helper()
	for {
		e, err := f.read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil || e.name != "" {
			f.t.Fatalf("no clean end: %q, %v", e.raw, err)
		}
	}
}

func (f *feed) close() { f.resp.Body.Close() }

// control returns the data of the next event, which must have the given name.
func control[T any](f *feed, name string) T {
	f.t.Helper()
	var v T
	e := f.after(name)
	if err := json.Unmarshal([]byte(e.data), &v); err != nil {
		f.t.Fatalf("%v: %q", err, e.raw)
	}
	return v
}

// opened is the data of $open.
type opened struct {
	ID        string   `json:"id"`
	Resumed   bool     `json:"resumed"`
	Channels  []string `json:"channels"`
	ExpiresAt string   `json:"expires_at"`
}

// lost is the data of $gap.
type lost struct {
	Channel   string  `json:"channel"`
	After     string  `json:"after"`
	ResumesAt *string `json:"resumes_at"`
	Reason    string  `json:"reason"`
}

// closed is the data of $close.
type closed struct {
	Code       int    `json:"code"`
	Reason     string `json:"reason"`
	Reconnect  *bool  `json:"reconnect"`
	RetryAfter int    `json:"retry_after_ms"`
}

// read reads one event, or a heartbeat.
func (f *feed) read() (event, error) {
	for {
		e, err := f.readAny()
		if err != nil || e.name != "$live" || f.lives {
			return e, err
		}
	}
}

func (f *feed) readAny() (event, error) {
	if f.ndjson {
		return f.readLine()
	}
	var e event
	for {
		line, err := f.in.ReadString('\n')
		e.raw += line
		if err != nil {
			if errors.Is(err, io.EOF) && e.raw != "" {
				err = fmt.Errorf("within an event: %q", e.raw)
			}
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == ":" && e.raw == ":\n":
			return e, nil
		case line == "":
			if e.name == "" && f.anonymous {
				e.name = "message"
			}
			return e, e.fault()
		}
		if err := e.field(line); err != nil {
			return e, err
		}
	}
}

// field reads one line, and accepts only what the contract allows.
func (e *event) field(line string) error {
	name, value, _ := strings.Cut(line, ": ")
	into := map[string]*string{"id": &e.id, "event": &e.name, "data": &e.data, "retry": &e.retry}[name]
	if into == nil || *into != "" || value == "" || strings.ContainsAny(value, "\r\ufeff") {
		return fmt.Errorf("line %q of %q", line, e.raw)
	}
	*into = value
	return nil
}

// fault returns what is wrong with a complete event.
func (e *event) fault() error {
	if e.name == "" || e.data == "" || e.id == "" && e.name != "$close" || !json.Valid([]byte(e.data)) {
		return fmt.Errorf("event without name, data or id: %q", e.raw)
	}
	return nil
}

func (f *feed) readLine() (event, error) {
	line, err := f.in.ReadString('\n')
	if err != nil || line == "\n" {
		return event{raw: line}, err
	}
	var c struct {
		Event string          `json:"event"`
		Data  json.RawMessage `json:"data"`
		ID    string          `json:"id"`
		Topic string          `json:"topic"`
	}
	if err := json.Unmarshal([]byte(line), &c); err != nil {
		return event{raw: line}, err
	}
	if c.Event != "" {
		return event{name: c.Event, data: string(c.Data), raw: line}, nil
	}
	return event{id: c.ID, name: c.Topic, data: strings.TrimSpace(line), raw: line}, nil
}

// texts reads n messages and returns their data.
func (f *feed) texts(n int) []string {
	f.t.Helper()
	var data []string
	for range n {
		e := f.next()
		for e.name == "" {
			e = f.next()
		}
		if strings.HasPrefix(e.name, "$") && e.name != "$run" {
			f.t.Fatalf("got %q", e.raw)
		}
		data = append(data, string(e.message(f.t).Data))
	}
	return data
}

// gets checks that the next messages have the given data.
func (f *feed) gets(data ...string) {
	f.t.Helper()
	if got := f.texts(len(data)); !slices.Equal(got, data) {
		f.t.Fatalf("got %q, want %q", got, data)
	}
}
