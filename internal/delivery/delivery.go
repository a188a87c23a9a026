// Package delivery follows single messages to the readers that are up to date when they come,
// until the last of these has been written its message. It is for messages whose trace is
// sampled: whoever does not follow any pays nothing.
//
// It counts; it does not know what readers are. Places where readers are served have a [List]
// of what is on its way there, and say how far they have come.
package delivery

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Report says what has become of a message.
type Report struct {
	Message
	Entered time.Time // when the readers could have it
	// First and Last are when it was written to the first and the last reader. They are
	// zero if it was written to none.
	First, Last time.Time
	Readers     int // to which it was written
	Behind      int // which were up to date when it came, and then did not take it in time, or left
}

// Message is what is known of a message.
type Message struct {
	Traceparent, Channel, Topic, ID string
	Position                        uint64
}

// Observer decides which messages are followed, and is told what becomes of them. Its methods
// are called from several goroutines at the same time, and must be quick.
type Observer interface {
	// Follows reports whether messages with the traceparent, which is not empty, are
	// followed.
	Follows(traceparent string) bool
	// Delivered is called once for each message that there were readers for.
	Delivered(Report)
}

// maxFollowed is how many messages are followed at the same time, at most: about a MiB.
const maxFollowed = 4096

// Follower follows messages. Safe for concurrent use.
type Follower struct {
	observer Observer
	followed atomic.Int64
}

// New returns a follower for the observer.
func New(o Observer) *Follower { return &Follower{observer: o} }

// Follow begins to follow a message if the observer wants that. It returns nil if not, or if
// too many are followed. The caller adds it to the lists of all places that have readers for
// it, and then calls [Followed.Entered].
func (f *Follower) Follow(traceparent string) *Followed {
	if traceparent == "" || !f.observer.Follows(traceparent) {
		return nil
	}
	if f.followed.Add(1) > maxFollowed {
		f.followed.Add(-1)
		return nil
	}
	m := &Followed{follower: f, places: 1}
	m.report.Traceparent, m.report.Entered = traceparent, time.Now()
	return m
}

// Followed is a message that is followed.
type Followed struct {
	follower *Follower

	mu     sync.Mutex
	report Report // guarded by mu; what is in Message is static
	places int    // guarded by mu; lists that it is in, and one until Entered is called
}

// Describe sets what is known of the message. It is called before the message is added to a
// list.
func (m *Followed) Describe(about Message) {
	about.Traceparent = m.report.Traceparent
	m.report.Message = about
}

// Entered says that the message is in all lists. It may call the observer.
func (m *Followed) Entered() {
	if m != nil {
		m.leave()
	}
}

// written counts a reader.
func (m *Followed) written(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Readers++
	if m.report.First.IsZero() {
		m.report.First = at
	}
	m.report.Last = at
}

// missed counts a reader that did not take the message in time.
func (m *Followed) missed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Behind++
}

// leave says that one place is done with the message.
func (m *Followed) leave() {
	m.mu.Lock()
	m.places--
	over, report := m.places == 0, m.report
	m.mu.Unlock()
	if !over {
		return
	}
	m.follower.followed.Add(-1)
	if report.Readers+report.Behind > 0 {
		m.follower.observer.Delivered(report)
	}
}

// List has the messages that are on their way to the readers in one place, in the order of
// their positions. The zero value is empty. Safe for concurrent use.
type List struct {
	some atomic.Bool // it is not empty

	mu       sync.Mutex
	messages []*Followed // guarded by mu
}

// Empty reports whether the list is empty. It is fast.
func (l *List) Empty() bool { return !l.some.Load() }

// Add adds a message, once.
func (l *List) Add(m *Followed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.messages); n > 0 && l.messages[n-1] == m {
		return
	}
	m.mu.Lock()
	m.places++
	m.mu.Unlock()
	l.messages = append(l.messages, m)
	l.some.Store(true)
}

// Turn is what one reader has been sent: everything after one position up to another one that
// it wants.
type Turn struct {
	From, To uint64
	Late     bool                    // it did not accept all in time: nothing above To is for it any more
	Wants    func(topic string) bool // nil: it wants all
}

// Served counts the reader with the messages in its turn, except those in the other list,
// which may be nil.
func (l *List) Served(t Turn, except *List) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, m := range l.messages {
		p := m.report.Position
		if p <= t.From || p > t.To && !t.Late || t.Wants != nil && !t.Wants(m.report.Topic) || except.has(m) {
			continue
		}
		if p > t.To {
			m.missed()
		} else {
			m.written(now)
		}
	}
}

func (l *List) has(m *Followed) bool {
	if l == nil || l.Empty() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.messages, m)
}

// Passed removes the messages up to a position: all readers in this place have passed it. It
// may call the observer.
func (l *List) Passed(position uint64) {
	if l == nil || l.Empty() {
		return
	}
	l.mu.Lock()
	n := 0
	for n < len(l.messages) && l.messages[n].report.Position <= position {
		n++
	}
	passed := l.messages[:n:n]
	if l.messages = l.messages[n:]; len(l.messages) == 0 {
		l.messages = nil
		l.some.Store(false)
	}
	l.mu.Unlock()
	for _, m := range passed {
		m.leave()
	}
}
