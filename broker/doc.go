// Package broker keeps channels and serves them to readers.
//
// A channel is a short, append-only log of frames. Each message is encoded once, as a
// complete Server-Sent Event, and every reader gets those same bytes. A reader ([Stream])
// is a position in the log, not a queue, so there is no seam between replay and live
// delivery where a message could be lost or duplicated.
//
//   - Message ids of a channel only grow, and every reader gets the messages in that
//     order. A stream over several channels of one shard gets them all in one order.
//   - A stream hands out each message at most once, and reports a loss ($gap) before it
//     passes the lost messages.
//   - [Broker.Publish] never waits for a reader. It waits, for a bounded time, only until
//     every reader has been offered what was published before.
//   - Memory is bounded by [Options]. What is dropped early is counted in [Stats].
//
// Without an engine, messages are kept in memory only. The package knows nothing of HTTP
// and tokens.
package broker
