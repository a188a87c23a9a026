package disk

import (
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// recent is the keys of the latest durable publishes. A publisher looks in the
// database for its own key, beside all others who do, before it comes to the
// committer: who then has only to see that the key did not come in between.
type recent struct {
	young, old map[keyHash]struct{}
	turn       uint64 // record after which young began
	since      uint64 // all keys of later records are in young or old
}

const recentPerTurn = 8192 // many times what comes while one publisher looks

// recentAfter knows of the keys that come after the given record.
func recentAfter(record uint64) recent {
	return recent{young: make(map[keyHash]struct{}), turn: record, since: record}
}

// add takes in the keys of a record.
func (r *recent) add(record uint64, keys map[keyHash]*request) {
	if len(r.young) >= recentPerTurn {
		r.young, r.old = make(map[keyHash]struct{}, recentPerTurn), r.young
		r.turn, r.since = record-1, r.turn
	}
	for hash := range keys {
		r.young[hash] = struct{}{}
	}
}

// came reports whether a key may have come after the given record.
func (r *recent) came(hash keyHash, record uint64) bool {
	if record < r.since {
		return true
	}
	_, young := r.young[hash]
	_, old := r.old[hash]
	return young || old
}

// search notes in r whether its key was unknown at the record that was the newest
// when it began. What fails is left for the committer to meet.
func (e *Engine) search(ctx context.Context, r *request) {
	at := e.record.Load()
	_ = e.read(ctx, func(db pebble.Reader) error {
		_, found, err := e.recall(db, &r.entry.Message, r.hash)
		r.unknown, r.searched = !found && err == nil, at
		return err
	})
}
