package client

import (
	"errors"
	"fmt"
)

// Errors that do not come from the server. The text of a returned error says more.
var (
	// ErrBadURL is returned by [New], and by requests without a URL, see [WithTokens].
	ErrBadURL = errors.New("client: bad server url")
	// ErrRedirected is returned if the server redirects a request to another scheme, host or
	// port. The credential is meant for the URL that [New] got, so it is sent nowhere else. It
	// is also returned if the redirect would change the request: a POST that is redirected
	// with 301 or 302 becomes a GET. Nothing was done. The error names the URL to give to
	// [New].
	ErrRedirected = errors.New("client: the server redirects to another address")
	// ErrNotEventStream ends a subscription if the server answers with something else. The URL
	// probably belongs to another service.
	ErrNotEventStream = errors.New("client: the answer is not an event stream")
	// ErrEventTooLong is the cause of an [*EventError] for an event of more than
	// [MaxEventBytes], which is skipped.
	ErrEventTooLong = fmt.Errorf("client: an event is longer than %d bytes", MaxEventBytes)
	// ErrNoID is returned if a [Run] or one of its steps has no id.
	ErrNoID = errors.New("client: a run and its steps need ids")
	// ErrTextLost is returned by [Client.PublishStream] if it would have to begin again, or to
	// go back, and the text is so long that this part of it is no longer kept.
	ErrTextLost = errors.New("client: the server lacks a part of the text that is no longer kept")
	// ErrNotDurable is returned by [Client.PublishStream] if it gets an [IdempotencyKey].
	ErrNotDurable = errors.New("client: a stream of text cannot be published under an idempotency key")
	// ErrBadParams is returned by [Channel.For].
	ErrBadParams = errors.New("client: bad parameters of a channel's name")
	// ErrNoSchema is returned if no JSON Schema can be derived from a Go type. The error names
	// the part of the type that is at fault. [TopicOf.WithSchema] sets a schema instead.
	ErrNoSchema = errors.New("client: no schema for a type")
)

// What a [*Problem] can be, for [errors.Is].
var (
	// ErrSuperseded says that a later attempt publishes the text, so this one must stop.
	ErrSuperseded = errors.New("client: superseded by a later attempt")
	// ErrConflict says that the server has something else: another final status of the run, or
	// another text under this stream id and attempt. It also says that another connection
	// publishes the same one.
	ErrConflict = errors.New("client: the server has something else")
)
