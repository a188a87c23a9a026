package broker

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// DropExpired drops what has expired at once, which the broker otherwise does every second.
func (b *Broker) DropExpired(now time.Time) {
	for _, sh := range b.shards {
		sh.dropExpired(now)
	}
}

// Append publishes e, which may have a fence.
func (b *Broker) Append(ctx context.Context, e engine.Entry) (schemas.Receipt, error) {
	return b.shardFor(e.Channel).publish(ctx, &e)
}

// Text and SetText are of the store of a text.
func (b *Broker) Text(ctx context.Context, name engine.TextName) (t engine.Text, revision uint64, err error) {
	return b.shardFor(name.Channel).store.text(ctx, name)
}

func (b *Broker) SetText(ctx context.Context, name engine.TextName, revision uint64, t engine.Text) (uint64, error) {
	return b.shardFor(name.Channel).store.setText(ctx, name, revision, t)
}

// Merges reports whether the channels of s are in several shards.
func (s *Stream) Merges() bool { return s.merges() }

// ShardIndex returns in which of n shards a channel is, from 0.
func ShardIndex(name schemas.Channel, n int) int { return shardIndex(name, n) }
