package ring

import "github.com/sluicehq/sluice/schemas"

// topicMark is what a log remembers of a topic besides its messages.
type topicMark struct {
	name    schemas.Topic
	count   int     // frames in the ring, and records
	newest  uint64  // newest position
	merging *record // the newest messages are held as one in it; nil: there is none
	kept    *record // the latest message if it is kept over the limits; nil: it is not
	lost    uint64  // newest lost position; 0: none
}

// maxMarks is how many topics without a message in the ring a log remembers by name.
// Losses of further topics count for every topic.
const maxMarks = 64

// mark returns the mark of topic, and adds it if it is new.
func (l *Log) mark(topic schemas.Topic) *topicMark {
	for _, m := range l.marks {
		if m.name == topic {
			return m
		}
	}
	if len(l.marks) >= maxMarks {
		l.forgetMarks()
	}
	m := &topicMark{name: topic}
	l.marks = append(l.marks, m)
	return m
}

// forgetMarks folds the marks of topics without messages into lostOther. The messages
// in the ring bound what is left.
func (l *Log) forgetMarks() {
	kept := l.marks[:0]
	for _, m := range l.marks {
		if m.count > 0 {
			kept = append(kept, m)
			continue
		}
		l.lostOther = max(l.lostOther, m.lost)
	}
	clear(l.marks[len(kept):])
	l.marks = kept
}

// LostOf returns the newest lost position of the topics in the set; 0 if nothing is
// lost.
func (l *Log) LostOf(topics schemas.TopicSet) uint64 {
	if topics.All() {
		return l.lost
	}
	newest := l.lostOther
	for _, m := range l.marks {
		if topics.Has(m.name) {
			newest = max(newest, m.lost)
		}
	}
	return newest
}
