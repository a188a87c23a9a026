// Package meter counts what is published to each channel, while somebody wants to know. When
// nobody does, a publish pays for one atomic load.
package meter

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice/schemas"
)

const (
	stripes = 32
	// perStripe bounds the memory: channels beyond it are counted in the total alone.
	perStripe = 4096
)

// Meter counts publishes. The zero value is ready, and off. Safe for concurrent use.
type Meter struct {
	counts atomic.Pointer[counts] // nil: off
}

// counts are those of one interval, in parts by the hash of the channel, so that few
// publishers wait for each other.
type counts struct {
	seed  maphash.Seed
	parts [stripes]part
}

type part struct {
	mu       sync.Mutex
	channels map[schemas.Channel]int64 // guarded by mu
	total    int64                     // guarded by mu
}

// Rate is how many messages were published to a channel in an interval.
type Rate struct {
	Channel   schemas.Channel
	Published int64
}

// Count counts a publish to the channel, unless the meter is off.
func (m *Meter) Count(channel schemas.Channel) {
	if c := m.counts.Load(); c != nil {
		c.add(channel)
	}
}

func (c *counts) add(channel schemas.Channel) {
	p := &c.parts[maphash.String(c.seed, string(channel))%stripes]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total++
	if n, known := p.channels[channel]; known {
		p.channels[channel] = n + 1
	} else if len(p.channels) < perStripe {
		p.channels[schemas.Channel(strings.Clone(string(channel)))] = 1 // the name may be part of a larger text
	}
}

// Start begins an interval, and with the first call switches the meter on.
func (m *Meter) Start() { m.counts.Store(newCounts()) }

// Stop switches the meter off and forgets what it has counted.
func (m *Meter) Stop() { m.counts.Store(nil) }

// Take ends the interval, begins the next one, and returns the busiest channels, at most n,
// the busiest first, and how many messages were published in all. A meter that is off
// returns nothing and stays off.
func (m *Meter) Take(n int) (busiest []Rate, published int64) {
	last := m.counts.Load()
	if last == nil || !m.counts.CompareAndSwap(last, newCounts()) {
		return nil, 0
	}
	for i := range last.parts {
		published += last.parts[i].gather(&busiest)
	}
	slices.SortFunc(busiest, func(a, b Rate) int {
		return cmp.Or(cmp.Compare(b.Published, a.Published), cmp.Compare(a.Channel, b.Channel))
	})
	return slices.Clone(busiest[:min(n, len(busiest))]), published
}

// gather appends what was counted, and returns the sum. A publisher that still holds the
// part adds to it afterwards, and is left out.
func (p *part) gather(rates *[]Rate) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for channel, n := range p.channels {
		*rates = append(*rates, Rate{channel, n})
	}
	return p.total
}

func newCounts() *counts {
	c := &counts{seed: maphash.MakeSeed()}
	for i := range c.parts {
		c.parts[i].channels = make(map[schemas.Channel]int64)
	}
	return c
}
