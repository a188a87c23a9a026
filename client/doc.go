// Package client speaks to a Sluice server: it publishes messages, makes tokens,
// defines channels and subscribes to them.
//
// # Publishing
//
// [Client.Publish] sends one message, [Client.PublishBatch] many in one request,
// [Client.PublishLines] any number over one connection, [Client.PublishStream] a
// text while it is being made. A [TopicOf] does the same for one Go type, and a
// [Channel] tells the server what that type looks like, as JSON Schema.
//
// What fails in passing is tried again ([WithRetries]), but never so that it
// could happen twice: a publish without an [IdempotencyKey] only when nothing
// was published. [Run] makes such keys for a job that may crash and be run again,
// and [Ask] lets it wait for an answer.
//
// # Subscribing
//
// [Client.Subscribe] is a loop that does not end by itself. It reconnects after
// every loss of connection and resumes after the last event that it decoded
// whole, so that the range over it sees each message once and in order, or a
// [*GapError] where the server no longer holds what was missed. It ends when its
// context ends, when the loop is left, when the server refuses the request for
// good ([*Problem]) or ends the stream for good ([*CloseError]). It starts no
// goroutine of its own: reading, waiting and yielding all happen in the
// goroutine that ranges, so a slow loop body slows the reading and nothing else.
// [Client.Events] is the same with every event of the wire.
//
// # Errors and limits
//
// What the server refuses is a [*Problem]; [errors.As] reaches it. One event is
// at most [MaxEventBytes] long, one answer at most 1 MiB, that to a batch or a
// list of definitions at most 64 MiB.
//
// A [Client] may be used by many goroutines at once.
package client
