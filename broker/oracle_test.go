package broker_test

import (
	"fmt"
	"slices"
	"sync"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// published is what a publisher was told of one message.
type published struct {
	seq     uint64
	channel schemas.Channel
	topic   schemas.Topic
}

func (m published) run() bool { return m.topic == schemas.TopicRun }

// oracle knows every message for which somebody got a receipt.
type oracle struct {
	mu       sync.Mutex
	changed  sync.Cond
	messages []published
	over     bool // nothing more will be published
}

func newOracle() *oracle {
	o := &oracle{}
	o.changed.L = &o.mu
	return o
}

func (o *oracle) note(r schemas.Receipt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages = append(o.messages, published{r.ID.Seq, r.Channel, r.Topic})
	o.changed.Broadcast()
}

func (o *oracle) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.SortFunc(o.messages, func(a, b published) int { return int(int64(a.seq) - int64(b.seq)) })
	o.over = true
	o.changed.Broadcast()
}

// awaitMore returns when n more messages have been published, or all.
func (o *oracle) awaitMore(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for want := len(o.messages) + n; len(o.messages) < want && !o.over; {
		o.changed.Wait()
	}
}

// heard is a loss that a client was told of: of what pattern names, everything
// above after and below until.
type heard struct {
	pattern      schemas.Pattern
	after, until uint64
	reason       string
}

// connection is one of the streams of a client's life.
type connection struct {
	first      bool   // not resumed
	asked      uint64 // the position it resumed with; of the first one, where it started
	before     uint64 // newest position handed out before Subscribe was called
	since      uint64 // and when it had returned
	end        uint64 // last position that the client knew
	open       bool   // $open was received
	introduced bool   // and what follows it before the first message
	runs       map[schemas.Channel]uint64
	got        []published
	gaps       []heard
}

// history is everything that a client received, over its whole life.
type history struct {
	selectors   []broker.Selector
	replay      string
	connections []*connection
}

func (h *history) wants(m published) bool {
	return slices.ContainsFunc(h.selectors, func(s broker.Selector) bool {
		return s.Channel.Matches(m.channel) && (m.run() || s.Topics.Has(m.topic))
	})
}

// base returns, for each channel, the position above which the first connection
// owed everything. What a replay begins with depends on what the buffer held at
// that moment; after its first message of a channel nothing may be missing.
func (h *history) base(channel schemas.Channel) uint64 {
	c := h.connections[0]
	switch h.replay {
	case "none":
		return c.asked
	case "latest":
		return c.since
	}
	for _, m := range c.got {
		if m.channel == channel && !m.run() {
			return min(c.since, m.seq-1)
		}
	}
	return c.since
}

// missing returns what the client should have received or been told of by the
// time it knows the position until.
func (h *history) missing(o *oracle, until uint64) []published {
	got := make(map[uint64]bool)
	latest := make(map[schemas.Channel]uint64) // run message published
	for _, c := range h.connections {
		for _, m := range c.got {
			got[m.seq] = true
		}
		for _, seq := range c.runs {
			got[seq] = true
		}
	}
	for _, m := range o.messages {
		if m.run() {
			latest[m.channel] = m.seq
		}
	}
	var missing []published
	base := make(map[schemas.Channel]uint64)
	for _, m := range o.messages {
		if got[m.seq] || m.seq > until || !h.wants(m) {
			continue
		}
		if m.run() && m.seq != latest[m.channel] {
			continue // a newer status has taken its place
		}
		if len(h.connections) == 1 || m.seq <= h.connections[0].end {
			if base[m.channel] == 0 {
				base[m.channel] = h.base(m.channel)
			}
			if m.seq <= base[m.channel] {
				continue
			}
		}
		if !h.told(m) {
			missing = append(missing, m)
		}
	}
	return missing
}

// told reports whether a gap announced that m is lost.
func (h *history) told(m published) bool {
	for _, c := range h.connections {
		for _, g := range c.gaps {
			if g.pattern.Matches(m.channel) && g.after < m.seq && m.seq < g.until {
				return true
			}
		}
	}
	return false
}

// gaps returns every loss that the client was told of.
func (h *history) gaps() []heard {
	var all []heard
	for _, c := range h.connections {
		all = append(all, c.gaps...)
	}
	return all
}

// unsaidRuns returns the run messages that were the latest of their channel
// before the client first came, and that it was not told of. It is right only
// where nothing is ever dropped.
func (h *history) unsaidRuns(o *oracle) []published {
	latest := make(map[schemas.Channel]published)
	for _, m := range o.messages {
		if m.run() && h.wants(m) {
			latest[m.channel] = m
		}
	}
	var unsaid []published
	for channel, m := range latest {
		if c := h.connections[0]; c.introduced && m.seq <= c.before && c.runs[channel] != m.seq {
			unsaid = append(unsaid, m)
		}
	}
	return unsaid
}

// faults is what is wrong with one life, in words.
type faults []string

func (f *faults) add(format string, args ...any) {
	if len(*f) < 10 {
		*f = append(*f, fmt.Sprintf(format, args...))
	}
}
