// Package engine is the contract between the broker and whatever orders and keeps its
// messages. The engines are packages below it: disk for one node, nats for many.
// Without an engine, the broker keeps messages in memory alone.
//
// # Positions
//
// An engine numbers its messages. The number is the message's position: positions only
// grow, no two messages share one, and they are the same on every node. The broker
// serves readers from logs in memory, which the engine feeds through its [Sink].
//
// Suppose an engine has stored five messages, of channels a and b:
//
//	position   1   2   3   4   5
//	channel    a   b   a   b   a
//
// Somebody on this node reads a, so the broker has subscribed to it. Nobody reads b.
// The engine delivers 1, 3 and 5 with [Sink.Deliver]. Each delivery also says that
// everything before it has been delivered. If 6 and 7 are of b, the engine delivers
// neither, but calls [Sink.Reached] with 7 after a while: a stream that merges several
// channels needs to know that nothing of a comes before 7.
//
// Suppose now that the connection to the engine broke, and that this node missed 3 and 5.
// The engine fetches them, and hands each over with [Sink.DeliverMissed], in whatever
// order it gets the channels. When nothing is missing any more, it says so with Reached.
//
// # Losses
//
// Messages go when they become too old or their channel holds too many. A [Snapshot] says
// up to which position messages of the channel may be gone, as far as the engine knows for
// each topic ([Losses]). If messages of the topic log up to position 3 may be, a reader of
// that topic that resumes after 5 misses nothing and is told nothing. One that resumes after
// 1 is told of a gap, but not if it reads other topics. A position must never be too low,
// which would hide a loss. It may be too high, which announces a loss that did not happen.
//
// [Origin.Lost] says the same of all channels. After a power failure, the disk engine does
// not know which of its last messages readers have seen. If it may have handed out
// positions up to 1,000, it starts with Head and Lost at 1,000.
package engine
