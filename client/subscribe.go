package client

import (
	"context"
	"iter"
	"time"
)

// Subscription describes what to subscribe to.
type Subscription struct {
	// Channels are names or patterns. They may be left out if the credential is a token
	// that names exactly one channel.
	Channels []string

	// Topics are the names of topics. Default: all that the credential allows.
	Topics []string

	// LastEventID is a [Message.Position] or [Event.ID] of an earlier subscription, after
	// which to resume.
	LastEventID string

	// Replay says which earlier messages to get first if there is no LastEventID: none (the
	// default), latest, all or a number.
	Replay string

	// UntilEnd ends the loop, without an error, once the run of the channel has a final
	// status and everything before it has arrived. It requires exactly one channel, which
	// must not be a pattern.
	UntilEnd bool

	// OnRetry, if not nil, is called before each wait for a new connection, with the reason
	// and the length of the wait. It runs in the goroutine of the loop.
	OnRetry func(err error, wait time.Duration)
}

// Subscribe returns a loop over the messages of sub. Ranging over it connects to the server.
// After a lost connection it reconnects, as [Client.Events] describes, and resumes after the
// last event that it has decoded completely. So the loop gets each message once and in order,
// or a [*GapError] where the server no longer has the missed messages.
//
// It starts no goroutine: the loop itself reads and waits, so a slow loop body delays only
// the reading.
//
//	for message, err := range c.Subscribe(ctx, sub) {
//		var gap *client.GapError
//		switch {
//		case errors.As(err, &gap):
//			reload() // fetch what was lost from its source; the loop goes on
//		case err != nil:
//			return err
//		default:
//			show(message)
//		}
//	}
//
// A [*GapError] takes the place of messages that are lost for good, an [*EventError] that
// of an event that cannot be read. They are not the last pair: a loop that continues gets
// the messages after them, and a loop that returns on any error loses nothing silently.
// Every other error is the last pair, as in [Client.Events].
//
// Messages of kind run arrive whatever the topics ([Message.Run]), and a streamed text
// arrives in pieces ([Texts]).
func (c *Client) Subscribe(ctx context.Context, sub Subscription) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for event, err := range c.Events(ctx, sub) {
			message := Message{Position: event.ID}
			switch {
			case err != nil:
			case event.Gap != nil:
				err = &GapError{*event.Gap}
			case event.Message != nil:
				message.Message = *event.Message
			default:
				continue // a control event
			}
			if !yield(message, err) {
				return
			}
		}
	}
}
