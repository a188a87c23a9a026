// Package positions numbers messages and remembers what became of the numbers. A
// [Sequence] hands out positions and knows up to which of them every message is in
// its log. A [Forgotten] remembers up to which position channels that no longer exist
// had messages.
//
// It takes no lock and knows nothing of channels, logs and streams.
package positions
