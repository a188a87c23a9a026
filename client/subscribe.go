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
	errBroken = errors.New("client: the stream broke off inside an event")
)

// errLoopLeft says that the range over a subscription is over.
var errLoopLeft = errors.New("client: the loop was left")

// Subscription says what to subscribe to.
type Subscription struct {
	// Channels are names or patterns. It may be empty when the credential is a
	// token that names exactly one channel.
	Channels []string

	// Topics default to all that the credential allows.
	Topics []string

	// LastEventID is an [Event.ID] of an earlier subscription to go on after.
	LastEventID string

	// Replay asks for messages from before the start when there is no
	// LastEventID: none (default), latest, all or a number.
	Replay string

	// OnRetry is called before each wait for another connection with the reason
	// and the length of the wait. It runs in the goroutine of the loop. May be nil.
	OnRetry func(err error, wait time.Duration)
}

// Subscribe returns a loop over the events of sub. Ranging over it connects.
//
// A connection that is lost is made again after a random wait that grows from
// 250 ms to 5 s, or that the server asked for, and goes on after the last event
// that was decoded whole. [Event.ID] holds that position. Each range over the
// result is a subscription of its own that begins at sub.LastEventID.
//
// An error comes as the last pair, without an event: that of ctx when it has
// ended, a [*Problem] with a status of 4xx that trying again cannot change (408,
// 425 and 429 are tried again), [*CloseError], [ErrNotEventStream],
// [ErrEventTooLong], or what the source of [WithCredentials] returned.
func (c *Client) Subscribe(ctx context.Context, sub Subscription) iter.Seq2[Event, error] {
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
		return problem.final()
	case errors.As(err, &closed):
		return !closed.Reconnect
	}
	return errors.As(err, &credential) || errors.Is(err, ErrNotEventStream) || errors.Is(err, ErrEventTooLong)
}

// hintOf returns how long the server asked to wait; 0: it did not.
func hintOf(err error) time.Duration {
	var (
		problem *Problem
		closed  *CloseError
	)
	switch {
	case errors.As(err, &problem):
		return problem.RetryAfter
	case errors.As(err, &closed):
		return time.Duration(min(closed.RetryAfterMS, maxHint.Milliseconds())) * time.Millisecond
	}
	return 0
}

// stream is one subscription across its connections. The goroutine that ranges
// owns it.
type stream struct {
	client   *Client
	sub      Subscription
	position string // the id of the last event that was decoded whole
	backoff  backoff
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
		if b.retry > 0 {
			s.backoff.base = b.retry
		}
		if len(b.data) == 0 {
			continue // no event, or the beginning of one that was cut off
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
