package broker

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// roster is the list of open streams, and what limits their number.
type roster struct {
	// Static after construction; 0 is no limit.
	total, perSubject, perAddress int

	opened atomic.Uint64 // streams that there have been

	mu       sync.Mutex
	closed   error          // guarded by mu; why nobody is admitted any more
	streams  []*Stream      // guarded by mu; each knows its place
	subjects map[string]int // guarded by mu; only while perSubject is set
	address  map[string]int // guarded by mu; only while perAddress is set
	empty    chan struct{}  // guarded by mu; closed when the last stream of a closed roster leaves
}

func newRoster(total, perSubject, perAddress int) *roster {
	return &roster{
		total: total, perSubject: perSubject, perAddress: perAddress,
		subjects: make(map[string]int), address: make(map[string]int),
		empty: make(chan struct{}),
	}
}

// admit adds s, or returns why there is no place for it.
func (r *roster) admit(s *Stream) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch o := &s.owner; {
	case r.closed != nil:
		return r.closed
	case r.total > 0 && len(r.streams) >= r.total:
		return fmt.Errorf("%w: this server takes %d", ErrTooManyStreams, r.total)
	case r.perSubject > 0 && o.subject() != "" && r.subjects[o.subject()] >= r.perSubject:
		return fmt.Errorf("%w: %d of one subject are allowed", ErrTooManyStreams, r.perSubject)
	case r.perAddress > 0 && r.address[o.address()] >= r.perAddress:
		return fmt.Errorf("%w: %d from one address are allowed", ErrTooManyStreams, r.perAddress)
	}
	s.place = int32(len(r.streams))
	r.streams = append(r.streams, s)
	count(r.subjects, r.perSubject, s.owner.subject(), 1)
	count(r.address, r.perAddress, s.owner.address(), 1)
	return nil
}

// dismiss removes s and reports whether it was there.
func (r *roster) dismiss(s *Stream) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.place < 0 {
		return false
	}
	last := len(r.streams) - 1
	r.streams[s.place] = r.streams[last]
	r.streams[s.place].place = s.place
	r.streams[last] = nil
	r.streams = r.streams[:last]
	s.place = -1
	count(r.subjects, r.perSubject, s.owner.subject(), -1)
	count(r.address, r.perAddress, s.owner.address(), -1)
	if r.closed != nil && len(r.streams) == 0 {
		close(r.empty)
	}
	return true
}

func count(of map[string]int, limit int, name string, by int) {
	if limit <= 0 {
		return
	}
	if of[name] += by; of[name] <= 0 {
		delete(of, name)
	}
}

// close admits nobody from now on and returns the streams that are open. The
// first reason stays. left is closed when all have gone.
func (r *roster) close(why error) (open []*Stream, left <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed == nil {
		r.closed = why
		if len(r.streams) == 0 {
			close(r.empty)
		}
	}
	return r.list(), r.empty
}

// list returns the streams in the order of their opening. The caller holds mu.
func (r *roster) list() []*Stream {
	streams := slices.Clone(r.streams)
	slices.SortFunc(streams, func(a, b *Stream) int { return cmp.Compare(a.id, b.id) })
	return streams
}

func (r *roster) open() []*Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list()
}

func (r *roster) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.streams)
}

// Filter selects streams. Empty fields select all.
type Filter struct {
	Subject string
	TokenID string
	Channel schemas.Channel // that the stream reads, by name or by pattern
	Before  time.Time       // that the stream was opened before
}

func (f Filter) matches(s *Stream) bool {
	if f.Subject != "" && f.Subject != s.owner.subject() || f.TokenID != "" && f.TokenID != s.owner.tokenID() {
		return false
	}
	if !f.Before.IsZero() && !s.broker.began.Add(s.opened).Before(f.Before) {
		return false
	}
	return f.Channel == "" || slices.ContainsFunc(s.wants.selectors, func(sel Selector) bool {
		return sel.Channel.Matches(f.Channel)
	})
}

// Streams returns up to limit of the open streams that f selects, in the order
// of their opening.
func (b *Broker) Streams(f Filter, limit int) []StreamInfo {
	infos := []StreamInfo{}
	for _, s := range b.roster.open() {
		if len(infos) == limit {
			break
		}
		if f.matches(s) {
			infos = append(infos, s.Info())
		}
	}
	return infos
}

// Disconnect ends the streams that f selects and returns how many these were.
func (b *Broker) Disconnect(f Filter, e Ending) int {
	n := 0
	for _, s := range b.roster.open() {
		if f.matches(s) {
			s.End(e)
			n++
		}
	}
	return n
}

// StreamInfo describes an open stream.
type StreamInfo struct {
	ID          uint64            `json:"id"`
	Subject     string            `json:"sub,omitempty"`
	TokenID     string            `json:"jti,omitempty"`
	Address     string            `json:"address"`
	Channels    []schemas.Pattern `json:"channels"`
	Topics      []schemas.Topic   `json:"topics"`
	Position    schemas.Position  `json:"position"`
	ConnectedAt schemas.Time      `json:"connected_at"`
	Format      string            `json:"format"`
	RequestID   string            `json:"-"`
}

// Info describes s. Safe for concurrent use.
func (s *Stream) Info() StreamInfo {
	return StreamInfo{
		ID: s.id, Subject: s.owner.subject(), TokenID: s.owner.tokenID(), Address: s.owner.address(),
		Channels: s.wants.patterns(), Topics: s.wants.all(), Position: s.standing(),
		ConnectedAt: schemas.TimeOf(s.broker.began.Add(s.opened)), Format: s.format.String(), RequestID: s.owner.requestID(),
	}
}
