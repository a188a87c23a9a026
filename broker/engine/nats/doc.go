// Package nats is the engine for many nodes. It keeps messages in a JetStream stream
// of a NATS cluster, so that a message has the same position on every node and any
// node can serve any reader.
//
// It promises:
//
//   - A receipt means that the stream has the message, on a majority of its replicas.
//   - A publish with a key happens once in the whole cluster: the message and the
//     record of its key are stored together or not at all.
//   - A piece of a text with a fence is stored only while its publisher has the text,
//     whichever nodes it and others use.
//   - A text counts as one message, however many pieces it has, as long as what the
//     channel keeps has no more than 4 MiB.
//   - The latest message of each topic is kept as long as its channel keeps messages,
//     though the stream may have pushed it out; see [latest] for when it may not be.
//   - A message that live delivery loses is fetched and delivered in its place: at
//     once if another message of its channel follows, otherwise within 16 seconds.
//   - A node that is cut off notices: [Engine.Ready] depends on a message that makes
//     the round trip through the stream every second.
//
// It supports a single cluster of NATS servers, 2.12 or newer. Over gateways and leaf
// nodes it could not tell when a subscription has reached the stream.
//
// The clocks of nodes and servers may differ by up to ten seconds. Beyond that, a loss
// by age may go unannounced, or one may be announced that did not happen.
//
// The package does not know HTTP, readers, or channel definitions.
package nats
