// Package presence knows who reads which channel, on all nodes.
//
// A stream is present on the channels that it names and asks for anything but
// [schemas.TopicPresence]. A stream that reads by a pattern is present nowhere.
//
//   - A reader that comes back within [Grace], on any node, has not left.
//   - A follower of a channel is told its state first and then the changes, at most once in
//     [Gather]. Everything that it is told was true at some time, and a name never joins twice
//     without leaving in between, or leaves twice.
//   - The readers of a node that dies are gone [silence] after it was last heard. After a
//     partition, the nodes ask each other what they have missed.
//   - Nothing is tracked or sent unless somebody on some node wants to know: a follower, a
//     watcher of which channels are occupied, or whoever asked for a list in the last minute.
//     Then every node holds the readers of all nodes.
//
// # How nodes agree
//
// Each node is the authority on its own readers and tells the others what changes, in
// numbered messages, called letters, over a [Bus] that may lose any of them. An entry says
// how many streams a subject has in a channel on that node, not how many came or went, so
// it may arrive twice. A heartbeat every [beatEvery] says which number is the newest. A
// node that has missed a number asks the sender for a snapshot, which replaces everything
// that it knew of that sender. A node's view is the sum over the nodes; the grace is
// applied to the sum, where it is told, so a reader that moves from one node to another is
// in it all the time.
//
// The package knows nothing of HTTP, tokens or messages.
package presence
