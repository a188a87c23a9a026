//go:build linux

package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/internal/netpoll"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// TestGroup_places: whatever streams are opened, ended and moved, each is in exactly one place
// and knows which.
func TestGroup_places(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t, Options{Pace: -1, Heartbeat: time.Hour})
	names := []schemas.Channel{"a", "b", "c"}
	var live []*socket
	for step := range 1500 {
		name := names[random.IntN(len(names))]
		switch what := random.IntN(20); {
		case what < 8:
			live = append(live, r.open(named(schemas.Pattern(name))))
		case what < 11 && len(live) > 0:
			r.finish(live[random.IntN(len(live))], netpoll.ErrHungUp)
		case what < 12 && len(live) > 0:
			live[random.IntN(len(live))].cursor.stream.End(Disconnected())
		case what < 13 && random.IntN(4) == 0:
			_ = r.shard.broker.Delete(t.Context(), name) // it may not be there
		case what < 16:
			r.settleAll()
		default:
			r.shard.broker.say(t, name)
		}
		r.receive()
		if len(r.tasks)+len(r.sweeps) > 0 && random.IntN(2) == 0 {
			r.work()
		}
		live = slices.DeleteFunc(live, func(so *socket) bool { return so.state != open })
		if fault := r.misplaced(live, names); fault != "" {
			t.Fatalf("seed %d, step %d: %s", seed, step, fault)
		}
	}
	r.settleAll()
	live = slices.DeleteFunc(live, func(so *socket) bool { return so.state != open })
	for _, so := range live {
		if name, _ := so.cursor.filter.selectors[0].Channel.Exact(); so.group == nil && r.shard.registry.get(name) != nil {
			t.Errorf("a reader of %s that has read everything is in no group", name)
		}
		r.finish(so, netpoll.ErrHungUp)
	}
	for _, name := range names {
		c := r.shard.registry.get(name)
		if c == nil {
			continue
		}
		c.mu.Lock()
		if c.readers.groups != nil || c.readers.streams != nil || c.log.Swept != ring.NoReader || c.log.Floor != ring.NoReader {
			t.Errorf("something is left of the readers of %s: they still have to pass %d, %d", name, c.log.Floor, c.log.Swept)
		}
		c.mu.Unlock()
	}
}

// misplaced says what is wrong with where the streams are.
func (r *rig) misplaced(live []*socket, names []schemas.Channel) string {
	places := make(map[*Stream]int)
	for _, name := range names {
		c := r.shard.registry.get(name)
		fault := ""
		if waiting := r.shard.registry.stripe(name).waiting[name]; waiting != nil {
			fault = waiting.count(nil, places)
		}
		if c != nil && fault == "" {
			fault = c.readers.count(c, places)
		}
		if fault != "" {
			return fmt.Sprint(name, ": ", fault)
		}
	}
	for _, so := range live {
		if _, ending := so.cursor.stream.Ended(); places[so.cursor.stream] != 1 && !ending {
			return fmt.Sprintf("stream %d is in %d places", so.cursor.stream.id, places[so.cursor.stream])
		}
		delete(places, so.cursor.stream)
	}
	if len(places) > 0 {
		return fmt.Sprintf("%d streams are over and still there", len(places))
	}
	return ""
}

// count counts in how many places each stream is, and says what is wrong with the
// groups, which are c's.
func (s *subscribers) count(c *channel, places map[*Stream]int) (fault string) {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.streams {
		places[c.stream]++
	}
	for _, g := range s.groups {
		if len(g.members) == 0 || g.channel.Load() != c {
			return "a group without members, or of another channel"
		}
		for i, so := range g.members {
			places[so.cursor.stream]++
			if so.group != g || int(so.index) != i {
				return fmt.Sprintf("the member at %d has index %d", i, so.index)
			}
		}
	}
	return ""
}

// TestGroup_endSweep_joined: if a stream that is behind joins during a sweep, the frames that it
// has yet to read are still held when the sweep ends.
func TestGroup_endSweep_joined(t *testing.T) {
	b := newBroker(t, Options{Loops: -1})
	l := &loop{shard: b.shards[0]}
	c, _ := b.shards[0].registry.create("a", 0, nil)
	join := func(position uint64) *group {
		cu := &cursor{stream: &Stream{broker: b}}
		cu.position.Store(position)
		c.readers.add(cu)
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.joinGroup(&socket{loop: l, cursor: cu})
	}
	g := join(0)
	b.say(t, "a")
	b.say(t, "a")
	g.beginSweep(1)
	g.next, g.low = -1, 2 // the one member was served
	g.members[0].cursor.position.Store(2)
	join(1)
	if more := g.endSweep(b.shards[0], time.Now()); !more || g.served.Load() != 1 || c.log.Swept != 1 {
		t.Errorf("served up to %d, held from %d, more: %t", g.served.Load(), c.log.Swept, more)
	}
}
