package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// The README in testdata/wire explains the fixtures. The TypeScript SDK reads the same ones.

// fixture decodes a file of testdata/wire, without unknown members.
func fixture[T any](t *testing.T, name string) (v T) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(must(os.ReadFile(filepath.Join("testdata", "wire", name)))))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

type streamFixture struct {
	About    string            `json:"about"`
	Received []json.RawMessage `json:"received"`
	Texts    []textFixture     `json:"texts"`
	Close    *struct {
		client.Close
		Channel string `json:"channel"`
	} `json:"close"`
	Position *string `json:"position"`
	WaitMS   *int64  `json:"wait_ms"`
}

type textFixture struct {
	StreamID string           `json:"stream_id"`
	Text     string           `json:"text"`
	State    client.TextState `json:"state"`
	Partial  bool             `json:"partial"`
}

func TestFixtures_streams(t *testing.T) {
	files := must(filepath.Glob("testdata/wire/stream-*.sse"))
	if len(files) < 10 {
		t.Fatalf("only %d fixtures", len(files))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sse")
		want := fixture[streamFixture](t, name+".json")
		for _, pieces := range []struct {
			name string
			cut  func(io.Reader) io.Reader
		}{
			{"whole", func(r io.Reader) io.Reader { return r }},
			{"bytes", iotest.OneByteReader},
			{"with the end", iotest.DataErrReader},
		} {
			t.Run(name+" "+pieces.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					checkStream(t, want, pieces.cut(bytes.NewReader(must(os.ReadFile(file)))))
				})
			})
		}
	}
}

// checkStream subscribes to a server that sends body once and then refuses.
func checkStream(t *testing.T, want streamFixture, body io.Reader) {
	var position *string
	requests := 0
	c := over(t, func(r *http.Request) (*http.Response, error) {
		if requests++; requests == 1 {
			return answer(200, stream, body), nil
		}
		if values := r.Header["Last-Event-Id"]; values != nil {
			position = &values[0]
		}
		return answer(404, "text/plain", strings.NewReader("")), nil
	})
	var wait time.Duration
	var texts client.Texts
	var got []json.RawMessage
	streamed := []textFixture{}
	var last error
	for m, err := range c.Subscribe(t.Context(), client.Subscription{OnRetry: func(_ error, d time.Duration) { wait = d }}) {
		if text, ok := texts.Add(m, err); ok {
			streamed = upsert(streamed, textFixture{text.Message.StreamID, text.String(), text.State, text.Partial})
		} else if item := handed(m, err); item != nil {
			got = append(got, item)
		}
		for i := range streamed { // a gap changes texts that do not come again
			streamed[i].Partial = streamed[i].Partial || isGap(err) && streamed[i].State == client.TextOpen
		}
		last = err
	}
	if !sameJSON(got, want.Received) {
		t.Errorf("received\n%s, want\n%s", got, want.Received)
	}
	if !slices.Equal(streamed, want.Texts) {
		t.Errorf("texts %+v, want %+v", streamed, want.Texts)
	}
	if !reflect.DeepEqual(position, want.Position) {
		t.Errorf("position %v, want %v", show(position), show(want.Position))
	}
	if want.WaitMS != nil && wait.Milliseconds() != *want.WaitMS || want.WaitMS == nil && wait > 250*time.Millisecond {
		t.Errorf("the wait is %v, want %v", wait, show(want.WaitMS))
	}
	var closed *client.CloseError
	if final := want.Close != nil && !want.Close.Reconnect; errors.As(last, &closed) != final || final && closed.Close != want.Close.Close {
		t.Errorf("the end is %v, want %+v", last, want.Close)
	}
}

func isGap(err error) bool {
	var gap *client.GapError
	return errors.As(err, &gap)
}

// handed converts a pair that the loop gets to its form in a fixture. It returns nil for the
// end.
func handed(m client.Message, err error) json.RawMessage {
	var gap *client.GapError
	if errors.As(err, &gap) {
		resumes := any(gap.ResumesAt)
		if gap.ResumesAt == "" {
			resumes = nil
		}
		return must(json.Marshal(map[string]any{"gap": map[string]any{"channel": gap.Channel, "after": gap.After, "resumes_at": resumes, "reason": gap.Reason}}))
	}
	if err != nil {
		return nil
	}
	if run, ok := m.Run(); ok {
		return must(json.Marshal(map[string]any{"run": run}))
	}
	return must(json.Marshal(map[string]any{"message": m}))
}

// upsert replaces the earlier state of a text, or appends the text.
func upsert(all []textFixture, one textFixture) []textFixture {
	for i := range all {
		if all[i].StreamID == one.StreamID {
			all[i] = one
			return all
		}
	}
	return append(all, one)
}

func sameJSON(a, b []json.RawMessage) bool {
	values := func(raw []json.RawMessage) (all []any) {
		for _, r := range raw {
			var v any
			if json.Unmarshal(r, &v) != nil {
				return nil
			}
			all = append(all, v)
		}
		return all
	}
	return len(a) == len(b) && reflect.DeepEqual(values(a), values(b))
}

func show[T any](p *T) any {
	if p == nil {
		return "none"
	}
	return *p
}

func TestFixtures_textIDs(t *testing.T) {
	seen := map[string]bool{}
	legal := regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)
	for _, f := range fixture[[]struct{ Run, Step, ID string }](t, "text-ids.json") {
		var sent []string
		c := over(t, func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Method+" "+r.URL.Query().Get("stream_id"))
			if r.Method == http.MethodHead {
				return answer(404, "", strings.NewReader("")), nil
			}
			return answer(200, "application/json", strings.NewReader("{}")), nil
		})
		must(c.Run("c", f.Run).PublishStream(t.Context(), f.Step, "t", strings.NewReader("text")))
		if want := []string{"HEAD " + f.ID, "POST " + f.ID}; !slices.Equal(sent, want) {
			t.Errorf("run %q, step %q: %q, want %q", f.Run, f.Step, sent, want)
		}
		if !legal.MatchString(f.ID) || seen[f.ID] {
			t.Errorf("id %s is not legal, or stands there twice", f.ID)
		}
		seen[f.ID] = true
	}
}

func TestFixtures_keys(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range fixture[[]struct{ Run, Step, Key string }](t, "keys.json") {
		var sent string
		c := over(t, func(r *http.Request) (*http.Response, error) {
			sent = r.Header.Get("Idempotency-Key")
			return answer(201, "application/json", strings.NewReader(receiptJSON)), nil
		})
		must(c.Run("c", f.Run).Publish(t.Context(), f.Step, "t", 1))
		if sent != f.Key {
			t.Errorf("run %q, step %q: key %s, want %s", f.Run, f.Step, sent, f.Key)
		}
		if _, err := schemas.ParseKey(f.Key); err != nil || seen[f.Key] {
			t.Errorf("key %s: %v, stands there twice: %t", f.Key, err, seen[f.Key])
		}
		seen[f.Key] = true
	}
}

func TestFixtures_names(t *testing.T) {
	type named struct {
		About, Template, Name string
		Params                client.Params
	}
	type names struct{ Legal, Illegal []string }
	f := fixture[struct {
		Templates, Refused []named
		Channels, Topics   names
	}](t, "names.json")
	for _, n := range f.Templates {
		if got, err := (client.Channel{Name: n.Template}).For(n.Params); err != nil || got != n.Name {
			t.Errorf("%s with %v is %q, %v, want %q", n.Template, n.Params, got, err, n.Name)
		}
	}
	for _, n := range f.Refused {
		if got, err := (client.Channel{Name: n.Template}).For(n.Params); !errors.Is(err, client.ErrBadParams) {
			t.Errorf("%s: %s with %v is %q, %v", n.About, n.Template, n.Params, got, err)
		}
	}
	check := func(what string, names names, parse func(string) error) {
		for _, name := range names.Legal {
			if err := parse(name); err != nil {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
		for _, name := range names.Illegal {
			if parse(name) == nil {
				t.Errorf("%s %q is legal", what, name)
			}
		}
	}
	check("channel", f.Channels, func(s string) error { _, err := schemas.ParseChannel(s); return err })
	check("topic", f.Topics, func(s string) error { _, err := schemas.ParseTopic(s); return err })
}
