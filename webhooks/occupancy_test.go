package webhooks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/webhooks"
)

// crowd are the readers of a service.
type crowd struct {
	mu       sync.Mutex
	occupied map[schemas.Channel]time.Time                  // guarded by mu
	takes    map[int]func(schemas.Channel, bool, time.Time) // guarded by mu; of those who watch
	watches  int                                            // guarded by mu; that have begun
}

func newCrowd() *crowd {
	return &crowd{occupied: make(map[schemas.Channel]time.Time), takes: make(map[int]func(schemas.Channel, bool, time.Time))}
}

// watch is a [webhooks.Watch].
func (c *crowd) watch(take func(schemas.Channel, bool, time.Time)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watches++
	n := c.watches
	c.takes[n] = take
	for name, since := range c.occupied {
		take(name, true, since)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.takes, n)
	}
}

func (c *crowd) change(name schemas.Channel, occupied bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.occupied, name); occupied {
		c.occupied[name] = time.Now()
	}
	for _, take := range c.takes {
		take(name, occupied, time.Now())
	}
}

func (c *crowd) watched() (now, ever int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.takes), c.watches
}

// whats returns what was delivered, sorted.
func whats(all []delivery) (list []string) {
	for _, d := range all {
		list = append(list, d.kind+" "+d.channel)
	}
	slices.Sort(list)
	return list
}

func expectWhats(t *testing.T, r *receiver, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := whats(r.take()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The readers of channels are told of once, also by a sender that comes after another one.
func TestSender_occupancy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newReceiver(t, accept), newCrowd()
		watching := func(o *webhooks.Options) { o.Watch = c.watch }
		c.change("a", true)
		s := newSender(t, hook(""), r, watching)
		expectWhats(t, r, "channel.occupied a")
		c.change("b", true)
		c.change("c", true)
		c.change("a", true)
		expectWhats(t, r, "channel.occupied b", "channel.occupied c")
		c.change("b", false)
		c.change("never", false)
		time.Sleep(time.Minute)
		expectWhats(t, r, "channel.vacated b")
		s.Close()
		if now, _ := c.watched(); now != 0 {
			t.Errorf("%d watch after the end", now)
		}

		// While nobody sends, a loses its readers and d gets some. e comes and goes unseen.
		c.change("a", false)
		c.change("d", true)
		c.change("e", true)
		c.change("e", false)
		newSender(t, hook(""), r, watching, func(o *webhooks.Options) { o.Outboxes = []outbox.Store{s.box} })
		expectWhats(t, r, "channel.occupied d")
		time.Sleep(5 * time.Second)
		expectWhats(t, r)
		time.Sleep(2 * time.Second)
		expectWhats(t, r, "channel.vacated a")
	})
}

// A restart that readers survive is not told of.
func TestSender_occupancy_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newReceiver(t, accept), newCrowd()
		watching := func(o *webhooks.Options) { o.Watch = c.watch }
		c.change("a", true)
		c.change("b", true)
		s := newSender(t, hook(""), r, watching)
		expectWhats(t, r, "channel.occupied a", "channel.occupied b")
		s.Close()
		c.change("a", false)
		c.change("b", false)
		newSender(t, hook(""), r, watching, func(o *webhooks.Options) { o.Outboxes = []outbox.Store{s.box} })
		time.Sleep(4 * time.Second)
		c.change("a", true)
		time.Sleep(time.Minute)
		expectWhats(t, r, "channel.vacated b")
	})
}

// Nobody watches the readers until a webhook wants to know of them.
func TestSender_occupancy_wanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newReceiver(t, accept), newCrowd()
		s := newSender(t, hook(", events: [run.failed]"), r, func(o *webhooks.Options) { o.Watch = c.watch })
		c.change("a:1", true)
		c.change("b", true)
		time.Sleep(2 * time.Hour) // longer than an event is tried
		if _, ever := c.watched(); ever != 0 {
			t.Errorf("%d watch", ever)
		}
		s.write(hook(`, events: [channel.vacated, channel.occupied], channels: ["a:*"]`))
		time.Sleep(time.Minute)
		expectWhats(t, r, "channel.occupied a:1")
		s.write(hook(`, events: [channel.vacated], channels: ["*"]`))
		time.Sleep(time.Minute)
		c.change("b", false)
		expectWhats(t, r, "channel.vacated b")
		s.write(hook(", events: [run.failed]"))
		time.Sleep(time.Second)
		if now, _ := c.watched(); now != 0 {
			t.Errorf("%d still watch", now)
		}
	})
}

// brokenBox is an outbox that fails as often as it is told to, before or after it has stored an
// event.
type brokenBox struct {
	*outbox.Local
	mu     sync.Mutex
	fails  int  // guarded by mu
	stores bool // guarded by mu
}

func (b *brokenBox) Add(ctx context.Context, e outbox.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails == 0 {
		return b.Local.Add(ctx, e)
	}
	b.fails--
	if b.stores = !b.stores; b.stores {
		_ = b.Local.Add(ctx, e)
	}
	return errors.New("broken")
}

// An outbox that fails, or stores without saying so, loses and repeats nothing.
func TestSender_occupancy_outboxFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newReceiver(t, accept), newCrowd()
		box := &brokenBox{Local: outbox.NewLocal(), fails: 6}
		s := newSender(t, hook(""), r, func(o *webhooks.Options) { o.Watch, o.Outboxes = c.watch, []outbox.Store{box} })
		for n := range 5 {
			c.change(schemas.Channel(fmt.Sprint(n)), true)
		}
		time.Sleep(time.Minute)
		expectWhats(t, r, "channel.occupied 0", "channel.occupied 1", "channel.occupied 2", "channel.occupied 3", "channel.occupied 4")
		c.change("3", false)
		expectWhats(t, r, "channel.vacated 3")
		if s.log.count("outbox of webhooks not available") == 0 {
			t.Error("nothing is in the log")
		}
	})
}
