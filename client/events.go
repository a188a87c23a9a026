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

// ErrNotEventStream ends a subscription whose server answers with something
// else: the address is most likely that of another service.
var ErrNotEventStream = errors.New("client: the answer is not an event stream")

// Why a connection ended and is made again.
var (
	errEnded  = errors.New("client: the server ended the stream")
	errSilent = errors.New("client: nothing was heard from the server for too long")
	errBroken = errors.New("client: the stream has an event that cannot be read")
)

// errLoopLeft says that the range over a subscription is over.
var errLoopLeft = errors.New("client: the loop was left")

// Events returns a loop over the events of sub as they stand on the wire, the
// control events among them. Ranging over it connects. [Client.Subscribe] is the
// same for whoever wants messages.
//
// A connection that is lost is made again after a random wait whose bound grows
// from 250 ms to 5 s, or that the server asked for, and goes on after the last
// event that was decoded whole. [Event.ID] holds that position. The bound is back
// at 250 ms when a connection has lived for 5 s. Each range over the result is a
// subscription of its own that begins at sub.LastEventID.
//
// An error comes as the last pair, without an event: that of ctx when it has
// ended, a [*Problem] with a status of 4xx that trying again cannot change (408,
// 425 and 429 are tried again, and 401 is once if [WithCredentials] may give
// another credential), [*CloseError], [ErrNotEventStream], [ErrEventTooLong], or
// what the source of [WithCredentials] returned.
func (c *Client) Events(ctx context.Context, sub Subscription) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := stream{client: c, sub: sub, position: sub.LastEventID}
		for {
			err := s.connection(ctx, yield)
			switch {
			case errors.Is(err, errLoopLeft):
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
		return !problem.passing()
	case errors.As(err, &closed):
		return !closed.Reconnect
	}
	return errors.As(err, &credential) || errors.Is(err, ErrNotEventStream) || errors.Is(err, ErrEventTooLong)
}

// stream is one subscription across its connections. The goroutine that ranges
// owns it.
type stream struct {
	client   *Client
	sub      Subscription
	position string // the id of the last event that was decoded whole
	backoff  backoff
	renewed  bool // the last answer was 401, and another credential was asked for
}

// renew reports whether the credential was refused for the first time in a row
// and there may be another one. It may have expired on its way.
func (s *stream) renew(err error) bool {
	var problem *Problem
	if s.renewed || !s.client.renewable || !errors.As(err, &problem) || problem.Status != http.StatusUnauthorized {
		return false
	}
	s.renewed = true
	return true
}

// connection makes one connection and yields its events. It always returns why
// it ended.
func (s *stream) connection(ctx context.Context, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The watchdog is awake from the start, so that connecting is bounded too.
	dog := newWatchdog(s.client.silence, func() { cancel(errSilent) })
	defer dog.stop()

	resp, err := s.open(ctx)
	dog.stop()
	if err == nil {
		defer resp.Body.Close()
		s.renewed = false
		opened := time.Now()
		err = s.events(newDecoder(watched{resp.Body, dog}), yield)
		if time.Since(opened) >= stableAfter {
			s.backoff.reset()
		}
	}
	if errors.Is(context.Cause(ctx), errSilent) && !errors.Is(err, errLoopLeft) {
		return errSilent
	}
	return err
}

// open sends the request. The answer's body is the caller's to close.
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
	if s.position != "" {
		r.header.Set("Last-Event-ID", s.position)
	}
	resp, err := s.client.send(ctx, r)
	if err != nil {
		return nil, err
	}
	got := resp.Header.Get("Content-Type")
	mediaType, _, _ := mime.ParseMediaType(got)
	if resp.StatusCode != http.StatusOK || mediaType != "text/event-stream" {
		resp.Body.Close()
		return nil, fmt.Errorf("%w but %s with content type %q", ErrNotEventStream, resp.Status, got)
	}
	return resp, nil
}

// events yields what d decodes until the stream ends, and returns why.
func (s *stream) events(d *decoder, yield func(Event, error) bool) error {
	for {
		b, err := d.next()
		switch {
		case errors.Is(err, io.EOF):
			return errEnded
		case err != nil:
			return err
		}
		if len(b.data) == 0 {
			continue // no event
		}
		event, err := eventOf(b)
		if err != nil {
			return err
		}
		if b.id != "" {
			s.position = b.id
		}
		event.ID = s.position
		if !yield(event, nil) {
			return errLoopLeft
		}
		if event.Close != nil {
			return &CloseError{*event.Close}
		}
	}
}
