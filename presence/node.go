package presence

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

const (
	// beatEvery is how often a node says that it is alive.
	beatEvery = 2 * time.Second
	// silence is how long a node may say nothing before its readers are gone. It is longer
	// than the grace, so they have had that, too.
	silence = 10 * time.Second
	// askEvery is the shortest time between two requests for a node's snapshot.
	askEvery = time.Second
)

// newNodeID returns a name for a node that no other one has, nor the same one later.
func newNodeID() string { return rand.Text()[:16] }

// node is another node, as this one knows it. The registry's mu guards all of it.
type node struct {
	id    string
	heard time.Time
	wants bool

	seq      uint64 // of the newest letter whose changes are in entries
	synced   bool   // entries are what the node had at seq
	askedAt  time.Time
	entries  map[schemas.Channel]map[string]int // streams by subject, "" for those without
	snapshot []shared                           // parts that have arrived
	parts    int                                // how many of them
	partsOf  uint64                             // the seq of that snapshot
}

// receive takes a letter.
func (r *Registry) receive(payload []byte) {
	var l letter
	if err := json.Unmarshal(payload, &l); err != nil {
		r.log.Debug("presence letter not understood", slog.Any("error", err))
		return
	}
	if l.Node == r.id || l.Node == "" {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handle(l, now)
	r.signal()
}

// handle takes a letter of another node. The caller holds mu.
func (r *Registry) handle(l letter, now time.Time) {
	n, running := r.nodes[l.Node], r.round.Load() != 0
	if n == nil {
		if l.Kind == kindBye || !l.Wants && !running {
			return
		}
		n = &node{id: l.Node, entries: make(map[schemas.Channel]map[string]int)}
		r.nodes[l.Node] = n
		r.scheduleCheck(n, now.Add(silence))
	}
	n.heard, n.wants = now, l.Wants
	switch {
	case l.Kind == kindBye:
		r.withdraw(n, now, r.grace)
		delete(r.nodes, n.id)
	case !running: // a round is about to begin, in which everybody is asked
	case l.Kind == kindBeat && (!n.synced || n.seq != l.Seq):
		r.missed(n, now)
	case l.Kind == kindChanges && !n.synced:
		r.missed(n, now)
	case l.Kind == kindChanges && l.Seq == n.seq+1:
		n.seq = l.Seq
		r.applyChanges(n, l.Rooms, now)
	case l.Kind == kindChanges && l.Seq > n.seq:
		r.missed(n, now)
	case l.Kind == kindSnapshot:
		r.collect(n, l, now)
	case l.Kind == kindAsk && (l.To == "" || l.To == r.id):
		r.out.snapshot = true
	}
}

// scheduleCheck has the node checked when it must have been heard again. The caller holds
// mu.
func (r *Registry) scheduleCheck(n *node, due time.Time) {
	r.at(due, func(now time.Time) {
		if r.nodes[n.id] != n {
			return
		}
		if now.Sub(due) > beatEvery {
			n.heard = now // this process was asleep, and has yet to read what arrived
		}
		if next := n.heard.Add(silence); next.After(now) {
			r.scheduleCheck(n, next)
			return
		}
		r.log.Info("node no longer heard from", slog.String("node", n.id))
		r.withdraw(n, now, 0)
		delete(r.nodes, n.id)
		r.signal()
	})
}

// missed notes that a letter of the node was missed: it is asked for all that it has.
func (r *Registry) missed(n *node, now time.Time) {
	n.synced = false
	if now.Sub(n.askedAt) >= askEvery {
		n.askedAt = now
		r.out.ask(n.id)
	}
}

// applyChanges takes entries that have changed.
func (r *Registry) applyChanges(n *node, rooms []shared, now time.Time) {
	for _, s := range rooms {
		for _, e := range s.Entries {
			r.set(n, s.Channel, e, now)
		}
	}
}

// set sets an entry of the node.
func (r *Registry) set(n *node, channel schemas.Channel, e entry, now time.Time) {
	of := n.entries[channel]
	change := e.Streams - of[e.Sub]
	var since time.Time
	switch {
	case e.Streams > 0:
		since = e.Since.Std()
		if of == nil {
			of = make(map[string]int, 1)
			n.entries[channel] = of
		}
		of[e.Sub] = e.Streams
	case of != nil:
		if delete(of, e.Sub); len(of) == 0 {
			delete(n.entries, channel)
		}
	}
	if change != 0 {
		r.add(r.room(channel), e.Sub, change, since, now, r.grace)
	}
}

// collect takes a part of a snapshot, and all of it once the last one is there. If one was
// lost, the next beat shows that the snapshot is missing.
func (r *Registry) collect(n *node, l letter, now time.Time) {
	if n.synced && n.seq == l.Seq {
		return // it was for another node
	}
	if l.Part == 0 {
		n.snapshot, n.parts, n.partsOf = nil, 0, l.Seq
	}
	if l.Part != n.parts || l.Seq != n.partsOf {
		return
	}
	n.snapshot = append(n.snapshot, l.Rooms...)
	if n.parts++; n.parts < l.Parts {
		return
	}
	r.applyChanges(n, append(n.snapshot, n.absentFrom(n.snapshot)...), now)
	n.snapshot, n.parts = nil, 0
	n.seq, n.synced = l.Seq, true
}

// absentFrom returns what takes away the entries of the node that a snapshot does not have.
func (n *node) absentFrom(snapshot []shared) (gone []shared) {
	type key struct {
		channel schemas.Channel
		subject string
	}
	has := make(map[key]bool)
	for _, s := range snapshot {
		for _, e := range s.Entries {
			has[key{s.Channel, e.Sub}] = true
		}
	}
	for channel, of := range n.entries {
		for subject := range of {
			if !has[key{channel, subject}] {
				gone = append(gone, shared{channel, []entry{{Sub: subject}}})
			}
		}
	}
	return gone
}

// withdraw takes away everything that the node has.
func (r *Registry) withdraw(n *node, now time.Time, grace time.Duration) {
	for channel, of := range n.entries {
		for subject, streams := range of {
			r.add(r.room(channel), subject, -streams, time.Time{}, now, grace)
		}
	}
	n.entries = nil
}

// othersWant reports whether somebody on another node wants to know who reads. The caller
// holds mu.
func (r *Registry) othersWant() bool {
	for _, n := range r.nodes {
		if n.wants {
			return true
		}
	}
	return false
}

// scheduleBeat has this node say that it is alive, as long as the round lasts. The caller
// holds mu.
func (r *Registry) scheduleBeat(round uint64, now time.Time) {
	r.at(now.Add(beatEvery), func(now time.Time) {
		if r.round.Load() == round {
			r.out.beat = true
			r.scheduleBeat(round, now)
		}
	})
}
