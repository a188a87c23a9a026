package presence

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Bus connects the nodes: what one broadcasts reaches all that listen, itself too, in the
// order in which it was sent, unless it is lost. Take is called by one goroutine at a time.
type Bus interface {
	Broadcast(topic string, payload []byte) error
	Listen(topic string, take func(payload []byte)) (stop func(), err error)
}

// topic is that of all letters.
const topic = "presence"

// The kinds of letters.
const (
	kindBeat     = "beat"     // the node is alive, and Seq is its newest letter with changes
	kindChanges  = "changes"  // the letter Seq: entries that have changed
	kindSnapshot = "snapshot" // a part of all entries, as of Seq
	kindAsk      = "ask"      // the node needs a snapshot of the node To, or of all
	kindBye      = "bye"      // the node ends
)

// letter is what nodes send each other.
type letter struct {
	Node  string   `json:"node"`
	Kind  string   `json:"kind"`
	Wants bool     `json:"wants,omitempty"` // somebody on the node wants to know who reads
	Seq   uint64   `json:"seq,omitempty"`
	To    string   `json:"to,omitempty"`
	Part  int      `json:"part,omitempty"` // of a snapshot, from 0
	Parts int      `json:"parts,omitempty"`
	Rooms []shared `json:"rooms,omitempty"`
}

// shared is what a node says about a channel.
type shared struct {
	Channel schemas.Channel `json:"channel"`
	Entries []entry         `json:"entries"`
}

// entry says how many streams a subject has in a channel on the node.
type entry struct {
	Sub     string       `json:"sub,omitempty"`
	Streams int          `json:"streams"`
	Since   schemas.Time `json:"since,omitempty"`
}

const (
	// gatherLetters is how long a change waits for others before it is sent.
	gatherLetters = 50 * time.Millisecond
	// maxEntries is how many bytes of names one letter has, roughly. A server of NATS takes
	// a megabyte, unless it is configured otherwise.
	maxEntries = 16 << 10
	// entryBytes is about what an entry has besides its names.
	entryBytes = 64
)

// outbox is what a node has to send.
type outbox struct {
	seq      uint64 // of the newest letter with changes
	changed  map[schemas.Channel]map[string]struct{}
	sendAt   time.Time // when changed is sent
	snapshot bool
	beat     bool
	asks     map[string]struct{}
}

// add notes that the entry of a subject has changed. It reports whether nothing had before.
func (o *outbox) add(channel schemas.Channel, subject string, now time.Time) (first bool) {
	if first = len(o.changed) == 0; first {
		o.changed, o.sendAt = make(map[schemas.Channel]map[string]struct{}), now.Add(gatherLetters)
	}
	if o.changed[channel] == nil {
		o.changed[channel] = make(map[string]struct{}, 1)
	}
	o.changed[channel][subject] = struct{}{}
	return first
}

// ask notes that a snapshot of a node is needed, "" for all nodes.
func (o *outbox) ask(of string) {
	if o.asks == nil {
		o.asks = make(map[string]struct{}, 1)
	}
	o.asks[of] = struct{}{}
}

// reset throws away what has not been sent.
func (o *outbox) reset() { *o = outbox{seq: o.seq} }

// due returns when something has to be sent, and whether anything has.
func (o *outbox) due() (at time.Time, some bool) {
	if o.snapshot || o.beat || len(o.asks) > 0 {
		return time.Time{}, true
	}
	return o.sendAt, len(o.changed) > 0
}

// letters takes what is due out of the outbox. The caller holds mu.
func (r *Registry) letters(now time.Time) (all []letter) {
	o := &r.out
	wants := r.wants(now)
	if len(o.changed) > 0 && (o.snapshot || !now.Before(o.sendAt)) {
		for _, rooms := range pack(r.changedEntries()) {
			o.seq++
			all = append(all, letter{Kind: kindChanges, Seq: o.seq, Rooms: rooms})
		}
		o.changed = nil
	}
	if o.snapshot {
		o.snapshot = false
		parts := pack(r.ownEntries())
		if len(parts) == 0 {
			parts = [][]shared{nil}
		}
		for i, rooms := range parts {
			all = append(all, letter{Kind: kindSnapshot, Seq: o.seq, Part: i, Parts: len(parts), Rooms: rooms})
		}
	}
	for of := range o.asks {
		all = append(all, letter{Kind: kindAsk, To: of})
	}
	o.asks = nil
	if o.beat {
		o.beat = false
		all = append(all, letter{Kind: kindBeat, Seq: o.seq})
	}
	for i := range all {
		all[i].Node, all[i].Wants = r.id, wants
	}
	return all
}

// changedEntries returns the entries of this node that have changed.
func (r *Registry) changedEntries() (all []shared) {
	for channel, subjects := range r.out.changed {
		s := shared{Channel: channel}
		room := r.rooms[channel]
		for subject := range subjects {
			s.Entries = append(s.Entries, room.entry(subject))
		}
		all = append(all, s)
	}
	return all
}

// ownEntries returns all entries of this node.
func (r *Registry) ownEntries() (all []shared) {
	for channel, room := range r.rooms {
		s := shared{Channel: channel}
		for subject, m := range room.members {
			if m.here > 0 {
				s.Entries = append(s.Entries, room.entry(subject))
			}
		}
		if room.anonymousHere > 0 {
			s.Entries = append(s.Entries, room.entry(""))
		}
		if len(s.Entries) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// entry returns what this node says of a subject. room may be nil.
func (room *room) entry(subject string) entry {
	switch {
	case room == nil:
		return entry{Sub: subject}
	case subject == "":
		return entry{Streams: room.anonymousHere}
	case room.members[subject] == nil:
		return entry{Sub: subject}
	}
	m := room.members[subject]
	return entry{subject, m.here, schemas.TimeOf(m.since)}
}

// pack divides what is said about channels among letters.
func pack(all []shared) (letters [][]shared) {
	var current []shared
	bytes := 0
	for _, s := range all {
		for len(s.Entries) > 0 {
			n := 0
			for n < len(s.Entries) && (n == 0 || bytes < maxEntries) {
				bytes += len(s.Entries[n].Sub) + entryBytes
				n++
			}
			bytes += len(s.Channel)
			current = append(current, shared{s.Channel, s.Entries[:n]})
			if s.Entries = s.Entries[n:]; bytes >= maxEntries {
				letters, current, bytes = append(letters, current), nil, 0
			}
		}
	}
	if len(current) > 0 {
		letters = append(letters, current)
	}
	return letters
}

// post sends letters. One that cannot be sent is missed by the others, and made up for as
// any other loss.
func (r *Registry) post(letters []letter) {
	for _, l := range letters {
		payload, err := json.Marshal(l)
		if err == nil {
			err = r.bus.Broadcast(topic, payload)
		}
		if err != nil {
			r.log.Debug("presence letter not sent", slog.String("kind", l.Kind), slog.Any("error", err))
		}
	}
}

// goodbye returns the last letter, none if nobody knows this node.
func (r *Registry) goodbye() []letter {
	if r.bus == nil || r.round.Load() == 0 {
		return nil
	}
	return []letter{{Node: r.id, Kind: kindBye}}
}
