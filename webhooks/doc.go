// Package webhooks notifies other services of events: it posts them to the URLs in a file,
// signed according to Standard Webhooks (https://www.standardwebhooks.com), and retries until
// they are accepted or an hour has passed.
//
// It promises:
//
//   - Each event is sent once from a service, however many nodes it has. Only if a node is
//     lost while it sends may an event be sent again, under the same id.
//   - The events of a channel reach an endpoint in order: the next one is sent when the one
//     before was accepted or given up. Other channels, and other endpoints, do not wait.
//   - Memory, connections and time are bounded. Events that are given up are counted and
//     logged, with the reason.
//   - Nothing is sent to a network that is not public, unless the operator allows it. Each
//     connection is checked, by the very address that it goes to.
//
// The package knows nothing of the HTTP API, nor of how events are kept: that is package
// outbox.
package webhooks
