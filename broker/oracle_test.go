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
	part    // of a message that may be sent joined with others
}

// part says of what a message is a part.
type part struct {
	of     string // the text or, of merged messages, their channel; "" if the message stands for itself
	token  string // its text, which no other message has; "" if it has none
	offset int64  // in a text
}

func (m published) run() bool { return m.topic == schemas.TopicRun }

// oracle knows every message for which somebody got a receipt.
type oracle struct {
	mu       sync.Mutex
	changed  sync.Cond
	messages []published
	tokens   map[string]published
	over     bool // nothing more will be published
}

func newOracle() *oracle {
	o := &oracle{tokens: make(map[string]published)}
	o.changed.L = &o.mu
	return o
}

func (o *oracle) note(r schemas.Receipt, p part) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := published{r.ID.Seq, r.Channel, r.Topic, p}
	o.messages = append(o.messages, m)
	if p.token != "" {
		o.tokens[p.token] = m
	}
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

// heard is a loss that a client was told of: for the channels that pattern names,
// everything above after and below until.
type heard struct {
	pattern      schemas.Pattern
	after, until uint64
	reason       string
}

// connection is one of the streams of a client.
type connection struct {
	first      bool   // not resumed
	asked      uint64 // the position it resumed with; of the first one, where it started
	before     uint64 // newest position handed out before Subscribe was called
	since      uint64 // and when it had returned
	end        uint64 // last position that the client knew
	open       bool   // $open was received
	introduced bool   // and what follows it before the first message
	runs       map[schemas.Channel]uint64
	got        []delivery
	gaps       []heard
}

// delivery is what a client was sent as one message.
type delivery struct {
	published
	tokens []string // of the messages that are joined in it
}

// history is everything that a client received over all its connections.
type history struct {
	selectors   []broker.Selector
	whole       bool // nothing is ever dropped
	replay      string
	connections []*connection
}

func (h *history) wants(m published) bool {
	return slices.ContainsFunc(h.selectors, func(s broker.Selector) bool {
		return s.Channel.Matches(m.channel) && (m.run() || s.Topics.Has(m.topic))
	})
}

// base returns, for each channel, the position above which the first connection must be
// sent everything. What a replay begins with depends on what the ring held at that
// moment. After its first message of a channel, nothing may be missing.
func (h *history) base(channel schemas.Channel) uint64 {
	c := h.connections[0]
	switch h.replay {
	case "none":
		return c.asked
	case "latest":
		return c.since
	}
	for _, m := range c.got {
		if m.channel == channel && !m.run() && m.of == "" {
			return min(c.since, m.seq-1)
		}
	}
	return c.since
}

// basesOfParts is base for messages that may be sent joined with others, which a replay
// has whole or not at all, but for the beginning of a text that was too long.
func (h *history) basesOfParts(o *oracle) map[string]uint64 {
	c := h.connections[0]
	bases := make(map[string]uint64)
	if h.replay == "none" {
		return bases
	}
	for _, m := range c.got {
		first := m.seq
		if len(m.tokens) > 0 {
			first = o.tokens[m.tokens[0]].seq
		}
		if _, known := bases[m.of]; !known && m.of != "" && (h.whole || len(m.tokens) > 0) {
			bases[m.of] = min(c.since, first-1)
		}
	}
	return bases
}

// missing returns what the client should have received or been told of by the
// time it knows the position until.
func (h *history) missing(o *oracle, until uint64) []published {
	o.mu.Lock()
	defer o.mu.Unlock()
	got := make(map[uint64]bool)
	latest := make(map[schemas.Channel]uint64) // run message published
	for _, c := range h.connections {
		for _, m := range c.got {
			got[m.seq] = true
			for _, token := range m.tokens {
				got[o.tokens[token].seq] = true
			}
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
	base, baseOfPart := make(map[schemas.Channel]uint64), h.basesOfParts(o)
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
			from := base[m.channel]
			if m.of != "" && h.replay != "none" {
				from = h.connections[0].since
				if begins, known := baseOfPart[m.of]; known {
					from = begins
				}
			}
			if m.seq <= from {
				continue
			}
		}
		if !h.told(m) {
			missing = append(missing, m)
		}
	}
	return missing
}

// misplaced checks that the parts that were sent joined were sent in order, once, and under
// the id of the last one.
func (h *history) misplaced(o *oracle, faults *faults) {
	newest := uint64(0)
	for _, c := range h.connections {
		for _, d := range c.got {
			for i, token := range d.tokens {
				m, known := o.tokens[token]
				if !known || m.seq <= newest || m.channel != d.channel || m.of != d.of || i == 0 && m.offset != d.offset {
					faults.add("part %+v is sent after %d in %+v", m, newest, d)
				}
				newest = m.seq
			}
			if len(d.tokens) > 0 && newest != d.seq || d.seq < newest {
				faults.add("%+v ends with %d", d, newest)
			}
			newest = d.seq
		}
	}
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

// joined returns how many messages were sent that are joined of several.
func (h *history) joined() (n int) {
	for _, c := range h.connections {
		for _, d := range c.got {
			if len(d.tokens) > 1 {
				n++
			}
		}
	}
	return n
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
