// Package jetstream makes requests to JetStream on a connection that only this
// service uses. It takes configurations, messages and error codes from upstream's
// package of the same name, and adds what that one lacks: atomic batches that share a
// connection, direct gets of many messages, and a barrier that tells when
// subscriptions have reached a stream's leader.
//
// Some answers come from the stream's leader and are up to date. Others come from any
// replica, which may lag behind. Each method says which it is; a caller that needs
// more than a replica has asks the leader how far the stream goes, and then the
// replicas until one gets that far.
//
// A request without an effect is repeated until it is answered or its context ends. A
// publish is sent once: if its answer does not come, the message may be stored.
//
// The package does not know what the messages mean.
package jetstream
