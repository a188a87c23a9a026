package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// clockwork is a wheel with sockets that have names, and who has been rung.
type clockwork struct {
	wheel
	sockets map[string]*socket
	rung    []string
}

func (w *clockwork) socket(name string) *socket {
	if w.sockets == nil {
		w.sockets = make(map[string]*socket)
	}
	if w.sockets[name] == nil {
		w.sockets[name] = &socket{alarm: newAlarm()}
	}
	return w.sockets[name]
}

func (w *clockwork) name(so *socket) string {
	for name, other := range w.sockets {
		if other == so {
			return name
		}
	}
	return "?"
}

// at sets alarms; each is written as name@ticks.
func (w *clockwork) at(orders ...string) {
	for _, order := range orders {
		name, ticks, _ := strings.Cut(order, "@")
		var n float64
		_, _ = fmt.Sscan(ticks, &n)
		w.set(w.socket(name), time.Duration(n*float64(wheelTick)))
	}
}

// to turns to a time in ticks and returns who was rung, in order.
func (w *clockwork) to(ticks float64) []string {
	w.rung = nil
	w.turn(time.Duration(ticks*float64(wheelTick)), func(so *socket) { w.rung = append(w.rung, w.name(so)) })
	return w.rung
}

func TestWheel_turn(t *testing.T) {
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
				w.cancel(w.socket(name))
			}
			for _, s := range tt.steps {
				if got := strings.Join(w.to(s.to), " "); got != s.want {
					t.Errorf("at %g: rang %q, want %q", s.to, got, s.want)
				}
			}
			if at, some := w.next(); some {
				t.Errorf("something is left at %v", at)
			}
		})
	}
}

// TestWheel_turn_ringSets: ring may set again the one that rings, set others and
// cancel them, also in the slot that is being emptied.
func TestWheel_turn_ringSets(t *testing.T) {
	var w clockwork
	w.at("every@1", "b@1", "victim@1", "c@3") // the list of a slot is last in, first out
	var rung []string
	w.turn(4*wheelTick, func(so *socket) {
		name := w.name(so)
		rung = append(rung, fmt.Sprint(name, "@", w.tick))
		switch {
		case name == "victim" && w.tick == 1:
			w.cancel(w.socket("b"))
			w.at("victim@2", "late@2", "past@0")
		case name == "every":
			w.at(fmt.Sprint("every@", w.tick+1))
		}
	})
	slices.Sort(rung)
	want := "c@3 every@1 every@2 every@3 every@4 late@2 past@2 victim@1 victim@2"
	if got := strings.Join(rung, " "); got != want {
		t.Errorf("rang %s, want %s", got, want)
	}
	if at, _ := w.next(); at != 5*wheelTick {
		t.Errorf("the next one is due at %v", at)
	}
}

// TestWheel_turn_ringSetsAfterGap: whoever sets its alarm when it is rung, after
// the wheel has stood still for longer than a turn, is not rung later than it
// asked for.
func TestWheel_turn_ringSetsAfterGap(t *testing.T) {
	const gap = 5000
	for due := range 500 {
		var w clockwork
		w.at("a@1", "b@200", "c@511")
		w.turn(gap*wheelTick, func(so *socket) { w.set(so, time.Duration(gap+1+due)*wheelTick) })
		if got := w.to(gap + 1 + float64(due)); len(got) != 3 {
			t.Fatalf("set for %d ticks after a gap: %v were rung by then", due+1, got)
		}
	}
}

func TestWheel_next(t *testing.T) {
	var w clockwork
	check := func(want string) {
		t.Helper()
		at, some := w.next()
		if got := fmt.Sprint(int64(at/wheelTick), " ", some); got != want {
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
	w.cancel(w.socket("a"))
	check("541 true") // the farthest that can be seen from 30
	w.cancel(w.socket("b"))
	check("0 false")
}

// TestWheel_random holds a wheel against a list.
func TestWheel_random(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var w wheel
	sockets := make([]*socket, 40)
	for i := range sockets {
		sockets[i] = &socket{alarm: newAlarm(), fd: int32(i)}
	}
	due := make(map[*socket]int64) // ticks
	set := func(so *socket, at time.Duration) {
		w.set(so, at)
		tick := int64((at + wheelTick - 1) / wheelTick)
		due[so] = min(max(tick, w.tick+1), w.tick+wheelTicks-1)
	}
	span := func() time.Duration { // from now: mostly near, sometimes beyond a turn
		return time.Duration(random.Int64N(int64([]time.Duration{3, 60, 700}[random.IntN(3)] * wheelTick)))
	}
	for now := time.Duration(0); now < 40*wheelTicks*wheelTick; {
		for range random.IntN(20) {
			so := sockets[random.IntN(len(sockets))]
			if random.IntN(4) == 0 {
				w.cancel(so)
				delete(due, so)
				continue
			}
			set(so, now+span())
		}
		first := int64(-1)
		for _, tick := range due {
			if first < 0 || tick < first {
				first = tick
			}
		}
		if at, some := w.next(); some != (first >= 0) || some && at != time.Duration(first)*wheelTick {
			t.Fatalf("seed %d, at %v: next is %v, %t; want tick %d", seed, now, at, some, first)
		}
		now += min(span(), (wheelTicks-1)*wheelTick)
		w.turn(now, func(so *socket) {
			if tick, ok := due[so]; !ok || tick != w.tick {
				t.Fatalf("seed %d: %d rang at tick %d, and is due at %d (%t)", seed, so.fd, w.tick, tick, ok)
			}
			delete(due, so)
			if random.IntN(3) == 0 {
				set(so, now+span())
			}
		})
		for so, tick := range due {
			if tick <= int64(now/wheelTick) {
				t.Fatalf("seed %d: %d did not ring at tick %d, it is %v", seed, so.fd, tick, now)
			}
		}
	}
}
