package presence_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
)

const second = time.Second

// alone is a world of one node without a bus.
func alone(t *testing.T) *node {
	n := &node{world: &world{t: t}, seats: make(map[*seat]time.Time)}
	n.Registry = presence.New(presence.Options{})
	if err := n.Start(n.report); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t)
		ann := n.stream("ann", "c", "other")
		n.stream("", "c")
		n.stream("zoe", "other")
		v := n.follow("c")
		pause(second / 10)
		v.want("the state", 2, "ann")
		bob, more := n.stream("bob", "c"), n.stream("bob", "c")
		pause(second / 10)
		v.want("before a second has passed", 2, "ann")
		pause(second)
		v.want("bob came", 3, "ann", "bob")
		n.leave(bob)
		pause(8 * second)
		v.want("bob has another stream", 3, "ann", "bob")
		n.leave(more)
		n.leave(ann)
		pause(4900 * time.Millisecond)
		v.want("within the grace", 3, "ann", "bob")
		pause(second + second/5)
		v.want("after the grace", 1)
		want := []told{
			{Channel: "c", State: true, Joined: []string{"ann"}, Left: []string{}, Count: 2},
			{Channel: "c", Joined: []string{"bob"}, Left: []string{}, Count: 3},
			{Channel: "c", Joined: []string{}, Left: []string{"ann", "bob"}, Count: 1},
		}
		if got := v.told(); !reflect.DeepEqual(got, want) {
			t.Errorf("told %+v\nwant %+v", got, want)
		}
	})
}

func TestFollow_reload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t)
		v := n.follow("c")
		for range 20 {
			named, anonymous := n.stream("ann", "c"), n.stream("", "c")
			pause(second)
			n.leave(named)
			n.leave(anonymous)
			pause(4 * second)
		}
		v.want("after reloads", 2, "ann")
		if events := v.told(); len(events) > 2 {
			t.Errorf("told %+v, and nothing has changed", events)
		}
		pause(3 * second)
		v.want("after the last one left", 0)
	})
}

// TestFollow_again counts the grace from the last time that a reader went.
func TestFollow_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t)
		v := n.follow("c")
		s := n.stream("ann", "c")
		pause(second)
		n.leave(s)
		pause(3 * second)
		s = n.stream("ann", "c")
		pause(second)
		n.leave(s)
		pause(4 * second) // 8 s after it first went
		v.want("within the grace", 1, "ann")
		pause(3 * second)
		v.want("after the grace", 0)
	})
}

func TestFollow_gathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t)
		v := n.follow("c")
		pause(5 * second)
		began := len(v.told())
		for i := range 500 { // in five seconds
			n.stream(fmt.Sprint(i), "c")
			pause(second / 100)
		}
		pause(second)
		if n := len(v.told()) - began; n > 7 {
			t.Errorf("%d events in six seconds", n)
		}
		if got := len(v.is()); got != 500 {
			t.Errorf("%d names", got)
		}
	})
}

func TestFollow_many(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t)
		long := strings.Repeat("x", 240)
		v := n.follow("c")
		var last *seat
		for i := range presence.MaxNamed {
			n.stream(fmt.Sprint(long, i), "c")
		}
		pause(2 * second)
		if got := len(v.is()); got != presence.MaxNamed {
			t.Fatalf("%d names", got)
		}
		late := n.follow("c")
		last = n.stream("one more", "c")
		pause(2 * second)
		v.want("one too many to name", presence.MaxNamed+1)
		late.want("one too many to name", presence.MaxNamed+1)
		for range 3 {
			n.stream("", "c")
		}
		pause(2 * second)
		v.want("only counted", presence.MaxNamed+4)
		n.leave(last)
		pause(8 * second)
		if got := len(v.is()); got != presence.MaxNamed {
			t.Errorf("%d names, when there are few enough", got)
		}
		partial := 0
		for _, e := range v.told() {
			if e.Partial {
				partial++
			}
			if bytes := len(strings.Join(append(e.Joined, e.Left...), `","`)); bytes > 10<<10 {
				t.Errorf("an event with %d bytes of names", bytes)
			}
		}
		if events := v.told(); partial < 30 || events[len(events)-1].Partial {
			t.Errorf("%d of %d events are partial, the last one %t", partial, len(events), events[len(events)-1].Partial)
		}
	})
}

func TestFollow_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t)
		slow := &view{t: t, names: map[string]bool{}, gone: map[string]int{}}
		slow.seat = newSeat(n, "c", func() {})
		for i := range 200 {
			s := n.stream(fmt.Sprint(i), "c")
			pause(second)
			if i%2 == 0 {
				n.leave(s)
			}
		}
		pause(10 * second)
		slow.take()
		slow.want("after a long time", 100, evens(200)...)
		if events := len(slow.told()); events > 64 {
			t.Errorf("%d events were kept for a slow stream", events)
		}
	})
}

func evens(n int) (names []string) {
	for i := 1; i < n; i += 2 {
		names = append(names, fmt.Sprint(i))
	}
	return names
}

func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := alone(t)
		first := time.Now()
		n.stream("ann", "c")
		pause(second)
		n.stream("ann", "c")
		n.stream("", "c")
		pause(second) // until now, nobody wants to know
		empty, err := n.Presence(t.Context(), "empty")
		if err != nil || empty.Count != 0 || empty.Subjects == nil || empty.More {
			t.Errorf("an empty channel: %+v, %v", empty, err)
		}
		pause(second)
		since := time.Now()
		bob := n.stream("bob", "c")
		pause(3 * second)
		n.leave(bob)
		pause(2 * second)
		bob = n.stream("bob", "c")
		pause(20 * second)
		n.leave(bob)
		got, err := n.Presence(t.Context(), "c")
		if err != nil || got.Count != 3 || got.More || len(got.Subjects) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		if s, want := got.Subjects[0], (presence.Subject{Sub: "ann", Streams: 2, Since: schemas.TimeOf(first)}); s != want {
			t.Errorf("first %+v, want %+v", s, want)
		}
		if s, want := got.Subjects[1], (presence.Subject{Sub: "bob", Streams: 0, Since: schemas.TimeOf(since)}); s != want {
			t.Errorf("second %+v, want %+v", s, want)
		}
		for i := range presence.MaxNamed {
			n.stream(fmt.Sprint(i), "c")
		}
		if got, err := n.Presence(t.Context(), "c"); err != nil || got.Count != presence.MaxNamed+3 || !got.More || len(got.Subjects) != presence.MaxNamed {
			t.Errorf("count %d, more %t, %d subjects, %v", got.Count, got.More, len(got.Subjects), err)
		}
	})
}

// TestPresence_many lists those of many subjects who have been there the longest. However often it
// is asked, it goes through all of them once in a second at most: nobody can come or go meanwhile.
func TestPresence_many(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const subjects = 5 * presence.MaxNamed
		n := alone(t)
		n.follow("other") // begins a round
		pause(second)
		var want []string
		for i := range subjects {
			sub := fmt.Sprintf("%04d", (i*7919)%subjects)
			if n.stream(sub, "c"); i < presence.MaxNamed {
				want = append(want, sub)
			}
			if i%10 == 9 {
				pause(time.Millisecond)
				slices.Sort(want[min(len(want), i-9):]) // who came at the same time is listed by name
			}
		}
		check := func(what string, count int) {
			t.Helper()
			got, err := n.Presence(t.Context(), "c")
			if err != nil || got.Count != count || !got.More {
				t.Errorf("%s: count %d, want %d; more %t, %v", what, got.Count, count, got.More, err)
			}
			var names []string
			for _, s := range got.Subjects {
				names = append(names, s.Sub)
			}
			if !slices.Equal(names, want) {
				t.Errorf("%s: got %q, want %q", what, names, want)
			}
		}
		check("at first", subjects)
		n.stream("late", "c")
		check("within a second", subjects)
		pause(second)
		check("after that", subjects+1)
	})
}

// TestRound tracks readers only while somebody wants to know, and tells the truth each time.
func TestRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		defer w.end()
		a, b := w.nodes[0], w.nodes[1]
		ann := a.stream("ann", "c")
		b.stream("bob", "c")
		pause(time.Minute)
		if sent := w.wire.letters(); sent > 0 || a.Round() != 0 {
			t.Errorf("%d letters, and nobody wants to know anything", sent)
		}
		v := a.follow("c")
		pause(second)
		v.want("both nodes", 2, "ann", "bob")
		if events := v.told(); len(events) != 1 {
			t.Errorf("told %+v, want the state alone", events)
		}
		v.seat.Close()
		pause(2 * time.Minute)
		if a.Round() != 0 || b.Round() != 0 || a.Stats().Members+b.Stats().Members > 0 {
			t.Errorf("the round goes on: %+v, %+v", a.Stats(), b.Stats())
		}
		sent := w.wire.letters()
		a.leave(ann)
		a.stream("zoe", "c")
		pause(time.Minute)
		if now := w.wire.letters(); now != sent {
			t.Errorf("%d letters after the round", now-sent)
		}
		v = b.follow("c")
		pause(second)
		v.want("the next round", 2, "bob", "zoe")
	})
}

func TestOccupancy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		defer w.end()
		w.nodes[2].stream("early", "old")
		var got []string
		stop := w.nodes[0].WatchOccupancy(func(o presence.Occupancy) {
			got = append(got, fmt.Sprint(o.Channel, " ", o.Occupied, " ", o.Initial, " ", time.Since(o.At).Truncate(second)))
		})
		pause(second)
		a := w.nodes[1].stream("a", "c")
		pause(2 * second)
		b := w.nodes[2].stream("", "c")
		w.nodes[1].leave(a)
		pause(10 * second)
		w.nodes[2].leave(b)
		pause(4 * second)
		c := w.nodes[0].stream("", "c")
		pause(second)
		w.nodes[0].leave(c)
		pause(6 * second)
		want := []string{"old true true 0s", "c true false 0s", "c false false 5s"}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		stop()
		w.nodes[0].stream("", "d")
		pause(second)
		if len(got) != len(want) {
			t.Errorf("told %q after the watch", got[len(want):])
		}
	})
}
