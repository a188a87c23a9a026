// Package nats is the engine of many nodes. It keeps messages in a JetStream
// stream of a NATS cluster, so that every node of a service gives the same
// message the same position, and any node can serve any reader.
//
// What it promises:
//
//   - A receipt means that the stream has the message, on a majority of its
//     replicas.
//   - A publish with a key happens once in the whole cluster: the message and the
//     record of its key are written together or not at all.
//   - A message that live delivery has lost on its way, for whatever reason, is
//     fetched and delivered in its place: at once if another one of its channel
//     follows it, else within 15 seconds.
//   - A node that is cut off says so: [Engine.Ready] goes through the stream and
//     back each second.
//
// It supports one cluster of NATS servers, 2.12 or newer. Over gateways and leaf
// nodes it would not know when its interest in a subject has reached the stream.
//
// Clocks of nodes and servers may differ by up to ten seconds. Beyond that, a loss
// may be announced that is none, or one by age be hidden.
//
// It does not know HTTP, readers or definitions of channels.
package nats
