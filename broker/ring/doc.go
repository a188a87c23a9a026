// Package ring is the short memory of one channel. A [Log] holds the newest messages,
// each encoded once as a [Frame]. A [Reader] walks through it.
//
// A log guarantees that the positions of its frames rise and that it stays within its
// limits, except for frames that readers still have to pass. It remembers, by topic,
// what it has dropped as lost. A reader is sent every frame that it wants once, in
// order, or is told of a [Gap].
//
// Nothing here locks: whoever owns a log guards it. The package knows nothing of
// streams, sockets and engines.
package ring
