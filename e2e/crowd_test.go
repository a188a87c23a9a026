package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestCrowd shows that many readers of one channel get a burst whole, in order
// and once.
func TestCrowd(t *testing.T) {
	for name, flags := range paths() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const readers, messages = 2000, 50
			s := start(t, flags...)
			streams := make([]*decoder, readers)
			for i := range streams {
				conn := dial(t, s.address())
				s.subscribeOn(t, conn, "channel=a", "")
				events, err := eventsOn(conn)
				if err != nil {
					t.Fatal(err)
				}
				if e, err := events.next(); err != nil || e.Type != "$open" {
					t.Fatalf("%+v, %v", e, err)
				}
				streams[i] = events
			}
			var burst strings.Builder
			for n := range messages {
				burst.WriteString(item("a", "t", fmt.Sprint(n)))
			}
			var reading sync.WaitGroup
			got := make([][]string, readers)
			for i, events := range streams {
				reading.Go(func() {
					for range messages {
						e, err := events.next()
						if err != nil {
							e.ID = err.Error()
						}
						got[i] = append(got[i], e.ID)
					}
				})
			}
			ids := s.publishMany(within(t, patience), t, strings.NewReader(burst.String()))
			reading.Wait()
			want := fmt.Sprint(ids)
			for i, ids := range got {
				if fmt.Sprint(ids) != want {
					t.Fatalf("reader %d got %v, want %s", i, ids, want)
				}
			}
			// And nothing but those: the next event is the next message.
			last := s.publish(t, "a", "t", "0")
			for i, events := range streams {
				if e, err := events.next(); err != nil || e.ID != last {
					t.Fatalf("reader %d got %+v, %v; want %s", i, e, err, last)
				}
			}
		})
	}
}
