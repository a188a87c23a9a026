package client

import (
	"context"
	"iter"
	"time"
)

// Subscription says what to subscribe to.
type Subscription struct {
	// Channels are names or patterns. It may be empty when the credential is a
	// token that names exactly one channel.
	Channels []string

	// Topics default to all that the credential allows.
	Topics []string

	// LastEventID is a [Message.Position] or [Event.ID] of an earlier subscription
	// to go on after.
	LastEventID string

	// Replay asks for messages from before the start when there is no
	// LastEventID: none (default), latest, all or a number.
	Replay string

	// OnRetry is called before each wait for another connection with the reason
	// and the length of the wait. It runs in the goroutine of the loop. May be nil.
	OnRetry func(err error, wait time.Duration)
}

// Subscribe returns a loop over the messages of sub. Ranging over it connects;
// connections that are lost are made again as [Client.Events] says.
//
//	for message, err := range c.Subscribe(ctx, sub) {
//		var gap *client.GapError
//		switch {
//		case errors.As(err, &gap):
//			reload() // what was lost, from where it is kept; the loop goes on
//		case err != nil:
//			return err
//		default:
//			show(message)
//		}
//	}
//
// A [*GapError] stands where messages are lost for good. It is not the last pair:
// a loop that goes on gets what there is after the gap, one that returns on any
// error stops loudly. Every other error is the last pair, as in [Client.Events].
//
// Messages of kind run come whatever the topics ([Message.Run]), and a text that
// is streamed comes in pieces ([Texts]).
func (c *Client) Subscribe(ctx context.Context, sub Subscription) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for event, err := range c.Events(ctx, sub) {
			message := Message{Position: event.ID}
			switch {
			case event.Gap != nil:
				err = &GapError{*event.Gap}
			case event.Message != nil:
				message.Message = *event.Message
			case err == nil:
				continue // a control event
			}
			if !yield(message, err) {
				return
			}
		}
	}
}
