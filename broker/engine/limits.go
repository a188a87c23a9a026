package engine

import (
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// Limits bound what a channel keeps for readers that come back. Whichever is reached
// first applies.
type Limits struct {
	Messages   int           // default 256; a text counts as one, and so do messages that Merge joins
	Bytes      int64         // of frames and texts, default 1 MiB
	Age        time.Duration // default 10 m
	TextBytes  int64         // of one text, which loses its beginning beyond that; default 1 MiB
	EventBytes int           // of an event that joins several messages; default 60 KiB

	Merge *schemas.MergeRules // by which messages are held as one; nil: none are
}

// LimitsOf returns the limits that a definition, which may be nil, sets for its
// channels. Limits that it does not set are 0.
func LimitsOf(d *schemas.Compiled) Limits {
	if d == nil {
		return Limits{}
	}
	r := d.Replay()
	return Limits{Messages: r.Messages, Bytes: int64(r.Bytes), Age: r.Age.Std(), Merge: d.Merge()}
}

// Or replaces unset limits by the defaults.
func (l Limits) Or(defaults Limits) Limits {
	if l.Messages <= 0 {
		l.Messages = defaults.Messages
	}
	if l.Bytes <= 0 {
		l.Bytes = defaults.Bytes
	}
	if l.Age <= 0 {
		l.Age = defaults.Age
	}
	if l.EventBytes <= 0 {
		l.EventBytes = defaults.EventBytes
	}
	if l.Merge == nil {
		l.Merge = defaults.Merge
	}
	if l.TextBytes <= 0 {
		l.TextBytes = defaults.TextBytes
	}
	return l
}

// AgeMillis returns the age in milliseconds. It is at least one, so that a message
// published this moment is never too old.
func (l Limits) AgeMillis() int64 { return max(1, l.Age.Milliseconds()) }
