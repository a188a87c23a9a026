// Package client speaks to a Sluice server: it publishes messages, makes tokens
// and subscribes to channels.
//
// [Client.Subscribe] is a loop that does not end by itself. It reconnects after
// every loss of connection and resumes after the last event that it decoded
// whole, so that the range over it sees each message once and in order, or a
// [Gap] where the server no longer holds what was missed. It ends when its
// context ends, when the loop is left, when the server refuses the request for
// good ([*Problem]) or ends the stream for good ([*CloseError]). It starts no
// goroutine of its own: reading, waiting and yielding all happen in the
// goroutine that ranges, so a slow loop body slows the reading and nothing else.
//
// Limits: one event is at most [MaxEventBytes] long, one answer at most 1 MiB.
// Nothing but Subscribe repeats a request; a publish that may be repeated
// safely carries [IdempotencyKey].
//
// A [Client] may be used by many goroutines at once.
package client
