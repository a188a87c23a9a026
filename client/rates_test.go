package client_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/handlers"
	"github.com/sluicehq/sluice/internal/ratelimit"
	"github.com/sluicehq/sluice/schemas"
)

// What a limit of rate refuses is published later, once, whether messages share requests or not.
func TestClient_Publish_rateLimited(t *testing.T) {
	for name, option := range map[string]client.Option{"alone": client.WithGather(false), "gathered": client.WithGather(true)} {
		t.Run(name, func(t *testing.T) {
			const messages, rate = 30, 10
			var refilling atomic.Int64 // seconds that have passed; 0: the clock stands still
			began := time.Now()
			limits := ratelimit.New(ratelimit.Options{Key: ratelimit.Rate{Messages: rate}, Now: func() time.Time {
				if refilling.Load() == 0 {
					return began
				}
				return began.Add(time.Duration(refilling.Add(1)) * time.Second)
			}})
			b := must(broker.New(broker.Options{Pace: -1}))
			defer b.Close()
			authority := must(auth.New(auth.Options{APIKeys: []string{apiKey}, Keys: must(auth.NewKeyring()), Logger: slog.New(slog.DiscardHandler)}))
			defer authority.Close()
			s := httptest.NewServer(handlers.New(handlers.Options{
				Broker: b, Auth: authority, Catalog: schemas.NewCatalog(schemas.Limits{}), Log: slog.New(slog.DiscardHandler), Limits: limits,
				Page:            fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}},
				MaxMessageBytes: 60 << 10, WriteTimeout: 10 * time.Second,
			}))
			defer s.Close()
			c := clientOf(t, s.URL, option, client.WithRetries(1000))
			var all sync.WaitGroup
			for i := range messages {
				all.Go(func() {
					if _, err := c.Publish(t.Context(), "c", "t", i); err != nil {
						t.Errorf("message %d: %v", i, err)
					}
				})
			}
			for limits.Stats()[0].Refused[ratelimit.Messages] < messages-rate {
				time.Sleep(time.Millisecond) // until all have been tried once
			}
			refilling.Store(1)
			all.Wait()
			page := must(b.History(t.Context(), "c", broker.Query{Limit: 1000}))
			if n := len(page.Messages); n != messages {
				t.Errorf("%d messages", n)
			}
			text := fmt.Sprintf("%s", page.Messages)
			for i := range messages {
				if n := strings.Count(text, fmt.Sprintf(`"data":%d,`, i)); n != 1 {
					t.Errorf("message %d is there %d times", i, n)
				}
			}
		})
	}
}
