package timerwheel_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/internal/timerwheel"
)

// item is something that has a timer.
type item struct {
	number int
	timer  timerwheel.Timer[*item]
}

func (it *item) Timer() *timerwheel.Timer[*item] { return &it.timer }

// wheel is one of items.
type wheel struct{ timerwheel.Wheel[*item] }

// tick returns how many ticks the wheel has advanced.
func (w *wheel) tick() int64 { return int64(w.Now() / timerwheel.Tick) }

// clockwork is a wheel of named items, and the names of those that have fired.
type clockwork struct {
	wheel
	items map[string]*item
	fired []string
}

func (w *clockwork) item(name string) *item {
	if w.items == nil {
		w.items = make(map[string]*item)
	}
	if w.items[name] == nil {
		w.items[name] = new(item)
	}
	return w.items[name]
}

func (w *clockwork) name(it *item) string {
	for name, other := range w.items {
		if other == it {
			return name
		}
	}
	return "?"
}

// at sets timers; each is written as name@ticks.
func (w *clockwork) at(orders ...string) {
	for _, order := range orders {
		name, ticks, _ := strings.Cut(order, "@")
		var n float64
		_, _ = fmt.Sscan(ticks, &n)
		w.Set(w.item(name), time.Duration(n*float64(timerwheel.Tick)))
	}
}

// to advances to a time in ticks and returns the names of the items that fired, in
// order.
func (w *clockwork) to(ticks float64) []string {
	w.fired = nil
	w.Advance(time.Duration(ticks*float64(timerwheel.Tick)), func(it *item) { w.fired = append(w.fired, w.name(it)) })
	return w.fired
}

func TestWheel_Advance(t *testing.T) {
	type step struct {
		to   float64 // ticks
		want string
	}
	tests := []struct {
		name   string
		orders []string
		cancel string
		steps  []step
	}{
		{"nobody", nil, "", []step{{1, ""}, {1000, ""}}},
		{"not before its time", []string{"a@3"}, "", []step{{2.99, ""}, {3, "a"}, {4, ""}}},
		{"up to a tick late", []string{"a@2.01"}, "", []step{{2.5, ""}, {2.99, ""}, {3, "a"}}},
		{"in order", []string{"c@3", "a@1", "b@2"}, "", []step{{5, "a b c"}}},
		{"one by one", []string{"c@3", "a@1", "b@2"}, "", []step{{1, "a"}, {2, "b"}, {3, "c"}}},
		{"set later", []string{"a@1", "b@2", "a@3"}, "", []step{{2, "b"}, {3, "a"}}},
		{"set earlier", []string{"a@3", "b@2", "a@1"}, "", []step{{1, "a"}, {3, "b"}}},
		{"set to the same time", []string{"a@2", "a@2"}, "", []step{{5, "a"}}},
		{"a time that is past", []string{"a@-7"}, "", []step{{0.9, ""}, {1, "a"}}},
		{"cancelled", []string{"a@1", "b@1"}, "a", []step{{1, "b"}}},
		{"the first of three cancelled", []string{"a@1", "b@1", "c@1"}, "c", []step{{1, "b a"}}},
		{"the middle one cancelled", []string{"a@1", "b@1", "c@1"}, "b", []step{{1, "c a"}}},
		{"the last one cancelled", []string{"a@1", "b@1", "c@1"}, "a", []step{{1, "c b"}}},
		{"cancelled twice", []string{"a@1"}, "a a", []step{{1, ""}}},
		{"the end of a turn", []string{"a@511"}, "", []step{{510, ""}, {511, "a"}}},
		{"farther than a turn: looked at once in it", []string{"a@100000"}, "", []step{{510, ""}, {511, "a"}}},
		{"a gap of more than a turn", []string{"a@300", "b@300"}, "", []step{{5000, "b a"}, {6000, ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w clockwork
			w.at(tt.orders...)
			for name := range strings.FieldsSeq(tt.cancel) {
				w.Cancel(w.item(name))
			}
			for _, s := range tt.steps {
				if got := strings.Join(w.to(s.to), " "); got != s.want {
					t.Errorf("at %g: fired %q, want %q", s.to, got, s.want)
				}
			}
			if at, some := w.Next(); some {
				t.Errorf("something is left at %v", at)
			}
		})
	}
}

// TestWheel_Advance_fireSets: fire may set the item that fires again, and set and
// cancel others, including those in the slot that is being emptied.
func TestWheel_Advance_fireSets(t *testing.T) {
	var w clockwork
	w.at("every@1", "b@1", "victim@1", "c@3") // the list of a slot is last in, first out
	var fired []string
	w.Advance(4*timerwheel.Tick, func(it *item) {
		name := w.name(it)
		fired = append(fired, fmt.Sprint(name, "@", w.tick()))
		switch {
		case name == "victim" && w.tick() == 1:
			w.Cancel(w.item("b"))
			w.at("victim@2", "late@2", "past@0")
		case name == "every":
			w.at(fmt.Sprint("every@", w.tick()+1))
		}
	})
	slices.Sort(fired)
	want := "c@3 every@1 every@2 every@3 every@4 late@2 past@2 victim@1 victim@2"
	if got := strings.Join(fired, " "); got != want {
		t.Errorf("fired %s, want %s", got, want)
	}
	if at, _ := w.Next(); at != 5*timerwheel.Tick {
		t.Errorf("the next one is due at %v", at)
	}
}

// TestWheel_Advance_fireSetsAfterGap: an item that sets its timer when it fires, after
// the wheel has stood still for longer than a turn, does not fire later than it asked
// for.
func TestWheel_Advance_fireSetsAfterGap(t *testing.T) {
	const gap = 5000
	for due := range 500 {
		var w clockwork
		w.at("a@1", "b@200", "c@511")
		w.Advance(gap*timerwheel.Tick, func(it *item) { w.Set(it, time.Duration(gap+1+due)*timerwheel.Tick) })
		if got := w.to(gap + 1 + float64(due)); len(got) != 3 {
			t.Fatalf("set for %d ticks after a gap: %v had fired by then", due+1, got)
		}
	}
}

func TestWheel_Next(t *testing.T) {
	var w clockwork
	check := func(want string) {
		t.Helper()
		at, some := w.Next()
		if got := fmt.Sprint(int64(at/timerwheel.Tick), " ", some); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	check("0 false")
	w.at("a@700", "b@20.5")
	check("21 true")
	w.to(30)
	check("511 true") // a is looked at
	w.at("b@600")
	check("511 true")
	w.Cancel(w.item("a"))
	check("541 true") // the farthest that can be seen from 30
	w.Cancel(w.item("b"))
	check("0 false")
}

// TestWheel_random compares a wheel with a list.
func TestWheel_random(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var w wheel
	items := make([]*item, 40)
	for i := range items {
		items[i] = &item{number: i}
	}
	due := make(map[*item]int64) // ticks
	set := func(it *item, at time.Duration) {
		w.Set(it, at)
		tick := int64((at + timerwheel.Tick - 1) / timerwheel.Tick)
		due[it] = min(max(tick, w.tick()+1), w.tick()+timerwheel.Ticks-1)
	}
	span := func() time.Duration { // from now: mostly near, sometimes beyond a turn
		return time.Duration(random.Int64N(int64([]time.Duration{3, 60, 700}[random.IntN(3)] * timerwheel.Tick)))
	}
	for now := time.Duration(0); now < 40*timerwheel.Ticks*timerwheel.Tick; {
		for range random.IntN(20) {
			it := items[random.IntN(len(items))]
			if random.IntN(4) == 0 {
				w.Cancel(it)
				delete(due, it)
				continue
			}
			set(it, now+span())
		}
		first := int64(-1)
		for _, tick := range due {
			if first < 0 || tick < first {
				first = tick
			}
		}
		if at, some := w.Next(); some != (first >= 0) || some && at != time.Duration(first)*timerwheel.Tick {
			t.Fatalf("seed %d, at %v: next is %v, %t; want tick %d", seed, now, at, some, first)
		}
		now += min(span(), (timerwheel.Ticks-1)*timerwheel.Tick)
		w.Advance(now, func(it *item) {
			if tick, ok := due[it]; !ok || tick != w.tick() {
				t.Fatalf("seed %d: %d fired at tick %d, and is due at %d (%t)", seed, it.number, w.tick(), tick, ok)
			}
			delete(due, it)
			if random.IntN(3) == 0 {
				set(it, now+span())
			}
		})
		for it, tick := range due {
			if tick <= int64(now/timerwheel.Tick) {
				t.Fatalf("seed %d: %d did not fire at tick %d, it is %v", seed, it.number, tick, now)
			}
		}
	}
}
