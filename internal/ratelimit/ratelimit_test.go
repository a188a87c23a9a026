package ratelimit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/ratelimit"
)

// frozen is a clock that stands still until it is moved.
type frozen struct{ at time.Time }

func (f *frozen) now() time.Time { return f.at }

func TestNew_none(t *testing.T) {
	if l := ratelimit.New(ratelimit.Options{Burst: time.Minute}); l != nil || l.Stats() != nil {
		t.Errorf("got %+v", l)
	}
}

// A caller that publishes whenever it may gets the burst and then exactly the rate.
func TestLimits_sum(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rate   ratelimit.Rate
		burst  time.Duration
		each   int64 // bytes of a message
		during time.Duration
		want   int64 // messages
	}{
		{"messages", ratelimit.Rate{Messages: 10}, time.Second, 100, 10 * time.Second, 10 + 100},
		{"longer burst", ratelimit.Rate{Messages: 10}, 5 * time.Second, 100, 10 * time.Second, 50 + 100},
		{"a rate that divides no second", ratelimit.Rate{Messages: 3}, time.Second, 1, 10*time.Second + time.Millisecond, 3 + 30},
		{"slow", ratelimit.Rate{Messages: 1}, time.Second, 1, time.Minute, 1 + 60},
		{"bytes", ratelimit.Rate{Bytes: 1000}, time.Second, 100, 10 * time.Second, 10 + 100},
		{"both, bytes are scarce", ratelimit.Rate{Messages: 100, Bytes: 1000}, time.Second, 100, 10 * time.Second, 10 + 100},
		{"both, messages are scarce", ratelimit.Rate{Messages: 5, Bytes: 1000}, time.Second, 100, 10 * time.Second, 5 + 50},
		{"each as large as a burst", ratelimit.Rate{Bytes: 1000}, time.Second, 1000, 10 * time.Second, 1 + 10},
		{"each larger than a burst", ratelimit.Rate{Bytes: 1000}, time.Second, 2500, 10 * time.Second, 1 + 4}, // at 0 s, 2.5 s, …
		{"no bytes", ratelimit.Rate{Messages: 10, Bytes: 1}, time.Second, 0, time.Second, 10 + 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := ratelimit.New(ratelimit.Options{Key: tt.rate, Burst: tt.burst})
				if got := greedy(l, ratelimit.Caller{Key: "k"}, tt.each, tt.during); got != tt.want {
					t.Errorf("%d messages, want %d", got, tt.want)
				}
			})
		})
	}
}

// greedy publishes messages as often as it may, and returns how many.
func greedy(l *ratelimit.Limits, c ratelimit.Caller, each int64, during time.Duration) (n int64) {
	for end := time.Now().Add(during); ; {
		d := l.Take(c, 1, each)
		if d.Wait == 0 {
			n++
			continue
		}
		if time.Until(end) < d.Wait {
			return n
		}
		time.Sleep(d.Wait)
	}
}

// Who comes exactly when it may is not refused because of rounding.
func TestLimits_exactlyDue(t *testing.T) {
	clock := &frozen{time.Now()}
	l := ratelimit.New(ratelimit.Options{Key: ratelimit.Rate{Messages: 10}, Now: clock.now})
	for early := range 100 {
		c := ratelimit.Caller{Key: fmt.Sprint(early)}
		l.Take(c, 10, 0)
		for _, after := range []time.Duration{time.Duration(100+early) * time.Millisecond, time.Duration(100-early) * time.Millisecond} {
			clock.at = clock.at.Add(after)
			if d := l.Take(c, 1, 0); d.Wait != 0 {
				t.Errorf("%d ms early before: %v missing", early, d.Wait)
			}
		}
		if d := l.Take(c, 1, 0); d.Wait == 0 {
			t.Errorf("%d ms early before: one too many", early)
		}
	}
}

// A thousand callers at the same time each get what one alone would, and an address that they
// share gets its own limit.
func TestLimits_thousandCallers(t *testing.T) {
	const callers, seconds = 1000, 3
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Subject: ratelimit.Rate{Messages: 8, Bytes: 1 << 20}, Callers: 1 << 14})
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				if got := greedy(l, ratelimit.Caller{Subject: fmt.Sprint("user-", i), Address: "ignored"}, 10, seconds*time.Second); got != 8+8*seconds {
					t.Errorf("caller %d: %d messages", i, got)
				}
			})
		}
		all.Wait()
		if s := l.Stats(); len(s) != 1 || s[0].Callers != callers || s[0].Forgotten != 0 {
			t.Errorf("stats %+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Address: ratelimit.Rate{Messages: 10}})
		var all sync.WaitGroup
		var sum atomic.Int64
		for range callers / 10 {
			all.Go(func() { sum.Add(greedy(l, ratelimit.Caller{Address: "192.0.2.1"}, 10, seconds*time.Second)) })
		}
		all.Wait()
		if got := sum.Load(); got != 10+10*seconds {
			t.Errorf("%d messages from the address", got)
		}
	})
}

// In any time, a caller gets at most the rate times that time, a burst, and a message that is
// larger than one; and it never waits longer than it has to.
func TestLimits_random(t *testing.T) {
	const rate, burst = 1000, 3 // bytes a second, seconds
	clock := &frozen{time.Now()}
	l := ratelimit.New(ratelimit.Options{Key: ratelimit.Rate{Bytes: rate}, Burst: burst * time.Second, Now: clock.now})
	random := rand.New(rand.NewPCG(1, 2))
	level, at := float64(rate*burst), clock.at // of an ideal bucket
	for i := range 20_000 {
		clock.at = clock.at.Add(time.Duration(random.ExpFloat64() * float64(200*time.Millisecond)))
		level = min(rate*burst, level+clock.at.Sub(at).Seconds()*rate)
		at = clock.at
		n := int64(random.ExpFloat64() * 300)
		if i%100 == 0 {
			n *= 20
		}
		d := l.Take(ratelimit.Caller{Key: "k"}, 1, n)
		missing := min(float64(n), rate*burst) - level
		if want := time.Duration(max(0, missing) / rate * float64(time.Second)); n > 0 && (d.Wait-want).Abs() > 100*time.Microsecond {
			t.Fatalf("%d of %f bytes: waits %v, want %v", n, level, d.Wait, want)
		}
		if d.Wait == 0 {
			level -= float64(n)
		}
	}
}

// What one limit refuses costs nothing of the others.
func TestLimits_allOrNothing(t *testing.T) {
	clock := &frozen{time.Now()}
	l := ratelimit.New(ratelimit.Options{
		Key: ratelimit.Rate{Messages: 5}, Subject: ratelimit.Rate{Messages: 5}, Address: ratelimit.Rate{Messages: 100, Bytes: 1000}, Now: clock.now,
	})
	take := func(c ratelimit.Caller, bytes int64) ratelimit.Decision { return l.Take(c, 1, bytes) }
	a, b := ratelimit.Caller{Key: "a", Address: "n"}, ratelimit.Caller{Subject: "b", Address: "n"}
	if d := take(a, 1000); d.Wait != 0 {
		t.Fatalf("the first: %+v", d)
	}
	for range 10 {
		if d := take(b, 10); d.Wait != 10*time.Millisecond || d.Kind != ratelimit.Address || d.Unit != ratelimit.Bytes {
			t.Fatalf("beyond the bytes of the address: %+v", d)
		}
	}
	clock.at = clock.at.Add(time.Second)
	for range 5 {
		if d := take(b, 10); d.Wait != 0 {
			t.Fatalf("the refused ones have cost something: %+v", d)
		}
	}
	d := take(b, 10)
	if d.Wait != 200*time.Millisecond || d.Kind != ratelimit.Subject || d.Unit != ratelimit.Messages {
		t.Errorf("beyond the messages of the subject: %+v", d)
	}
	err := l.Refuse(d)
	var limited *ratelimit.Error
	if !errors.Is(err, ratelimit.ErrLimited) || !errors.As(err, &limited) || limited.Seconds() != 1 || limited.Setting() != "max_publishes_per_subject" || len(ratelimit.Settings()) != 6 || !strings.Contains(err.Error(), "at most 5 messages a second per token subject") {
		t.Errorf("got %v", err)
	}
	l.Delayed(d)
	l.Delayed(d)
	for _, s := range l.Stats() {
		want := ratelimit.Stats{Kind: s.Kind, Callers: 1}
		if s.Kind == ratelimit.Subject {
			want.Refused[ratelimit.Messages], want.Delayed[ratelimit.Messages] = 1, 2
		}
		if s != want {
			t.Errorf("stats %+v, want %+v", s, want)
		}
	}
	if n := len(l.Stats()); n != 3 {
		t.Errorf("%d kinds", n)
	}
}

// However many callers come, a fixed number is remembered; those that are the busiest stay.
func TestLimits_memory(t *testing.T) {
	clock := &frozen{time.Now()}
	l := ratelimit.New(ratelimit.Options{Address: ratelimit.Rate{Messages: 10}, Callers: 160, Now: clock.now})
	busy := 0
	for i := range 5000 {
		l.Take(ratelimit.Caller{Address: fmt.Sprint(i)}, 1, 0)
		for range 10 {
			if l.Take(ratelimit.Caller{Address: "busy"}, 1, 0).Wait == 0 {
				busy++
			}
		}
		clock.at = clock.at.Add(100 * time.Microsecond)
	}
	s := l.Stats()[0]
	if s.Callers != 160 || s.Forgotten == 0 {
		t.Errorf("stats %+v", s)
	}
	if busy != 10+4 {
		t.Errorf("the busiest caller got %d messages: it was forgotten", busy)
	}
	clock.at = clock.at.Add(time.Hour) // all buckets are full
	for i := range 20 {                // a few in each part of the table
		l.Take(ratelimit.Caller{Address: fmt.Sprint("later", i)}, 1, 0)
	}
	if now := l.Stats()[0]; now.Forgotten != s.Forgotten || now.Callers > 160 {
		t.Errorf("full buckets count as forgotten: %+v", now)
	}
}

func TestDecision_Fields(t *testing.T) {
	clock := &frozen{time.Now()}
	l := ratelimit.New(ratelimit.Options{
		Key: ratelimit.Rate{Messages: 10}, Subject: ratelimit.Rate{Bytes: 4096}, Address: ratelimit.Rate{Messages: 100, Bytes: 1 << 20}, Burst: 5 * time.Second, Now: clock.now,
	})
	for _, tt := range []struct {
		name            string
		caller          ratelimit.Caller
		messages, bytes int64
		policy, state   string
	}{
		{"nobody", ratelimit.Caller{}, 1, 1, "", ""},
		{
			"a key",
			ratelimit.Caller{Key: "k", Address: "a"},
			1, 1000,
			`"key";q=50;w=5, "address";q=500;w=5, "address-bytes";q=5242880;qu="content-bytes";w=5`,
			`"key";r=49;t=1, "address";r=499;t=1, "address-bytes";r=5241880;t=1`,
		},
		{
			"a look",
			ratelimit.Caller{Key: "k", Address: "a"},
			0, 0,
			`"key";q=50;w=5, "address";q=500;w=5, "address-bytes";q=5242880;qu="content-bytes";w=5`,
			`"key";r=49;t=1, "address";r=499;t=1, "address-bytes";r=5241880;t=1`,
		},
		{"a subject in debt", ratelimit.Caller{Subject: "s"}, 1, 40960, `"subject-bytes";q=20480;qu="content-bytes";w=5`, `"subject-bytes";r=0;t=1`},
		{"refused", ratelimit.Caller{Subject: "s"}, 1, 4096, `"subject-bytes";q=20480;qu="content-bytes";w=5`, `"subject-bytes";r=0;t=6`},
	} {
		d := l.Take(tt.caller, tt.messages, tt.bytes)
		policy, state := d.Fields(l)
		if policy != tt.policy || state != tt.state {
			t.Errorf("%s:\n%s\n%s\nwant\n%s\n%s", tt.name, policy, state, tt.policy, tt.state)
		}
	}
	if n := l.Stats()[1].Callers; n != 1 {
		t.Errorf("%d subjects", n)
	}
}

// The largest limits do not overflow.
func TestLimits_extremes(t *testing.T) {
	clock := &frozen{time.Now()}
	l := ratelimit.New(ratelimit.Options{Key: ratelimit.Rate{Messages: 1 << 31, Bytes: 1 << 40}, Subject: ratelimit.Rate{Messages: 1, Bytes: 1}, Burst: time.Hour, Now: clock.now})
	d := l.Take(ratelimit.Caller{Key: "k"}, 1, 1)
	if _, state := d.Fields(l); state != `"key";r=7730941132799;t=1, "key-bytes";r=3958241859993599;t=1` {
		t.Errorf("state %s", state)
	}
	huge := ratelimit.Caller{Subject: "s"}
	if d := l.Take(huge, 1, 1<<62); d.Wait != 0 {
		t.Errorf("the first: %+v", d)
	}
	if d := l.Take(huge, 1, 1<<62); d.Wait <= 0 {
		t.Errorf("the next: %+v", d)
	}
}

// Deciding costs no memory, for a caller that is known.
func TestLimits_Take_allocations(t *testing.T) {
	l := ratelimit.New(ratelimit.Options{Key: ratelimit.Rate{Messages: 1 << 30, Bytes: 1 << 40}, Address: ratelimit.Rate{Messages: 1 << 30}})
	c := ratelimit.Caller{Key: "k", Address: "a"}
	if n := testing.AllocsPerRun(1000, func() { l.Take(c, 1, 100) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLimits_Take(b *testing.B) {
	l := ratelimit.New(ratelimit.Options{Key: ratelimit.Rate{Messages: 1 << 30, Bytes: 1 << 40}, Address: ratelimit.Rate{Messages: 1 << 30}})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Take(ratelimit.Caller{Key: "k", Address: "a"}, 1, 100)
		}
	})
}
