package broker

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/broker/audience"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/schemas"
)

// Options are the limits and times of a broker. A zero field stands for its default.
type Options struct {
	Replay engine.Limits // of channels whose definition sets no other limits

	Memory        int64 // bytes of all logs together; default 256 MiB
	BacklogBytes  int64 // bytes by which a log may exceed its limits for readers a moment behind, before publishers wait; default 4 MiB
	MaxChannels   int   // default 1,000,000
	MaxEventBytes int   // of the longest event; default 60 KiB

	RememberBytes int64         // memory for durable publishes; default 64 MiB, at least 1 MiB
	RememberFor   time.Duration // how long a durable publish is remembered, or the record of a text; default 24 h
	TextGrace     time.Duration // how long a text stays open whose publisher was lost; default 30 s

	MaxStreams           int // 0 for no limit
	MaxStreamsPerSubject int // 0 for no limit
	MaxStreamsPerAddress int // 0 for no limit
	MaxChannelsPerStream int // default 256

	Loops          int           // writer loops for connections that are taken over; default one per core, negative for none
	WriteTimeout   time.Duration // how long such a connection may accept nothing; default 10 s
	PublishTimeout time.Duration // how long a publish may wait for loops that are behind; default 5 s

	Pace         time.Duration // shortest time between two rounds of notifications or sweeps of a channel; default 1 ms, negative for none
	Heartbeat    time.Duration // longest silence on a stream; each stream shortens it by up to a fifth; default 15 s
	MaxStreamAge time.Duration // 0 for no limit; each stream shortens it by up to a fifth

	Epoch uint64 // of the log, which positions of other epochs do not refer to; default random

	// Engine keeps the messages. The caller closes it after the broker. Default:
	// messages are kept in memory alone.
	Engine engine.Engine
	// Outbox gets the ends of runs, if there is no engine: engines have outboxes of their own.
	// Default: nobody is told.
	Outbox *outbox.Local
	// Shards are engines that keep a part of the channels each. They are set instead of
	// Engine: at most [schemas.MaxShards], all of one epoch, and always the same number
	// in the same order. The limits above hold for all shards together; Memory,
	// MaxChannels and Loops are divided evenly. A single shard is the same as Engine.
	Shards []engine.Engine
	// LimitsOf returns the limits of a channel. Zero fields stand for those of Replay.
	// Default: every channel has the limits of Replay.
	LimitsOf func(schemas.Channel) engine.Limits

	// Audience hears who reads which channels, and tells streams. Default: nobody does.
	Audience audience.Audience

	// Deliveries follows messages to the readers that are up to date. Default: none is
	// followed.
	Deliveries *delivery.Follower

	Log *slog.Logger // warns when durable publishes are forgotten early; default none
}

func (o Options) withDefaults() Options {
	o.Replay.Messages = cmp.Or(o.Replay.Messages, 256)
	o.Replay.TextBytes = cmp.Or(o.Replay.TextBytes, 1<<20)
	o.Replay.Bytes = cmp.Or(o.Replay.Bytes, 1<<20)
	o.Replay.Age = cmp.Or(o.Replay.Age, 10*time.Minute)
	o.Memory = cmp.Or(o.Memory, 256<<20)
	o.BacklogBytes = cmp.Or(o.BacklogBytes, 4<<20)
	o.MaxChannels = cmp.Or(o.MaxChannels, 1_000_000)
	o.MaxEventBytes = cmp.Or(o.MaxEventBytes, 60<<10)
	o.Replay.EventBytes = o.MaxEventBytes
	o.RememberBytes = cmp.Or(o.RememberBytes, 64<<20)
	o.RememberFor = cmp.Or(o.RememberFor, 24*time.Hour)
	o.TextGrace = cmp.Or(o.TextGrace, 30*time.Second)
	o.MaxChannelsPerStream = cmp.Or(o.MaxChannelsPerStream, 256)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.PublishTimeout = cmp.Or(o.PublishTimeout, 5*time.Second)
	o.Pace = cmp.Or(o.Pace, time.Millisecond)
	o.Heartbeat = cmp.Or(o.Heartbeat, 15*time.Second)
	o.Epoch = cmp.Or(o.Epoch, schemas.NewEpoch())
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}
