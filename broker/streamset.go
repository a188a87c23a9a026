package broker

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

// streamSet holds the open streams and limits their number.
type streamSet struct {
	// Static after construction; 0 is no limit.
	total, perSubject, perAddress int

	opened atomic.Uint64 // how many streams there have been

	mu      sync.Mutex
	closed  error            // guarded by mu; why no stream is admitted any more
	streams []*Stream        // guarded by mu; each knows its index
	places  map[limitKey]int // guarded by mu; how many streams each limit counts
	empty   chan struct{}    // guarded by mu; closed when the last stream of a closed set leaves
}

func newStreamSet(total, perSubject, perAddress int) *streamSet {
	return &streamSet{
		total: total, perSubject: perSubject, perAddress: perAddress,
		places: make(map[limitKey]int),
		empty:  make(chan struct{}),
	}
}

// admit adds s, or returns why there is no place for it.
func (set *streamSet) admit(s *Stream) error {
	by, from := set.limited(s)
	set.mu.Lock()
	defer set.mu.Unlock()
	switch {
	case set.closed != nil:
		return set.closed
	case set.total > 0 && len(set.streams) >= set.total:
		return &StreamLimitError{limitTotal, set.total}
	case by.as != 0 && set.places[by] >= set.perSubject:
		return &StreamLimitError{limitPerSubject, set.perSubject}
	case from.as != 0 && set.places[from] >= set.perAddress:
		return &StreamLimitError{limitPerAddress, set.perAddress}
	}
	s.place = int32(len(set.streams))
	set.streams = append(set.streams, s)
	set.count(by, 1)
	set.count(from, 1)
	return nil
}

// StreamLimitError says which limit a stream would exceed. It is an [ErrTooManyStreams].
type StreamLimitError struct {
	Limit string // name of the setting, as in a configuration file
	Most  int    // how many streams the limit allows
}

// Limits of streams.
const (
	limitTotal      = "max_streams"
	limitPerSubject = "max_streams_per_subject"
	limitPerAddress = "max_streams_per_address"
)

// StreamLimits returns every Limit of a [StreamLimitError].
func StreamLimits() []string { return []string{limitTotal, limitPerSubject, limitPerAddress} }

// Error describes the limit.
func (e *StreamLimitError) Error() string {
	of := "on this server"
	switch e.Limit {
	case limitPerSubject:
		of = "per subject, or per token without one"
	case limitPerAddress:
		of = "per address"
	}
	return fmt.Sprintf("%v: at most %d %s", ErrTooManyStreams, e.Most, of)
}

// Unwrap returns [ErrTooManyStreams].
func (e *StreamLimitError) Unwrap() error { return ErrTooManyStreams }

// remove removes s and reports whether it was there.
func (set *streamSet) remove(s *Stream) bool {
	by, from := set.limited(s)
	set.mu.Lock()
	defer set.mu.Unlock()
	if s.place < 0 {
		return false
	}
	last := len(set.streams) - 1
	set.streams[s.place] = set.streams[last]
	set.streams[s.place].place = s.place
	set.streams[last] = nil
	set.streams = set.streams[:last]
	s.place = -1
	set.count(by, -1)
	set.count(from, -1)
	if set.closed != nil && len(set.streams) == 0 {
		close(set.empty)
	}
	return true
}

// limited returns the limits that s counts towards.
func (set *streamSet) limited(s *Stream) (by, from limitKey) {
	if set.perSubject > 0 {
		by = s.owner.subjectKey()
	}
	if set.perAddress > 0 {
		from = limitKey{'a', s.owner.address()}
	}
	return by, from
}

// count takes or frees a place. The caller holds mu.
func (set *streamSet) count(c limitKey, n int) {
	if c.as == 0 {
		return
	}
	if set.places[c] += n; set.places[c] <= 0 {
		delete(set.places, c)
	}
}

// close admits no more streams and returns the open ones. The first reason stays. left
// is closed when all streams have left.
func (set *streamSet) close(why error) (open []*Stream, left <-chan struct{}) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.closed == nil {
		set.closed = why
		if len(set.streams) == 0 {
			close(set.empty)
		}
	}
	return set.list(), set.empty
}

// list returns the streams in the order in which they were opened. The caller holds mu.
func (set *streamSet) list() []*Stream {
	streams := slices.Clone(set.streams)
	slices.SortFunc(streams, func(a, b *Stream) int { return cmp.Compare(a.id, b.id) })
	return streams
}

func (set *streamSet) open() []*Stream {
	set.mu.Lock()
	defer set.mu.Unlock()
	return set.list()
}

func (set *streamSet) size() int {
	set.mu.Lock()
	defer set.mu.Unlock()
	return len(set.streams)
}

// Owner says who opened a stream, so that streams can be listed, ended and limited.
type Owner struct {
	Subject   string    // of the token; "" for none
	TokenID   string    // "" for none
	Holder    string    // counted if there is neither; "" for an API key, which is not limited
	Address   string    // of the client, without the port
	RequestID string    // of the request that opened it
	KeyName   string    // of a named API key; "" for any other credential
	KeyID     string    // stands for that key
	ExpiresAt time.Time // when the stream must end; zero for never
}

// owner holds the texts of an [Owner] in little space, one after the other and each
// after its length, a varint: for many quiet streams, they are a large part of the
// memory. It copies the texts, so that it does not keep alive what they were parts of.
type owner string

func newOwner(o Owner) owner {
	b := make([]byte, 0, 128)
	for _, text := range [...]string{o.Subject, o.TokenID, o.Holder, o.Address, o.RequestID, o.KeyName, o.KeyID} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return owner(b)
}

// text returns the text with the given index.
func (o owner) text(index int) string {
	for ; ; index-- {
		length, size := binary.Uvarint([]byte(o[:min(len(o), binary.MaxVarintLen64)]))
		end := size + int(length)
		if index == 0 {
			return string(o[size:end])
		}
		o = o[end:]
	}
}

func (o owner) subject() string   { return o.text(0) }
func (o owner) tokenID() string   { return o.text(1) }
func (o owner) holder() string    { return o.text(2) }
func (o owner) address() string   { return o.text(3) }
func (o owner) requestID() string { return o.text(4) }
func (o owner) keyName() string   { return o.text(5) }
func (o owner) keyID() string     { return o.text(6) }

// limitKey is what streams are counted by: their owner or their address.
type limitKey struct {
	as   byte // the kind of name; 0: the stream is not counted
	name string
}

// subjectKey counts streams of one subject together, else those of one token.
func (o owner) subjectKey() limitKey {
	switch {
	case o.subject() != "":
		return limitKey{'s', o.subject()}
	case cmp.Or(o.tokenID(), o.holder()) != "":
		return limitKey{'t', cmp.Or(o.tokenID(), o.holder())}
	}
	return limitKey{}
}

// Filter selects streams. An empty field selects all.
type Filter struct {
	Subject string
	TokenID string
	KeyID   string          // as in [Owner]
	Channel schemas.Channel // read by the stream, by name or by pattern
	Before  time.Time       // which the stream was opened before
}

func (f Filter) matches(s *Stream) bool {
	o := s.owner
	if f.Subject != "" && f.Subject != o.subject() || f.TokenID != "" && f.TokenID != o.tokenID() || f.KeyID != "" && f.KeyID != o.keyID() {
		return false
	}
	if !f.Before.IsZero() && !s.broker.began.Add(s.opened).Before(f.Before) {
		return false
	}
	return f.Channel == "" || slices.ContainsFunc(s.filter.selectors, func(sel Selector) bool {
		return sel.Channel.Matches(f.Channel)
	})
}

// Streams returns up to limit open streams that f selects, in the order in which they
// were opened.
func (b *Broker) Streams(f Filter, limit int) []StreamInfo {
	infos := []StreamInfo{}
	for _, s := range b.streams.open() {
		if len(infos) == limit {
			break
		}
		if f.matches(s) {
			infos = append(infos, s.Info())
		}
	}
	return infos
}

// Disconnect ends the streams that f selects and returns their number.
func (b *Broker) Disconnect(f Filter, reason CloseReason) int {
	n := 0
	for _, s := range b.streams.open() {
		if f.matches(s) {
			s.End(reason)
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
	KeyName     string            `json:"key,omitempty"`
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
		ID: s.id, Subject: s.owner.subject(), TokenID: s.owner.tokenID(), KeyName: s.owner.keyName(), Address: s.owner.address(),
		Channels: s.filter.patterns(), Topics: s.filter.all(), Position: s.Position(),
		ConnectedAt: schemas.TimeOf(s.broker.began.Add(s.opened)), Format: s.format.String(), RequestID: s.owner.requestID(),
	}
}
