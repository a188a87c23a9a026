package client

import (
	"context"
	"encoding/json"
	"iter"
	"reflect"

	"github.com/sluicehq/sluice/schemas"
)

// TopicOf is a topic whose messages carry a T, as encoding/json writes and reads
// it. Make one with [Topic]; it holds nothing but names and may be a package's
// variable.
type TopicOf[T any] struct {
	name   string
	schema json.RawMessage // nil: that of T
}

// Topic returns the topic of that name with messages of T. Names are 1 to 64 of
// A-Z a-z 0-9 _ . -; whoever uses the topic is told of a bad one.
//
//	var status = client.Topic[Status]("status")
func Topic[T any](name string) TopicOf[T] { return TopicOf[T]{name: name} }

// WithSchema returns the same topic with a JSON Schema (draft 2020-12) in place
// of the one that is derived from T: one that says more, or one for a T that has
// its own way to write JSON.
func (t TopicOf[T]) WithSchema(schema json.RawMessage) TopicOf[T] {
	t.schema = schema
	return t
}

// Name returns the topic's name.
func (t TopicOf[T]) Name() string { return t.name }

// Schema returns the JSON Schema that [Client.Define] gives the server: that of
// [TopicOf.WithSchema], or the one derived from T.
//
// It follows encoding/json. Fields without omitempty, omitzero or a pointer are
// required, what may be nil may be null unless it is left out then, further
// members are allowed. [time.Time] is a date-time, []byte base64, an
// [encoding.TextMarshaler] a string, an interface without methods and
// [json.RawMessage] anything. Named types within T stand under $defs, so that
// they may contain themselves. It returns [ErrNoSchema] for what JSON cannot
// hold, and for a type that writes its own JSON.
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

// Subscribe is [Client.Subscribe] for the messages of this topic, decoded;
// sub.Topics does not count. A message that does not decode is a [*DecodeError],
// which like a [*GapError] is not the last pair. Pieces of a streamed text come
// with the zero T ([Texts] reads them); run statuses are left out.
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
