package client

import (
	"context"
	"encoding/json"
	"iter"
	"reflect"

	"github.com/sluicehq/sluice/schemas"
)

// TopicOf is a topic whose messages carry a T, encoded with encoding/json. Make one with
// [Topic]. It holds only names and may be a package variable.
type TopicOf[T any] struct {
	name   string
	schema json.RawMessage // nil: that of T
}

// Topic returns the topic with the given name, whose messages carry a T. A name has 1 to 64
// of the characters A-Z a-z 0-9 _ . -; a bad name is an error wherever the topic is used.
//
//	var status = client.Topic[Status]("status")
func Topic[T any](name string) TopicOf[T] { return TopicOf[T]{name: name} }

// WithSchema returns the same topic with a JSON Schema (draft 2020-12) instead of the one
// that is derived from T: one that says more, or one for a T with its own JSON encoding.
func (t TopicOf[T]) WithSchema(schema json.RawMessage) TopicOf[T] {
	t.schema = schema
	return t
}

// Name returns the topic's name.
func (t TopicOf[T]) Name() string { return t.name }

// Schema returns the JSON Schema that [Client.Define] sends to the server: the one of
// [TopicOf.WithSchema], or the one derived from T.
//
// A derived schema follows encoding/json. Fields without omitempty, omitzero or a pointer
// are required. A value that can be nil can be null, unless it is omitted then. Additional
// members are allowed. [time.Time] is a date-time, []byte is base64, an
// [encoding.TextMarshaler] is a string; an interface without methods and a
// [json.RawMessage] are anything. Named types within T are under $defs, so they can be
// recursive. It returns [ErrNoSchema] for types that JSON cannot represent and for types
// with their own JSON encoding.
func (t TopicOf[T]) Schema() (json.RawMessage, error) {
	if t.schema != nil {
		return t.schema, nil
	}
	return schemaOf(reflect.TypeFor[T]())
}

// Publish publishes data, as [Client.Publish] does.
func (t TopicOf[T]) Publish(ctx context.Context, c *Client, channel string, data T, opts ...PublishOption) (schemas.Receipt, error) {
	return c.Publish(ctx, channel, t.name, data, opts...)
}

// PublishStep publishes data durably as a step of a run, as [Run.Publish] does.
func (t TopicOf[T]) PublishStep(ctx context.Context, run Run, stepID string, data T) (schemas.Receipt, error) {
	return run.Publish(ctx, stepID, t.name, data)
}

// Item returns data as an item for [Client.PublishBatch] and
// [Client.PublishLines].
func (t TopicOf[T]) Item(channel string, data T) Item {
	return Item{Channel: channel, Topic: t.name, Data: data}
}

// Subscribe is like [Client.Subscribe] for the decoded messages of this topic; sub.Topics is
// ignored. A message that does not decode is a [*DecodeError], which, like a [*GapError]
// and an [*EventError], is not the last pair. Pieces of a streamed text have the zero T
// ([Texts] reads them); run statuses are left out.
func (t TopicOf[T]) Subscribe(ctx context.Context, c *Client, sub Subscription) iter.Seq2[MessageOf[T], error] {
	sub.Topics = []string{t.name}
	return func(yield func(MessageOf[T], error) bool) {
		for message, err := range c.Subscribe(ctx, sub) {
			if message.Kind == schemas.KindRun {
				continue
			}
			typed := MessageOf[T]{Message: message}
			if err == nil && message.Kind == schemas.KindData {
				if fault := json.Unmarshal(message.Data, &typed.Data); fault != nil {
					typed = MessageOf[T]{Message: message}
					err = &DecodeError{message, fault}
				}
			}
			if !yield(typed, err) {
				return
			}
		}
	}
}
