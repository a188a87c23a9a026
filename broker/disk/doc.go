// Package disk is the engine of one node that keeps messages, remembered publishes,
// run statuses and facts in a directory.
//
// It guarantees that what was acknowledged survives the end of the process, however
// that ends; that a durable publish, a change of a run, a deletion and a fact also
// survive a power failure, and an ordinary message does when [Options.SyncEvery] has
// passed; that a position is never handed out twice; and that a loss is never
// hidden: neither one by retention nor one by a power failure.
//
// All changes go through one goroutine, the committer. It takes what waits as a
// group, writes the group to the journal (journal.go), puts it into Pebble, hands
// the messages on and answers the publishers. Pebble's own log is off: it can
// neither write without a sync nor fail without ending the process.
//
// The package does not know how messages reach readers, nor what a fact means.
package disk
