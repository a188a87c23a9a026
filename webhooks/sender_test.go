package webhooks_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/webhooks"
)

// status answers with a status, and perhaps Retry-After.
func status(code int, retryAfter ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, text := range retryAfter {
			w.Header().Set("Retry-After", text)
		}
		w.WriteHeader(code)
	}
}

// channels returns the channels of deliveries, in order.
func channels(all []delivery) (names []string) {
	for _, d := range all {
		names = append(names, d.channel)
	}
	return names
}

func TestSender(t *testing.T) {
	inBubble(t, hook(""), accept, func(t *testing.T, s *sent, r *receiver) {
		s.endAs("pipeline:run_42", schemas.RunFailed)
		synctest.Wait()
		got := r.take()
		if len(got) != 1 {
			t.Fatalf("got %v", got)
		}
		const want = `{"type":"run.failed","timestamp":"2000-01-01T00:00:00.000Z","data":{"channel":"pipeline:run_42","id":"k-7","run_id":"r1","status":"failed","result":{"a<b":1}}}`
		if got[0].body != want {
			t.Errorf("got  %s\nwant %s", got[0].body, want)
		}
		if id := got[0].id; !strings.HasPrefix(id, "evt_") || strings.Contains(id, ".") {
			t.Errorf("id %q", id)
		}
		now, sending := s.Status()
		if !sending || len(now) != 1 || now[0].Delivered != 1 || now[0].Pending != 0 || now[0].LastStatus != 204 || now[0].LastError != "" || now[0].NextAttempt != nil {
			t.Errorf("status %+v, %t", now, sending)
		}
	})
}

// What an endpoint does not want is not sent to it.
func TestSender_filters(t *testing.T) {
	inBubble(t, hook(`, events: [run.failed, run.cancelled], channels: ["a:*", b]`), accept, func(t *testing.T, s *sent, r *receiver) {
		for _, channel := range []string{"a:1", "b", "b:1", "c"} {
			s.endAs(channel, schemas.RunCompleted)
			s.endAs(channel, schemas.RunCancelled)
		}
		synctest.Wait()
		got := channels(r.take())
		slices.Sort(got)
		if !slices.Equal(got, []string{"a:1", "b"}) {
			t.Errorf("got %v", got)
		}
	})
}

// The events of a channel stay in order while one of them fails, under the same id each time.
// Those of another channel do not wait.
func TestSender_order(t *testing.T) {
	inBubble(t, hook(""), accept, func(t *testing.T, s *sent, r *receiver) {
		var mu sync.Mutex
		tries := 0
		r.change(func(w http.ResponseWriter, q *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries < 4 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		s.endAs("a", schemas.RunFailed)
		s.endAs("a", schemas.RunCompleted)
		s.endAs("a", schemas.RunCancelled)
		time.Sleep(time.Second)
		r.change(func(w http.ResponseWriter, q *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries < 4 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		time.Sleep(time.Minute)
		got := r.take()
		var kinds []string
		for _, d := range got {
			kinds = append(kinds, d.kind)
		}
		if want := []string{"run.failed", "run.failed", "run.failed", "run.failed", "run.completed", "run.cancelled"}; !slices.Equal(kinds, want) {
			t.Fatalf("got %v, want %v", kinds, want)
		}
		if got[0].id != got[3].id || got[0].body != got[3].body || got[3].id == got[4].id || got[4].id == got[5].id {
			t.Errorf("ids and bodies %+v", got)
		}
	})
}

func TestSender_channelsDoNotWait(t *testing.T) {
	inBubble(t, hook(""), accept, func(t *testing.T, s *sent, r *receiver) {
		hang := make(chan struct{})
		defer close(hang)
		answers := func(w http.ResponseWriter, q *http.Request) {}
		r.change(func(w http.ResponseWriter, q *http.Request) {
			if q.Header.Get("webhook-id") != "" && q.ContentLength == 0 {
				t.Error("no body")
			}
			<-hang
		})
		for n := range 7 {
			s.end("slow:" + strconv.Itoa(n))
		}
		synctest.Wait()
		if got := r.take(); len(got) != 7 {
			t.Fatalf("%d attempts", len(got))
		}
		r.change(answers)
		s.end("quick")
		synctest.Wait()
		if got := channels(r.take()); !slices.Equal(got, []string{"quick"}) {
			t.Errorf("got %v", got)
		}
	})
}

// An endpoint that fails delays no other one.
func TestSender_endpointsDoNotWait(t *testing.T) {
	two := "webhooks: [{url: http://a.test/, secret: " + secret + "}, {url: http://b.test/x, secret: " + secret + "}]"
	inBubble(t, two, func(w http.ResponseWriter, q *http.Request) {
		if q.Host == "a.test" {
			w.WriteHeader(http.StatusBadGateway)
		}
	}, func(t *testing.T, s *sent, r *receiver) {
		for n := range 20 {
			s.end(fmt.Sprint("c", n))
			s.end(fmt.Sprint("c", n))
		}
		synctest.Wait()
		now, _ := s.Status()
		if now[0].Delivered != 0 || now[0].Pending != 40 || now[1].Delivered != 40 || now[1].Pending != 0 {
			t.Errorf("status %+v", now)
		}
		if stats := s.Stats(); stats.Pending != 40 || stats.Delivered != 40 || stats.FailedAttempts == 0 {
			t.Errorf("stats %+v", stats)
		}
	})
}

// Nor does one that hangs delay another one on the same host.
func TestSender_endpointsOfOneHost(t *testing.T) {
	two := "webhooks: [{url: http://a.test/hangs, secret: " + secret + "}, {url: http://a.test/, secret: " + secret + "}]"
	inBubble(t, two, func(_ http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/hangs" {
			<-q.Context().Done()
		}
	}, func(t *testing.T, s *sent, _ *receiver) {
		const channels = 30
		for n := range channels {
			s.end(fmt.Sprint("c", n))
		}
		time.Sleep(time.Second)
		now, _ := s.Status()
		if now[0].Delivered != 0 || now[1].Delivered != channels || now[1].LastError != "" {
			t.Errorf("status %+v", now)
		}
	})
}

// An event is tried for an hour, at growing intervals, and then given up, counted and logged.
func TestSender_hour(t *testing.T) {
	inBubble(t, hook(""), status(500), func(t *testing.T, s *sent, r *receiver) {
		s.end("a")
		time.Sleep(time.Hour - time.Second)
		got := r.take()
		if len(got) < 12 || len(got) > 40 {
			t.Errorf("%d attempts in an hour", len(got))
		}
		for n := 1; n < len(got); n++ {
			if pause := got[n].at - got[n-1].at; pause < time.Second || pause > 5*time.Minute {
				t.Errorf("pause %d is %v", n, pause)
			}
		}
		if now, _ := s.Status(); now[0].Pending != 1 || now[0].GivenUp != 0 || now[0].LastStatus != 500 || now[0].LastError == "" || now[0].NextAttempt == nil {
			t.Errorf("status %+v", now)
		}
		s.end("a")
		time.Sleep(2 * time.Second)
		if now, _ := s.Status(); now[0].Pending != 1 || now[0].GivenUp != 1 {
			t.Errorf("after an hour: %+v", now)
		}
		if stats := s.Stats(); stats.GivenUp["expired"] != 1 {
			t.Errorf("stats %+v", stats)
		}
		if got := r.take(); len(got) == 0 {
			t.Error("the next event of the channel is not tried")
		}
		if n := s.log.count("webhook events given up"); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		if n := s.log.count("webhook endpoint fails"); n != 1 {
			t.Errorf("%d lines in the log about a failure", n)
		}
	})
}

// An event that is old when it is found, since the server was down, is tried for some minutes.
func TestSender_late(t *testing.T) {
	inBubble(t, hook(""), status(500), func(t *testing.T, s *sent, r *receiver) {
		old := func(channel schemas.Channel) {
			s.box.Put(outbox.Event{Type: outbox.ChannelVacated, Channel: channel, At: schemas.TimeOf(time.Now().Add(-3 * time.Hour))})
		}
		old("a")
		time.Sleep(4 * time.Minute)
		if now, _ := s.Status(); now[0].Pending != 1 || len(r.take()) < 3 {
			t.Errorf("status %+v", now)
		}
		time.Sleep(2 * time.Minute)
		r.change(accept)
		old("b")
		synctest.Wait()
		if now, _ := s.Status(); now[0].Pending != 0 || now[0].GivenUp != 1 || now[0].Delivered != 1 {
			t.Errorf("status %+v", now)
		}
	})
}

// The clock of the node where an event happened may be ahead. That makes nobody try for longer.
func TestSender_clockAhead(t *testing.T) {
	inBubble(t, hook(""), status(500), func(t *testing.T, s *sent, _ *receiver) {
		s.box.Put(outbox.Event{Type: outbox.ChannelVacated, Channel: "a", At: schemas.TimeOf(time.Now().Add(24 * time.Hour))})
		time.Sleep(time.Hour + time.Second)
		if stats := s.Stats(); stats.GivenUp["expired"] != 1 || stats.Pending != 0 {
			t.Errorf("stats %+v", stats)
		}
	})
}

// Retry-After is obeyed, by all channels if the receiver is busy, and within bounds.
func TestSender_retryAfter(t *testing.T) {
	inBubble(t, hook(""), status(503, "120"), func(t *testing.T, s *sent, r *receiver) {
		s.end("a")
		synctest.Wait()
		s.end("b")
		time.Sleep(119 * time.Second)
		if got := channels(r.take()); !slices.Equal(got, []string{"a"}) {
			t.Errorf("got %v", got)
		}
		r.change(accept)
		time.Sleep(2 * time.Second)
		if got := r.take(); len(got) != 2 {
			t.Errorf("got %v", got)
		}
		r.change(status(429, "86400"))
		s.end("c")
		synctest.Wait()
		r.take()
		r.change(accept)
		time.Sleep(15*time.Minute + time.Second)
		if got := channels(r.take()); !slices.Equal(got, []string{"c"}) {
			t.Errorf("got %v", got)
		}
		r.change(status(429, time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)))
		s.end("d")
		synctest.Wait()
		r.take()
		r.change(accept)
		time.Sleep(58 * time.Second)
		early := channels(r.take())
		time.Sleep(3 * time.Second)
		if got := channels(r.take()); len(early) > 0 || !slices.Equal(got, []string{"d"}) {
			t.Errorf("got %v, then %v", early, got)
		}
	})
}

// After 410 nothing is sent any more, until the entry changes.
func TestSender_gone(t *testing.T) {
	inBubble(t, hook(""), status(410), func(t *testing.T, s *sent, r *receiver) {
		s.end("a")
		s.end("a")
		synctest.Wait()
		s.end("b")
		time.Sleep(time.Hour)
		if got := r.take(); len(got) != 1 {
			t.Errorf("got %v", got)
		}
		if stats := s.Stats(); stats.GivenUp["gone"] != 3 || stats.Pending != 0 {
			t.Errorf("stats %+v", stats)
		}
		r.change(accept)
		s.write(hook(", events: [run.completed]"))
		time.Sleep(time.Second)
		s.end("c")
		synctest.Wait()
		if got := channels(r.take()); !slices.Equal(got, []string{"c"}) {
			t.Errorf("got %v", got)
		}
	})
}

// The file is read again. What is pending stays, and goes on with the new secret at once.
func TestSender_fileChanges(t *testing.T) {
	const other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	inBubble(t, hook(""), status(500), func(t *testing.T, s *sent, r *receiver) {
		s.end("a")
		time.Sleep(10 * time.Minute)
		s.write("webhooks: [{url: nonsense}]")
		time.Sleep(time.Second)
		if n := s.log.count("changed file refused"); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		if fault := s.Fault(); !strings.Contains(fault, "url: want http") {
			t.Errorf("the fault is %q", fault)
		}
		r.take() // it may have been tried at any time
		r.change(accept)
		s.write("webhooks: [{url: http://a.test/, secret: [" + other + ", " + secret + "]}, {url: http://b.test/, secret: " + secret + "}]")
		time.Sleep(time.Second)
		if got := channels(r.take()); !slices.Equal(got, []string{"a"}) || s.Fault() != "" {
			t.Errorf("got %v, the fault is %q", got, s.Fault())
		}
		s.end("b")
		synctest.Wait()
		if got := channels(r.take()); !slices.Equal(got, []string{"b", "b"}) {
			t.Errorf("got %v", got)
		}
		r.change(status(500))
		s.end("c")
		synctest.Wait()
		s.write("webhooks: []")
		time.Sleep(time.Second)
		if n := s.log.count("reason=removed"); n != 2 {
			t.Errorf("%d lines in the log", n)
		}
		if stats := s.Stats(); stats.GivenUp["removed"] != 2 || stats.Pending != 0 {
			t.Errorf("stats %+v", stats)
		}
	})
}

// keepingBox is an outbox that notes what was settled.
type keepingBox struct {
	*outbox.Local
	mu      sync.Mutex
	settled []uint64 // guarded by mu
}

func (b *keepingBox) Settle(_ context.Context, outcomes []outbox.Outcome) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range outcomes {
		if o.By == "" {
			b.settled = append(b.settled, o.Position)
		}
	}
	return nil
}

// all returns the positions of what was settled, in order.
func (b *keepingBox) all() []uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(slices.Values(b.settled))
}

// A webhook may be removed while an event is being sent to it. That one is given up, too: the
// outbox would keep it until the next start otherwise.
func TestSender_removedWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
		box := &keepingBox{Local: outbox.NewLocal()}
		s := newSender(t, hook(""), r, func(o *webhooks.Options) { o.Outboxes = []outbox.Store{box} })
		s.box = box.Local
		s.end("a")
		s.end("a")
		time.Sleep(time.Second)
		s.write("webhooks: []")
		time.Sleep(time.Second)
		if got := box.all(); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("settled %v", got)
		}
		if stats := s.Stats(); stats.GivenUp["removed"] != 2 {
			t.Errorf("stats %+v", stats)
		}
		if n := s.log.count("reason=removed events=1"); n != 2 {
			t.Errorf("%d lines in the log", n)
		}
	})
}

// However many events come while an endpoint rests, over however many channels, nothing stays
// of those that were given up.
func TestSender_overflow_memory(t *testing.T) {
	inBubble(t, hook(""), status(503, "900"), func(t *testing.T, s *sent, r *receiver) {
		s.end("first")
		synctest.Wait()
		for n := range 12_500 {
			s.end([]string{"one", fmt.Sprint("c", n)}[n%2])
			if n%1000 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if lanes, items := s.Held(); lanes > 5_010 || items > 10_010 {
			t.Errorf("%d lanes with %d events for %d that are pending", lanes, items, s.Stats().Pending)
		}
	})
}

// What does not fit is given up, the oldest first.
func TestSender_overflow(t *testing.T) {
	inBubble(t, hook(""), status(500, "3600"), func(t *testing.T, s *sent, r *receiver) {
		for n := range 10_100 {
			s.end(fmt.Sprint("c", n%50))
			if n%1000 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		stats := s.Stats()
		if given := stats.GivenUp["overflow"]; given < 90 || given > 110 || stats.Pending != 10_100-int(given) {
			t.Errorf("stats %+v", stats)
		}
		s.Close()
		if stats := s.Stats(); stats.Pending != 0 || stats.GivenUp["shutdown"]+stats.GivenUp["overflow"] != 10_100 {
			t.Errorf("after the end: %+v", stats)
		}
	})
}

// A receiver that fails for all channels gets few requests, and everything once it is back.
func TestSender_failing(t *testing.T) {
	inBubble(t, hook(""), status(500), func(t *testing.T, s *sent, r *receiver) {
		for n := range 1000 {
			s.end(fmt.Sprint("c", n))
		}
		time.Sleep(10 * time.Minute)
		if n := len(r.take()); n < 300 || n > 640 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		r.change(accept)
		time.Sleep(6 * time.Minute)
		ids := make(map[string]bool)
		for _, d := range r.take() {
			ids[d.id] = true
		}
		if stats := s.Stats(); len(ids) != 1000 || stats.Delivered != 1000 || stats.Pending != 0 {
			t.Errorf("%d events, %+v", len(ids), stats)
		}
	})
}

// Close sends what has come, and gives up what fails.
func TestSender_Close(t *testing.T) {
	inBubble(t, hook(""), accept, func(t *testing.T, s *sent, r *receiver) {
		for n := range 100 {
			s.end(fmt.Sprint("c", n))
		}
		s.Close()
		if got := r.take(); len(got) != 100 {
			t.Errorf("%d events", len(got))
		}
	})
	inBubble(t, hook(""), func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }, func(t *testing.T, s *sent, r *receiver) {
		s.end("a")
		began := time.Now()
		s.Close()
		s.Close()
		if took := time.Since(began); took != 5*time.Second || s.Stats().GivenUp["shutdown"] != 1 {
			t.Errorf("closed after %v: %+v", took, s.Stats())
		}
	})
}
