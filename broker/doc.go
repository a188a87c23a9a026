// Package broker keeps channels and serves them to readers.
//
// A channel is a short, append-only log of frames. A message is encoded once,
// into the complete Server-Sent Event, and every reader is sent those same
// bytes. A reader ([Stream]) is a position and not a queue: replay and live
// delivery are the same walk from its position to the head of the log, so there
// is no seam between them at which a message could be lost or doubled.
//
// Guarantees:
//
//   - Messages of a channel have rising ids and reach every reader in that order;
//     messages of several channels in one stream too, if they are of one shard.
//   - A stream hands out each message at most once, and says so ($gap) before it
//     passes over one that is lost.
//   - [Broker.Publish] never waits for a reader; at most, and for a bounded time,
//     until what was published has been offered to all of them.
//   - Memory is bounded by [Options]; what is dropped early is counted in [Stats].
//
// With several engines ([Options.Shards]), a hash of its name says in which shard a
// channel is. Each shard has its own positions, and is a broker of its own inside;
// a stream over several of them stands somewhere in each ([schemas.Position]).
//
// The package knows nothing of HTTP and of tokens: a stream's [Owner] is a few
// strings by which it can be listed and ended. It keeps everything in memory.
package broker
