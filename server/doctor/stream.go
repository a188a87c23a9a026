package doctor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const topic = "check"

const (
	unbuffered  = "Turn its buffering off: proxy_buffering off in nginx, flush_interval -1 in Caddy; responses of the type text/event-stream must not be buffered."
	unrequested = "Turn the buffering of requests off: proxy_request_buffering off in nginx."
)

// names looks at whether a name that is escaped in a path arrives as it was.
func (e *examination) names(ctx context.Context) {
	const check = "names"
	a, err := e.askJSON(ctx, request{
		method: http.MethodPost, path: "/v1/publish/" + url.PathEscape(e.channel+"/a") + "/" + topic, bearer: e.token.Token,
	}, "names")
	defer e.forget(ctx, e.channel+"/a")
	switch {
	case err != nil:
		e.fault("publish", "Does the proxy pass on POST?", "no answer: %v", err)
	case a.StatusCode == http.StatusCreated:
		e.fine(check, "escaped names in paths arrive as they are")
	default:
		e.warn(check, "The SDKs send names in the query. Others should, too: POST /v1/publish/$/$?channel=…&topic=…", "a / in a name, escaped in a path, does not arrive: %s", a.problem())
	}
}

// stream looks at whether what is published arrives at once, in each direction, and again.
func (e *examination) stream(ctx context.Context) {
	defer e.forget(ctx, e.channel)
	s, ok := e.open(ctx, "")
	if !ok {
		return
	}
	defer s.close()
	first, ok := e.deliver(ctx, s, "1")
	if !ok {
		return
	}
	if _, ok := e.deliver(ctx, s, "2"); !ok {
		return
	}
	e.resume(ctx, first)
	e.upload(ctx, s)
	e.idle(ctx, s)
}

// deliver publishes a message and waits for it on s. It returns the id.
func (e *examination) deliver(ctx context.Context, s *stream, data string) (id string, ok bool) {
	const check = "delivery"
	began := time.Now()
	a, err := e.askJSON(ctx, request{
		method: http.MethodPost, path: "/v1/publish/$/$", query: url.Values{"channel": {e.channel}, "topic": {topic}}, bearer: e.token.Token,
	}, data)
	switch {
	case err != nil:
		e.fault("publish", "Does the proxy pass on POST?", "no answer: %v", err)
		return "", false
	case a.StatusCode != http.StatusCreated:
		e.fault("publish", "The log of the server says more.", "a message is refused: %s", a.problem())
		return "", false
	}
	got, err := s.await(e.Patience, func(ev event) bool { return ev.name == topic })
	if err != nil {
		e.fault(check, unbuffered, "a published message does not arrive within %v: %v", e.Patience, err)
		return "", false
	}
	if data == "1" {
		e.fine(check, "a message arrives %v after it was sent", time.Since(began).Round(100*time.Microsecond))
	}
	return got.id, true
}

// resume looks at whether a reader that reconnects resumes where it stopped: after the first
// of two messages.
func (e *examination) resume(ctx context.Context, first string) {
	const check = "resume"
	s, ok := e.open(ctx, first)
	if !ok {
		return
	}
	defer s.close()
	if !s.resumed {
		e.fault(check, "Let the proxy pass on the header Last-Event-ID.", "a reader that reconnects with Last-Event-ID starts over")
		return
	}
	got, err := s.await(e.Patience, func(ev event) bool { return ev.name == topic })
	var message struct{ Data string }
	switch {
	case err != nil:
		e.fault(check, unbuffered, "a reader that reconnects does not get what it missed within %v: %v", e.Patience, err)
	case json.Unmarshal([]byte(got.data), &message) != nil || message.Data != "2":
		e.fault(check, "Nothing in between may answer from a cache.", "a reader that reconnects after the first message gets %s", got.data)
	default:
		e.fine(check, "a reader that reconnects resumes where it stopped")
	}
}

// upload looks at whether the parts of a request arrive while it is being sent.
func (e *examination) upload(ctx context.Context, s *stream) {
	const check = "upload"
	ctx, cancel := context.WithTimeout(ctx, e.Patience+answerTimeout)
	defer cancel()
	body, part := io.Pipe()
	ended := make(chan error, 1)
	go func() { // ends with the body or ctx
		resp, err := e.do(ctx, request{
			method: http.MethodPost, path: "/v1/publish/$/$/stream", query: url.Values{"channel": {e.channel}, "topic": {topic}},
			header: http.Header{"Content-Type": {"text/plain"}}, body: body, bearer: e.token.Token,
		})
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
		}
		body.CloseWithError(io.ErrClosedPipe) // or the write would wait for nobody
		ended <- err
	}()
	_, _ = io.WriteString(part, "part") // an error is that of the request
	_, late := s.await(e.Patience, func(ev event) bool { return ev.name == topic && strings.Contains(ev.data, `"chunk"`) })
	part.Close()
	switch err := <-ended; {
	case err != nil:
		e.fault(check, "Does the proxy pass on requests with a body of unknown length?", "a streamed request fails: %v", err)
	case late != nil:
		e.warn(check, unrequested, "parts of a request do not arrive before its end, so a streamed text arrives all at once")
	default:
		e.fine(check, "parts of a request arrive while it is being sent")
	}
}

// idle looks at whether a stream on which nothing happens stays.
func (e *examination) idle(ctx context.Context, s *stream) {
	const check = "idle"
	if e.Idle <= 0 {
		return
	}
	began := time.Now()
	silence := 2 * s.heartbeat
	for time.Since(began) < e.Idle {
		if err := s.sign(min(silence, e.Idle)); errors.Is(err, errSilent) && silence < e.Idle {
			e.fault(check, unbuffered, "no heartbeat within %v; the server sends one at least every %v", silence, s.heartbeat)
			return
		} else if err != nil && !errors.Is(err, errSilent) {
			e.fault(check, fmt.Sprintf("Let the proxy keep an idle connection open for longer than the heartbeat, %v. Readers never send anything.", s.heartbeat), "the stream was cut after %v: %v", time.Since(began).Round(time.Second), err)
			return
		} else if ctx.Err() != nil {
			return
		}
	}
	e.fine(check, "an idle stream stays open for %v, with each heartbeat in time", e.Idle)
}

// forget deletes a channel, as far as the key may.
func (e *examination) forget(ctx context.Context, channel string) {
	_, _ = e.ask(context.WithoutCancel(ctx), request{ // what is left is forgotten by itself
		method: http.MethodDelete, path: "/v1/channels/$", query: url.Values{"channel": {channel}}, bearer: e.APIKey,
	})
}

// stream is an open stream of the channel.
type stream struct {
	resumed   bool // it goes on after an id
	heartbeat time.Duration
	lines     chan string
	cancel    context.CancelFunc
	err       error // why lines is closed
}

// event is one event of a stream.
type event struct{ name, id, data string }

var errSilent = errors.New("nothing came")

// open opens a stream, and resumes after an id unless that is empty. It waits for the
// first event, which the server sends at once.
func (e *examination) open(ctx context.Context, lastID string) (*stream, bool) {
	const check = "stream"
	ctx, cancel := context.WithCancel(ctx)
	header := http.Header{"Accept": {"text/event-stream"}, "Accept-Encoding": {"gzip, deflate, br"}}
	if lastID != "" {
		header.Set("Last-Event-ID", lastID)
	}
	timer := time.AfterFunc(answerTimeout, cancel)
	resp, err := e.do(ctx, request{method: http.MethodGet, path: "/v1/subscribe", query: url.Values{"channel": {e.channel}}, header: header, bearer: e.token.Token})
	inTime := timer.Stop()
	switch {
	case err != nil && !inTime:
		e.fault(check, unbuffered, "no answer to a reader within %v", answerTimeout)
	case err != nil:
		e.fault(check, "The log of the proxy should say why.", "no answer to a reader: %v", err)
	case resp.StatusCode != http.StatusOK:
		e.fault(check, "Does the proxy pass on the header Authorization?", "a reader is refused: %s", resp.Status)
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream"):
		e.fault(check, "Something in between answers in the server's place.", "a reader gets %q", resp.Header.Get("Content-Type"))
	case resp.Header.Get("Content-Encoding") != "":
		e.fault(check, "Exclude text/event-stream from compression.", "something in between compresses the stream (%s), which holds messages back", resp.Header.Get("Content-Encoding"))
	default:
		s := &stream{lines: make(chan string), cancel: cancel}
		go s.read(ctx, resp.Body)
		if e.opened(s, lastID == "") {
			return s, true
		}
		s.close()
		return nil, false
	}
	if err == nil {
		resp.Body.Close()
	}
	cancel()
	return nil, false
}

// opened waits for $open.
func (e *examination) opened(s *stream, tell bool) bool {
	const check = "stream"
	first, err := s.await(e.Patience, func(ev event) bool { return ev.name == "$open" || ev.name == "$close" })
	var open struct {
		Resumed   bool
		Heartbeat int `json:"heartbeat_ms"`
	}
	switch {
	case err != nil:
		e.fault(check, unbuffered, "the beginning of a stream does not arrive within %v: %v", e.Patience, err)
		return false
	case json.Unmarshal([]byte(first.data), &open) != nil || first.name == "$close":
		e.fault(check, "The log of the server says more.", "the stream is closed at once: %s", first.data)
		return false
	}
	s.resumed, s.heartbeat = open.Resumed, time.Duration(open.Heartbeat)*time.Millisecond
	if tell {
		e.fine(check, "it opens at once, with a heartbeat at least every %v", s.heartbeat)
	}
	return true
}

// read reads lines until the body ends.
func (s *stream) read(ctx context.Context, body io.ReadCloser) {
	defer body.Close()
	defer close(s.lines)
	in := bufio.NewScanner(body)
	for in.Scan() {
		select {
		case s.lines <- in.Text():
		case <-ctx.Done():
			s.err = ctx.Err()
			return
		}
	}
	if s.err = in.Err(); s.err == nil {
		s.err = io.EOF
	}
}

// await returns the next event that is wanted, within a time. Errors: errSilent, and why
// the stream has ended.
func (s *stream) await(within time.Duration, wanted func(event) bool) (event, error) {
	timeout := time.After(within)
	var ev event
	for {
		select {
		case <-timeout:
			return event{}, errSilent
		case line, ok := <-s.lines:
			if !ok {
				return event{}, s.err
			}
			switch name, value, _ := strings.Cut(line, ":"); {
			case line == "" && wanted(ev):
				return ev, nil
			case line == "":
				ev = event{}
			case name == "event":
				ev.name = strings.TrimPrefix(value, " ")
			case name == "id":
				ev.id = strings.TrimPrefix(value, " ")
			case name == "data":
				ev.data += strings.TrimPrefix(value, " ")
			}
		}
	}
}

// sign waits for anything at all.
func (s *stream) sign(within time.Duration) error {
	select {
	case _, ok := <-s.lines:
		if !ok {
			return s.err
		}
		return nil
	case <-time.After(within):
		return errSilent
	}
}

func (s *stream) close() {
	s.cancel()
	for range s.lines { // until the reader has ended
	}
}
