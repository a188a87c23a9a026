package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// event is what a reader makes of one event of a stream.
type event struct{ ID, Type, Data, Retry string }

// maxLine is where widely used clients fail: see bufio.MaxScanTokenSize.
const maxLine = 64 << 10

// decoder reads Server-Sent Events as the WHATWG text says, section 9.2.6, and
// refuses what that allows and this server promises never to send.
type decoder struct{ in *bufio.Reader }

func newDecoder(r io.Reader) *decoder { return &decoder{bufio.NewReaderSize(r, maxLine)} }

// next returns the next event. A stream that ends inside an event is an
// [io.ErrUnexpectedEOF]; a heartbeat is passed over, and so is $live, which may stand
// between any two events.
func (d *decoder) next() (event, error) {
	for {
		if e, err := d.block(); err != nil || e.Type != "$live" {
			return e, err
		}
	}
}

func (d *decoder) block() (event, error) {
	var e event
	fields := 0
	for {
		line, err := d.in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && (len(line) > 0 || fields > 0):
			return e, io.ErrUnexpectedEOF
		case err != nil:
			return e, err // a line of more than maxLine is bufio.ErrBufferFull
		}
		text := string(line[:len(line)-1])
		if strings.ContainsAny(text, "\r\x00\ufeff") {
			return e, fmt.Errorf("a carriage return, NUL or byte order mark: %q", text)
		}
		switch text {
		case ":":
			if fields > 0 {
				return e, fmt.Errorf("a heartbeat inside the event %+v", e)
			}
			continue
		case "":
			if e.Data == "" {
				return e, fmt.Errorf("a block without data, of which some clients make an event: %+v", e)
			}
			if e.ID == "" && e.Type != "$close" { // a stream that is refused has no position
				return e, fmt.Errorf("an event without an id: %+v", e)
			}
			return e, nil
		}
		fields++
		if err := e.set(text); err != nil {
			return e, err
		}
	}
}

// set takes one field over. None may come twice.
func (e *event) set(line string) error {
	name, value, found := strings.Cut(line, ": ")
	field := map[string]*string{"id": &e.ID, "event": &e.Type, "data": &e.Data, "retry": &e.Retry}[name]
	if !found || field == nil || value == "" || *field != "" {
		return fmt.Errorf("not a field that is expected here: %q", line)
	}
	*field = value
	return nil
}

// lifetime bounds how long a stream of a test may stay open, so that whoever waits for an
// event that never comes does not wait forever. [stream.expect] waits for patience.
const lifetime = 10 * patience

// stream is an open subscription of a test.
type stream struct {
	*http.Response
	events *decoder
	close  context.CancelFunc
}

// subscription asks for a stream.
func subscription(ctx context.Context, t testing.TB, url, credential, lastEventID string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if credential != "" { // it may stand in the address
		req.Header.Set("Authorization", "Bearer "+credential)
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	return req
}

// subscribe opens a stream and reads its first event, which must be $open.
func subscribe(t testing.TB, c *http.Client, url, credential, lastEventID string) (*stream, event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	resp, err := c.Do(subscription(ctx, t, url, credential, lastEventID))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	s := &stream{Response: resp, events: newDecoder(resp.Body), close: cancel}
	t.Cleanup(func() {
		cancel()
		resp.Body.Close()
	})
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("subscribe: %s, %s", resp.Status, got)
	}
	return s, s.expect(t, "$open")
}

// subscribe opens a stream with the API key.
func (s *server) subscribe(t testing.TB, query, lastEventID string) (*stream, event) {
	t.Helper()
	return subscribe(t, newClient(t), s.url+"/v1/subscribe?"+query, s.key, lastEventID)
}

// expect reads the next event, which must be of the given type.
func (s *stream) expect(t testing.TB, kind string) event {
	t.Helper()
	impatient := time.AfterFunc(patience, s.close)
	defer impatient.Stop()
	e, err := s.events.next()
	if err != nil || e.Type != kind {
		t.Fatalf("wanted %s, got %+v, %v", kind, e, err)
	}
	return e
}
