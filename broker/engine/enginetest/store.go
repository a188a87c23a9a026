// Package enginetest tests what every engine promises, so that each engine's own tests
// are about what it does differently. Each function takes fresh stores of one service:
// one store, or one for each node of a cluster.
package enginetest

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Store is what keeps messages: an [engine.Engine] that is started, or what a test puts
// in front of a broker without one.
type Store interface {
	Append(ctx context.Context, e engine.Entry) (schemas.Receipt, error)
	Load(ctx context.Context, name schemas.Channel) (engine.Snapshot, error)
	Delete(ctx context.Context, name schemas.Channel) (found bool, err error)
}

// entry returns a message for Append; key may be empty.
func entry(name schemas.Channel, data, key string) engine.Entry {
	return engine.Entry{
		Message: schemas.Message{Channel: name, Topic: "t", Kind: schemas.KindData, Data: []byte(data)},
		Key:     key,
		Limits:  engine.Limits{Messages: 1000, Bytes: 1 << 20, Age: time.Hour},
	}
}

func put(t *testing.T, s Store, e engine.Entry) schemas.Receipt {
	t.Helper()
	r, err := s.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// kept returns the messages that a store keeps of a channel.
func kept(t *testing.T, s Store, name schemas.Channel) []schemas.Message {
	t.Helper()
	snapshot, err := s.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Messages
}

// Names returns the channels in the result of [engine.Engine.List].
func Names(list []engine.Summary, err error) ([]schemas.Channel, error) {
	names := make([]schemas.Channel, len(list))
	for i, s := range list {
		names[i] = s.Channel
	}
	return names, err
}
