// Package ratelimit limits how many messages and bytes callers may publish in a second, by API
// key, by token subject and by address.
//
// Each caller has a token bucket for messages and one for bytes. A bucket holds what the rate
// allows for [Options.Burst], is full at first, and is refilled at the rate. Whatever is allowed
// in any time is therefore at most the rate times that time, plus one burst. What is larger than
// a whole burst needs a full bucket and leaves it in debt, so that a single large message passes
// and the rate still holds.
//
// The package keeps a bounded number of callers in memory. It knows nothing of HTTP, except how
// limits are told to clients.
package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

// ErrLimited is the error of what a limit refuses.
var ErrLimited = errors.New("ratelimit: too much at once")

// Kind is what callers are told apart by.
type Kind int

// The kinds of limits.
const (
	Key Kind = iota
	Subject
	Address
	kinds // their number
)

// String returns the name of the kind, for metrics and headers.
func (k Kind) String() string { return [...]string{"key", "subject", "address"}[k] }

// Unit is what a limit counts.
type Unit int

// The units of limits.
const (
	Messages Unit = iota
	Bytes
	units // their number
)

// String returns the name of the unit, for metrics.
func (u Unit) String() string { return [...]string{"messages", "bytes"}[u] }

// Rate is what one caller may publish in a second. 0 means no limit.
type Rate struct{ Messages, Bytes int64 }

// Defaults of [Options].
const (
	DefaultBurst   = time.Second
	DefaultCallers = 1 << 16
)

// Options are the limits.
type Options struct {
	Key, Subject, Address Rate

	// Burst is the time for which a bucket holds what the rate allows: whole seconds.
	// Default: [DefaultBurst].
	Burst time.Duration

	// Callers is how many callers of each kind are remembered, about 100 bytes each. If there
	// are more, some that are nearly idle are forgotten and have full buckets when they come
	// again. Default: [DefaultCallers].
	Callers int

	// Now is the clock. Default: [time.Now].
	Now func() time.Time
}

// Limits limits callers. Its methods are safe for concurrent use.
type Limits struct {
	now    func() time.Time
	began  time.Time
	tables [kinds]*table
}

// New returns the limits, or nil if nothing is limited.
func New(o Options) *Limits {
	if o.Burst <= 0 {
		o.Burst = DefaultBurst
	}
	if o.Callers <= 0 {
		o.Callers = DefaultCallers
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Limits{now: o.Now, began: o.Now()}
	limited := false
	for kind, rate := range [kinds]Rate{Key: o.Key, Subject: o.Subject, Address: o.Address} {
		if rate != (Rate{}) {
			l.tables[kind], limited = newTable(Kind(kind), rate, o), true
		}
	}
	if !limited {
		return nil
	}
	return l
}

// Caller is who publishes. An empty name is not limited by its kind.
type Caller struct{ Key, Subject, Address string }

// name returns what callers of the kind are told apart by.
func (c *Caller) name(kind Kind) string {
	switch kind {
	case Key:
		return c.Key
	case Subject:
		return c.Subject
	}
	return c.Address
}

// Decision says whether a caller may publish, and how much it may publish after that.
type Decision struct {
	Wait time.Duration // 0: it may, and its buckets were charged. Otherwise: not for this long, and nothing was charged
	Kind Kind          // which limit it has to wait for
	Unit Unit

	left  [kinds][units]int64 // what its buckets have; not limited: 0
	about [kinds]bool         // whether the caller is limited by the kind
}

// Take charges the buckets of a caller, or none of them if one has not enough. It does not
// count what is refused: see [Limits.Refuse] and [Limits.Delayed].
func (l *Limits) Take(c Caller, messages, bytes int64) (d Decision) {
	var entries [kinds]entry
	now, cost := l.now().Sub(l.began), [units]int64{messages, bytes}
	for kind, t := range l.tables { // always in this order, so that no two callers wait for each other
		name := c.name(Kind(kind))
		if t == nil || name == "" {
			continue
		}
		d.about[kind] = true
		e := &entries[kind]
		t.lock(e, name, now)
		for unit, b := range t.buckets {
			if wait := b.wait(e.levels.of[unit], cost[unit]); wait > d.Wait {
				d.Wait, d.Kind, d.Unit = wait, Kind(kind), Unit(unit)
			}
		}
	}
	for kind := range entries {
		e := &entries[kind]
		if e.shard == nil {
			continue
		}
		if d.Wait == 0 && messages+bytes > 0 {
			e.charge(cost)
		}
		for unit, b := range e.table.buckets {
			d.left[kind][unit] = b.left(e.levels.of[unit])
		}
		e.shard.mu.Unlock()
	}
	return d
}

// Refuse counts a refusal and returns its error, an [*Error].
func (l *Limits) Refuse(d Decision) error {
	t := l.tables[d.Kind]
	t.refused[d.Unit].Add(1)
	rate := fmt.Sprintf("%d messages", t.buckets[Messages].rate)
	if d.Unit == Bytes {
		rate = fmt.Sprintf("%d bytes", t.buckets[Bytes].rate)
	}
	per := [...]string{Key: "API key", Subject: "token subject, or token without one", Address: "address"}[d.Kind]
	return &Error{kind: d.Kind, unit: d.Unit, text: fmt.Sprintf("%v: at most %s a second per %s", ErrLimited, rate, per), wait: d.Wait}
}

// Delayed counts that something was made to wait.
func (l *Limits) Delayed(d Decision) { l.tables[d.Kind].delayed[d.Unit].Add(1) }

// Error is the error of a refusal. It is an [ErrLimited].
type Error struct {
	kind Kind
	unit Unit
	text string
	wait time.Duration
}

// settings are the names of the limits.
var settings = [kinds][units]string{
	Key:     {"max_publishes_per_key", "max_publish_bytes_per_key"},
	Subject: {"max_publishes_per_subject", "max_publish_bytes_per_subject"},
	Address: {"max_publishes_per_address", "max_publish_bytes_per_address"},
}

// Settings returns the names of all limits, as operators set them.
func Settings() (names []string) {
	for _, of := range settings {
		names = append(names, of[:]...)
	}
	return names
}

// Setting returns the name of the limit that has refused.
func (e *Error) Setting() string { return settings[e.kind][e.unit] }

// Error says which limit it was.
func (e *Error) Error() string { return e.text }

// Unwrap returns [ErrLimited].
func (*Error) Unwrap() error { return ErrLimited }

// Seconds returns how many seconds to wait, at least 1.
func (e *Error) Seconds() int { return seconds(e.wait) }

func seconds(wait time.Duration) int { return max(1, int((wait+time.Second-1)/time.Second)) }
