package nats

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/schemas"
)

const (
	maxListed = 1 << 17          // names that are remembered
	listedFor = 30 * time.Second // after the last page that was taken from them
)

// listing remembers the names of channels from one page of a list to the next. A
// server returns subjects all at once and in no useful order, so the names of one page
// cost as much as those of all pages.
type listing struct {
	mu     sync.Mutex
	prefix string          // guarded by mu
	after  schemas.Channel // guarded by mu; names has all that come after this one,
	whole  bool            // guarded by mu; to the end; otherwise up to the last of names
	names  []listed        // guarded by mu; in order; the array is never modified
	asOf   uint64          // guarded by mu; the stream's newest position when it was asked
	used   time.Time       // guarded by mu
}

// listed is a channel, and how many messages the stream has of it.
type listed struct {
	name     schemas.Channel
	messages int
}

// page returns up to limit names after the given one, and the position as of which they
// are. It reports false if the server has to be asked.
func (l *listing) page(prefix string, after schemas.Channel, limit int) (names []listed, asOf uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if after == "" || prefix != l.prefix || after < l.after || now.Sub(l.used) > listedFor {
		return nil, 0, false
	}
	from, _ := slices.BinarySearchFunc(l.names, after, func(a listed, name schemas.Channel) int {
		return strings.Compare(string(a.name), string(name))
	})
	rest := l.names[from:]
	if len(rest) > 0 && rest[0].name == after {
		rest = rest[1:]
	}
	if len(rest) < limit && !l.whole {
		return nil, 0, false
	}
	l.used = now
	return rest[:min(limit, len(rest))], l.asOf, true
}

// keep remembers names for the pages that follow.
func (l *listing) keep(prefix string, after schemas.Channel, names []listed, asOf uint64, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prefix, l.after, l.names, l.asOf, l.whole, l.used = prefix, after, names, asOf, whole, time.Now()
}

// firstOf sorts and merges names, and keeps the first maxListed of them. It reports
// whether the result is whole, as the names were, without leaving any out.
func firstOf(names []listed, whole bool) ([]listed, bool) {
	slices.SortFunc(names, func(a, b listed) int { return strings.Compare(string(a.name), string(b.name)) })
	kept := names[:0]
	for _, l := range names {
		if n := len(kept); n > 0 && kept[n-1].name == l.name {
			kept[n-1].messages += l.messages
			continue
		}
		kept = append(kept, l)
	}
	if len(kept) > maxListed {
		return kept[:maxListed:maxListed], false
	}
	return kept, whole
}
