package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/client"
)

// logOf serves the messages after the request's Last-Event-ID, up to last. cut decides how much
// of each connection's text arrives.
func logOf(last int, cut func(connection int, text string) io.Reader) transport {
	connection := 0
	return func(r *http.Request) (*http.Response, error) {
		after, _ := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Last-Event-ID"), "k3f9-"))
		text := openFrame(after)
		for seq := after + 1; seq <= last; seq++ {
			text += messageFrame(seq)
		}
		connection++
		return answer(http.StatusOK, stream, cut(connection, text)), nil
	}
}

// numbers subscribes until message last arrives and returns all that arrived.
func numbers(t *testing.T, c *client.Client, last int) []uint64 {
	t.Helper()
	var got []uint64
	for event, err := range c.Events(t.Context(), client.Subscription{Channels: []string{"c"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Message == nil {
			continue
		}
		if want := event.Message.ID.String(); event.ID != want {
			t.Fatalf("position after message %s is %s", want, event.ID)
		}
		got = append(got, event.Message.ID.Seq)
		if got[len(got)-1] == uint64(last) {
			break
		}
	}
	return got
}

func oneTo(last int) []uint64 {
	var all []uint64
	for seq := 1; seq <= last; seq++ {
		all = append(all, uint64(seq))
	}
	return all
}

// Every connection delivers two complete messages and breaks off in the third, one byte later
// each time.
func TestClient_Events_cutAtEveryByteOfAFrame(t *testing.T) {
	ends := []struct {
		name string
		err  error
	}{
		{"clean end", nil},
		{"reset", errors.New("connection reset by peer")},
		{"chunk cut off", io.ErrUnexpectedEOF},
	}
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				last := 2*len(messageFrame(1000)) + 10
				c := over(t, logOf(last, func(connection int, text string) io.Reader {
					start, third := 0, 3 // frames: $open, two messages, then the one that is cut off
					for range third {
						at := strings.Index(text[start:], "\n\n")
						if at < 0 {
							return strings.NewReader(text)
						}
						start += at + 2
					}
					text = text[:min(len(text), start+connection%len(messageFrame(1000)))]
					if end.err == nil {
						return strings.NewReader(text)
					}
					return io.MultiReader(strings.NewReader(text), iotest.ErrReader(end.err))
				}))
				if got := numbers(t, c, last); !slices.Equal(got, oneTo(last)) {
					t.Errorf("messages are not 1 to %d, once each: %v", last, got)
				}
			})
		})
	}
}

// A stream that breaks off before its first message resumes from the position of $open, not
// from the beginning.
func TestClient_Events_resumesFromOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		c := over(t, func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.Header.Get("Last-Event-ID"))
			if len(asked) == 1 {
				return events(openFrame(7)), nil
			}
			return events(openFrame(7) + messageFrame(8)), nil
		})
		for event, err := range c.Events(t.Context(), client.Subscription{Replay: "all"}) {
			if err != nil {
				t.Fatal(err)
			}
			if event.Message != nil {
				break
			}
		}
		if want := []string{"", "k3f9-7"}; !slices.Equal(asked, want) {
			t.Errorf("last event ids sent: %q, want %q", asked, want)
		}
	})
}

func TestClient_Events_request(t *testing.T) {
	var got *http.Request
	c := over(t, func(r *http.Request) (*http.Response, error) {
		got = r
		return events(openFrame(1)), nil
	})
	sub := client.Subscription{Channels: []string{"run:1", "a/b"}, Topics: []string{"x", "$run"}, Replay: "3", LastEventID: "k3f9-5"}
	for range c.Events(t.Context(), sub) {
		break
	}
	if want := "channel=run%3A1&channel=a%2Fb&replay=3&topic=x&topic=%24run"; got.URL.RawQuery != want {
		t.Errorf("query %s, want %s", got.URL.RawQuery, want)
	}
	for name, want := range map[string]string{"Accept": stream, "Authorization": "Bearer sk_test", "Last-Event-Id": "k3f9-5"} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
}

func TestClient_Events_events(t *testing.T) {
	const text = "id: k3f9-1\nevent: $gap\ndata: {\"channel\":\"c\",\"after\":\"old-1\",\"resumes_at\":null,\"reason\":\"restarted\"}\n\n" +
		":\n:\n" +
		"id: k3f9-4\nevent: $position\ndata: {}\n\n" +
		"id: k3f9-4\nevent: $run\ndata: {\"id\":\"k3f9-2\",\"channel\":\"c\",\"topic\":\"$run\",\"kind\":\"run\",\"data\":{\"status\":\"running\"},\"created_at\":\"2026-11-23T06:18:03.222Z\"}\n\n" +
		": a comment\rid: k3f9-4\revent: $position\rdata: {}\r\r" +
		"id: k3f9-5\r\nevent: $new-in-v2\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n" +
		"id: k3f9-99\n\n" // no data: not an event, so no position
	c := over(t, func(*http.Request) (*http.Response, error) { return events(text), nil })

	var got []client.Event
	ctx, cancel := context.WithCancel(t.Context())
	sub := client.Subscription{OnRetry: func(error, time.Duration) { cancel() }}
	for event, err := range c.Events(ctx, sub) {
		if err == nil {
			got = append(got, event)
		}
	}
	var names []string
	for _, event := range got {
		names = append(names, event.Name+" "+event.ID)
	}
	want := []string{"$gap k3f9-1", "$position k3f9-4", "$run k3f9-4", "$position k3f9-4", "$new-in-v2 k3f9-5"}
	if !slices.Equal(names, want) {
		t.Fatalf("events %q, want %q", names, want)
	}
	if want := (client.Gap{Channel: "c", After: "old-1", Reason: "restarted"}); *got[0].Gap != want {
		t.Errorf("gap is %+v", *got[0].Gap)
	}
	if run := got[2].Message; run == nil || run.ID.String() != "k3f9-2" || string(run.Data) != `{"status":"running"}` {
		t.Errorf("run message is %+v", run)
	}
	if last := got[4]; last.Message != nil || string(last.Data) != "{\"a\":\n1}" {
		t.Errorf("unknown control event is %+v with data %s", last, last.Data)
	}
}

func TestClient_Events_refused(t *testing.T) {
	const problem = `{"type":"/problems/forbidden","title":"Forbidden","status":403,"detail":"channel \"c\" is not granted"}`
	tests := []struct {
		name     string
		response func() *http.Response
		want     string
	}{
		{"400", func() *http.Response { return answer(400, "text/plain", strings.NewReader("x")) }, "400 Bad Request"},
		{"401", func() *http.Response { return answer(401, "application/problem+json", strings.NewReader("{")) }, "401 Unauthorized"},
		{"403", func() *http.Response { return answer(403, "application/problem+json", strings.NewReader(problem)) }, `403 Forbidden: channel "c" is not granted`},
		{"404", func() *http.Response { return answer(404, "text/html", strings.NewReader("")) }, "404 Not Found"},
		{"another service", func() *http.Response { return answer(200, "text/html", strings.NewReader("<p>")) }, `client: the answer is not an event stream but 200 OK with content type "text/html"`},
		{"closed for good", func() *http.Response { return events(openFrame(1) + closeFrame(4401, "token_revoked", false, 0)) }, "the server closed the stream: 4401 token_revoked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requests := 0
			c := over(t, func(*http.Request) (*http.Response, error) {
				requests++
				return tt.response(), nil
			})
			var last error
			for _, err := range c.Events(t.Context(), client.Subscription{}) {
				last = err
			}
			if last == nil || last.Error() != tt.want {
				t.Errorf("error %v, want %s", last, tt.want)
			}
			if requests != 1 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

func TestClient_Events_longestEvent(t *testing.T) {
	long := func(bytes int) string {
		data := `"` + strings.Repeat("x", bytes) + `"`
		return "id: k3f9-1\nevent: status\ndata: " + messageJSON(1, data) + "\n\n"
	}
	first := func(text string) (client.Event, error) {
		c := over(t, func(*http.Request) (*http.Response, error) { return events(text), nil })
		for event, err := range c.Events(t.Context(), client.Subscription{}) {
			return event, err
		}
		return client.Event{}, nil
	}
	if event, err := first(long(1 << 20)); err != nil || event.Message == nil {
		t.Errorf("a message of 1 MiB: %v", err)
	}
	if _, err := first(long(client.MaxEventBytes)); !errors.Is(err, client.ErrEventTooLong) {
		t.Errorf("an event over the limit: %v", err)
	}
}

// No blank line follows a heartbeat. Even years of heartbeats must not fill the decoder's
// buffer.
func TestClient_Events_heartbeatsDoNotPileUp(t *testing.T) {
	text := openFrame(1) + strings.Repeat(":\n", client.MaxEventBytes) + messageFrame(2)
	c := over(t, func(*http.Request) (*http.Response, error) { return events(text), nil })
	if got := numbers(t, c, 2); len(got) != 1 {
		t.Errorf("messages %v", got)
	}
}

// An event whose id comes after its data can be cut off within the id.
func TestClient_Events_cutAfterData(t *testing.T) {
	whole := "event: $position\ndata: {}\nid: k3f9-12\n\n"
	for cut := range len(whole) {
		c := over(t, func(*http.Request) (*http.Response, error) { return events(whole[:cut]), nil })
		ctx, cancel := context.WithCancel(t.Context())
		for event, err := range c.Events(ctx, client.Subscription{OnRetry: func(error, time.Duration) { cancel() }}) {
			if err == nil {
				t.Errorf("%q is taken for the event %+v", whole[:cut], event)
			}
		}
	}
}

// FuzzClient_Events checks that the decoder's result does not depend on how the bytes are split
// into reads.
func FuzzClient_Events(f *testing.F) {
	f.Add([]byte(openFrame(1) + ":\n" + messageFrame(2)))
	f.Add([]byte("retry: 5\n\nid: x\n\ndata\n\n: c\r:\rdata: {}\r\r"))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole := received(t, strings.NewReader(string(text)))
		pieces := received(t, iotest.OneByteReader(strings.NewReader(string(text))))
		if !slices.Equal(whole, pieces) {
			t.Errorf("read at once:    %q\nbyte for byte:   %q", whole, pieces)
		}
	})
}

// FuzzClient_Events_skipsAnyEvent checks that the message after any event, however malformed,
// arrives on the same connection.
func FuzzClient_Events_skipsAnyEvent(f *testing.F) {
	f.Add([]byte("id: k3f9-2\nevent: status\ndata: {}"))
	f.Add([]byte("id: \x01\nevent: $gap\ndata: {\r\n:c\r\n: \r"))
	f.Add([]byte("data: " + strings.Repeat("[", 10_001) + "\x00"))
	f.Add(bytes.Repeat([]byte("data: x\nid\n"), client.MaxEventBytes/10))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := received(t, strings.NewReader(openFrame(1)+string(text)+"\n\n"+messageFrame(7)))
		closed := slices.ContainsFunc(got, func(event string) bool { return strings.HasPrefix(event, "$close ") })
		if last := got[len(got)-1]; !closed && !strings.HasPrefix(last, "status k3f9-7 ") {
			t.Errorf("after %.200q the last event is %.200q", text, last)
		}
	})
}

// received returns the events of one connection.
func received(t *testing.T, body io.Reader) []string {
	c := over(t, func(*http.Request) (*http.Response, error) { return answer(200, stream, body), nil })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	sub := client.Subscription{OnRetry: func(error, time.Duration) { cancel() }}
	for event, err := range c.Events(ctx, sub) {
		if err == nil {
			got = append(got, fmt.Sprintf("%s %s %s", event.Name, event.ID, event.Data))
		}
	}
	return got
}
