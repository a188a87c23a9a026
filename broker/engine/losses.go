package engine

import (
	"maps"

	"github.com/sluicehq/sluice/schemas"
)

// Losses says what may be lost of a channel. The zero value says that nothing is. A position
// that is too high announces a loss that did not happen; one that is too low hides a loss,
// and must not be.
type Losses struct {
	// Newest is the position of the newest message that is lost, of whatever topic; 0: none.
	// What is kept of older ones is kept over the limits of the channel.
	Newest uint64
	// Of every topic, messages up to Every may be lost. Of the given topics, messages up to
	// those positions are, or beginnings of texts. Such a position is above Every, and may be
	// above Newest if only the beginning of a text is lost.
	Every  uint64
	Topics map[schemas.Topic]uint64
}

// maxLostTopics is how many topics [Losses] knows by name. Losses of further ones count for
// every topic, those of the oldest first.
const maxLostTopics = 32

// AllLost returns the losses of a channel of which everything up to the position may be lost.
func AllLost(seq uint64) Losses { return Losses{Newest: seq, Every: seq} }

// AddAll notes that everything up to the position may be lost.
func (l *Losses) AddAll(seq uint64) {
	l.Newest = max(l.Newest, seq)
	l.raise(seq)
}

// Add notes that the message of a topic at the position is lost. It keeps the topic.
func (l *Losses) Add(topic schemas.Topic, seq uint64) {
	l.Newest = max(l.Newest, seq)
	l.AddBeginning(topic, seq)
}

// AddRun notes that the run message at the position is lost. A channel keeps its latest run
// status, so that is a loss of no topic.
func (l *Losses) AddRun(seq uint64) { l.Newest = max(l.Newest, seq) }

// AddBeginning notes that the beginning of a text, up to the position, is lost. It keeps the
// topic.
func (l *Losses) AddBeginning(topic schemas.Topic, seq uint64) {
	if seq <= l.Of(topic) {
		return
	}
	if l.Topics == nil {
		l.Topics = make(map[schemas.Topic]uint64)
	}
	l.Topics[topic] = seq
	for len(l.Topics) > maxLostTopics {
		oldest := seq
		for _, seq := range l.Topics {
			oldest = min(oldest, seq)
		}
		l.raise(oldest)
	}
}

// raise raises Every.
func (l *Losses) raise(seq uint64) {
	l.Every = max(l.Every, seq)
	maps.DeleteFunc(l.Topics, func(_ schemas.Topic, seq uint64) bool { return seq <= l.Every })
}

// Of returns the position up to which something of a topic may be lost; 0: nothing is.
func (l *Losses) Of(topic schemas.Topic) uint64 { return max(l.Every, l.Topics[topic]) }

// Last returns the position up to which something of any topic may be lost; 0: nothing is.
func (l *Losses) Last() uint64 {
	last := max(l.Newest, l.Every)
	for _, seq := range l.Topics {
		last = max(last, seq)
	}
	return last
}
