// Package webhooks tells other services of what has happened: it posts events to the URLs in
// a file, signed as Standard Webhooks says (https://www.standardwebhooks.com), and tries
// again until they are accepted or an hour has passed.
//
// It promises:
//
//   - Each event is sent once from a service, however many nodes it has. Only if a node is
//     lost while it sends may an event be sent again, under the same id.
//   - The events of a channel reach an endpoint in order: the next one is sent when the one
//     before was accepted or given up. Other channels, and other endpoints, do not wait.
//   - Memory, connections and time are bounded. Events that are given up are counted and
//     logged, with the reason.
//   - Nothing is sent to a network that is not public, unless the operator allows it. That is
//     checked at each connection, of the very address that is connected to.
//
// The package does not know HTTP on the side of clients, nor how events are kept: that is
// package outbox.
package webhooks
