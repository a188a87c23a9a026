package ratelimit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// table has the buckets of all callers of one kind.
type table struct {
	// Static after construction.
	kind    Kind
	buckets [units]bucket
	seeds   [2]maphash.Seed

	names, policies [units]string // in headers

	refused, delayed [units]atomic.Uint64
	forgotten        atomic.Uint64 // callers that were forgotten before their buckets were full

	shards [shards]shard
}

// shards is how many parts of a table can be used at the same time.
const shards = 16

// callerID stands for a name. Names can be long and are chosen by others; two of them never have
// the same id, since nobody knows the seeds.
type callerID [2]uint64

// shard has the callers of one part of a table.
type shard struct {
	mu      sync.Mutex
	most    int                 // static after construction
	callers map[callerID]levels // guarded by mu
}

// entry is a caller, and its shard, which is locked. The zero value is none.
type entry struct {
	table  *table
	shard  *shard
	id     callerID
	levels levels
}

func newTable(kind Kind, rate Rate, o Options) *table {
	t := &table{
		kind: kind, buckets: [units]bucket{Messages: {rate.Messages, o.Burst}, Bytes: {rate.Bytes, o.Burst}},
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
	t.describe()
	for i := range t.shards {
		t.shards[i].most = max(1, o.Callers/shards)
		t.shards[i].callers = make(map[callerID]levels)
	}
	return t
}

// lock finds the buckets of a caller, as they are now, and locks its shard, which the caller
// unlocks. The buckets of an unknown caller are full.
func (t *table) lock(e *entry, name string, now time.Duration) {
	e.table, e.id = t, callerID{maphash.String(t.seeds[0], name), maphash.String(t.seeds[1], name)}
	e.shard = &t.shards[e.id[0]%shards]
	e.shard.mu.Lock()
	var known bool
	if e.levels, known = e.shard.callers[e.id]; known {
		e.levels.refill(&t.buckets, now)
		return
	}
	e.levels.at = now
	for unit, b := range t.buckets {
		e.levels.of[unit] = b.size()
	}
}

// charge takes what something costs and stores what is left. Whoever calls it holds the lock.
func (e *entry) charge(cost [units]int64) {
	for unit, n := range cost {
		e.levels.of[unit] -= float64(n)
	}
	s := e.shard
	if _, known := s.callers[e.id]; !known && len(s.callers) >= s.most {
		e.table.forget(s, e.levels.at)
	}
	s.callers[e.id] = e.levels
}

// sample is how many callers are looked at to find one to forget.
const sample = 8

// forget makes room for a caller: of a few, it forgets the one whose buckets are full first. If
// they are full already, nothing is lost. Whoever calls it holds the lock.
func (t *table) forget(s *shard, now time.Duration) {
	var first callerID
	var earliest time.Duration
	seen := 0
	for id, l := range s.callers { // in random order
		if at := l.fullAt(&t.buckets); seen == 0 || at < earliest {
			first, earliest = id, at
		}
		if seen++; seen == sample || earliest <= now {
			break
		}
	}
	delete(s.callers, first)
	if earliest > now {
		t.forgotten.Add(1)
	}
}

// Stats are the figures of one kind of limit.
type Stats struct {
	Kind             Kind
	Refused, Delayed [units]uint64 // by [Unit]
	Callers          int           // that are remembered
	Forgotten        uint64        // callers that were forgotten before their buckets were full
}

// Stats returns the figures of the limits that there are. A nil *Limits has none.
func (l *Limits) Stats() []Stats {
	if l == nil {
		return nil
	}
	var all []Stats
	for _, t := range l.tables {
		if t == nil {
			continue
		}
		s := Stats{Kind: t.kind, Forgotten: t.forgotten.Load()}
		for unit := range units {
			s.Refused[unit], s.Delayed[unit] = t.refused[unit].Load(), t.delayed[unit].Load()
		}
		for i := range t.shards {
			t.shards[i].mu.Lock()
			s.Callers += len(t.shards[i].callers)
			t.shards[i].mu.Unlock()
		}
		all = append(all, s)
	}
	return all
}
