// Package client is a client for a Sluice server.
//
// A [Client] publishes messages with [Client.Publish] and its relatives, and reads them with
// [Client.Subscribe]. A [TopicOf] does both for one Go type. A [Run] lets a job that may
// crash and restart publish each step once, and [Ask] lets it wait for an answer.
//
// Publishes are retried only if no message can be published twice ([WithRetries]), and a
// text resumes where a lost connection left it ([Client.PublishStream]). Subscriptions
// reconnect and resume by themselves. If the server refuses a request, the error is a
// [*Problem].
package client
