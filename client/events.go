package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// Why a connection ends. errEnded and errSilent cause a reconnection, the others end the
// subscription.
var (
	errEnded    = errors.New("client: the server ended the stream")
	errSilent   = errors.New("client: the server was silent for too long")
	errRunEnded = errors.New("client: the run has ended")
	errLoopLeft = errors.New("client: the loop was left")
)

// Events returns a loop over the events of sub as they are on the wire, including control
// events. If you only want messages, use [Client.Subscribe].
//
// Ranging over the loop connects to the server. After a lost connection, it waits, reconnects
// and resumes after the last complete event, whose position is in [Event.ID]. The wait is as
// long as the server asked for, or random up to a limit that doubles from 250 ms to 5 s. The
// limit is reset once a connection has delivered something new or has lasted for 5 s. Each
// range over the loop is a separate subscription that begins at sub.LastEventID.
//
// An event that cannot be read comes with an [*EventError], and the loop goes on. Every other
// error is the last pair and comes without an event:
//
//   - the error of ctx;
//   - a [*Problem], unless trying again can help: after 408, 425, 429 and 5xx the loop
//     reconnects, and after 401 it does so once if [WithCredentials] may supply another
//     credential;
//   - a [*CloseError] if the server closed the stream for good;
//   - [ErrNotEventStream], [ErrRedirected], or the error of the credential source.
func (c *Client) Events(ctx context.Context, sub Subscription) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := stream{client: c, sub: sub, position: sub.LastEventID}
		for {
			err := s.connection(ctx, yield)
			switch {
			case errors.Is(err, errLoopLeft), errors.Is(err, errRunEnded):
				return
			case ctx.Err() != nil:
				yield(Event{}, ctx.Err())
				return
			case s.renew(err):
				continue
			case final(err):
				yield(Event{}, err)
				return
			}
			wait := s.backoff.next(hintOf(err))
			if sub.OnRetry != nil {
				sub.OnRetry(err, wait)
			}
			if !sleep(ctx, wait) {
				yield(Event{}, ctx.Err())
				return
			}
		}
	}
}

// final reports whether err ends a subscription.
func final(err error) bool {
	var (
		problem    *Problem
		closed     *CloseError
		credential *credentialError
	)
	switch {
	case errors.As(err, &problem):
		return !problem.transient()
	case errors.As(err, &closed):
		return !closed.Reconnect
	}
	return errors.As(err, &credential) || errors.Is(err, ErrNotEventStream) || errors.Is(err, ErrRedirected)
}

// codeRunEnded is the close code of a stream with [Subscription.UntilEnd] whose run has ended.
const codeRunEnded = 4000

// stream is one subscription with all its connections. It belongs to the goroutine of the
// loop.
type stream struct {
	client   *Client
	sub      Subscription
	position string // id of the last complete event
	backoff  backoff
	renewed  bool // the last answer was 401, and the source was asked for another credential
}

// renew reports whether to retry at once with another credential: the server refused the last
// one, which may have expired in transit, and did not refuse the one before.
func (s *stream) renew(err error) bool {
	var problem *Problem
	if s.renewed || !s.client.renewable || !errors.As(err, &problem) || problem.Status != http.StatusUnauthorized {
		return false
	}
	s.renewed = true
	return true
}

// connection opens one connection and yields its events. The error says why it ended and is
// never nil.
func (s *stream) connection(ctx context.Context, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The watchdog also limits how long connecting may take.
	dog := newWatchdog(s.client.silence, func() { cancel(errSilent) })
	defer dog.stop()

	resp, err := s.open(ctx)
	dog.stop()
	if err == nil {
		defer resp.Body.Close()
		s.renewed = false
		opened := time.Now()
		err = s.events(newDecoder(watched{resp.Body, dog}), dog, yield)
		if time.Since(opened) >= stableAfter {
			s.backoff.reset()
		}
	}
	if errors.Is(context.Cause(ctx), errSilent) && !errors.Is(err, errLoopLeft) {
		return errSilent
	}
	return err
}

// open sends the request. The caller closes the body of the response.
func (s *stream) open(ctx context.Context) (*http.Response, error) {
	r := request{
		method: http.MethodGet,
		path:   "/v1/subscribe",
		query:  url.Values{},
		header: http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-store"}},
	}
	if len(s.sub.Channels) > 0 {
		r.query["channel"] = s.sub.Channels
	}
	if len(s.sub.Topics) > 0 {
		r.query["topic"] = s.sub.Topics
	}
	if s.sub.Replay != "" {
		r.query.Set("replay", s.sub.Replay)
	}
	if s.sub.UntilEnd {
		r.query.Set("until", "end")
	}
	if s.position != "" {
		r.header.Set("Last-Event-ID", s.position)
	}
	resp, err := s.client.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if s.sub.UntilEnd && resp.StatusCode == http.StatusNoContent {
		discard(resp)
		return nil, errRunEnded
	}
	got := resp.Header.Get("Content-Type")
	mediaType, _, _ := mime.ParseMediaType(got)
	if resp.StatusCode != http.StatusOK || mediaType != "text/event-stream" {
		discard(resp)
		return nil, fmt.Errorf("%w but %s with content type %q", ErrNotEventStream, resp.Status, got)
	}
	return resp, nil
}

// events yields the events that d decodes until the stream ends, and returns why it ended.
func (s *stream) events(d *decoder, dog *watchdog, yield func(Event, error) bool) error {
	for opened := false; ; opened = true {
		b, err := d.next()
		switch {
		case errors.Is(err, io.EOF):
			return errEnded
		case err != nil:
			return err
		}
		if len(b.data) == 0 {
			continue // a block without data is not an event
		}
		event, err := eventOf(b)
		s.move(b.id, opened)
		event.ID = s.position
		if err != nil {
			err = &EventError{event, err}
		}
		if event.Open != nil && event.Open.HeartbeatMS > 0 && !s.client.silenceSet {
			dog.patience = patienceFor(milliseconds(event.Open.HeartbeatMS))
		}
		if !yield(event, err) {
			return errLoopLeft
		}
		if event.Close != nil {
			if event.Close.Code == codeRunEnded {
				return errRunEnded
			}
			return &CloseError{*event.Close}
		}
	}
}

// move sets the position after an event. A connection that delivers something new after its
// first event, $open, counts as working, however short it is. Otherwise a flapping network
// would make the waits longer and longer.
func (s *stream) move(id string, opened bool) {
	if id == "" || id == s.position {
		return
	}
	s.position = id
	if opened {
		s.backoff.reset()
	}
}
