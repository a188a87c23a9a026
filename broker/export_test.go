package broker

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Last returns the newest position handed out.
func (b *Broker) Last() schemas.ID { return b.idOf(b.seq.last()) }

// Sweep does at once what otherwise happens every second.
func (b *Broker) Sweep(now time.Time) { b.sweep(now) }

// ShardOf returns in which of n shards a channel is, from 0.
func ShardOf(name schemas.Channel, n int) int { return shardOf(name, n) }
