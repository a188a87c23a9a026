//go:build unix

package nats_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
	"github.com/sluicehq/sluice/schemas"
)

// The latency of Append and of delivery, beside that of bare publishes to the same
// stream and of bare requests, in one run.
func BenchmarkEngine(b *testing.B) {
	for _, c := range []struct {
		name    string
		servers func() []string
	}{
		{"one server", func() []string { return []string{natstest.Start(b, "").URL()} }},
		{"three servers", func() []string { return natstest.URLs(natstest.StartCluster(b, 3)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			opts := nats.Options{URLs: c.servers()}
			n := start(b, opts)
			conn, err := natsio.Connect(opts.URLs[0])
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			for _, clients := range []int{1, 32, 256} {
				fences := make([]uint64, clients)
				for i := range fences {
					fences[i] = n.take(b, channel(fmt.Sprint("text:", clients, ":", i)), 0)
				}
				bench(b, "bare", clients, func(i int) error {
					_, err := conn.Request("sluice.0.c.bare", []byte(`{"a":1}`), 10*time.Second)
					return err
				})
				bench(b, "ordinary", clients, func(i int) error {
					_, err := n.Append(b.Context(), entry(fmt.Sprint("c:", i%100), `{"a":1}`))
					return err
				})
				bench(b, "two topics", clients, func(i int) error {
					e := entry(fmt.Sprint("two:", i%100), `{"a":1}`)
					if i/100%100 == 0 {
						e.Topic = "rare"
					}
					_, err := n.Append(b.Context(), e)
					return err
				})
				bench(b, "fenced", clients, func(i int) error {
					e := entry(fmt.Sprint("text:", clients, ":", i%clients), `{"a":1}`)
					e.Topic, e.StreamID, e.Fence = "draft", "s", fences[i%clients]
					_, err := n.Append(b.Context(), e)
					return err
				})
				bench(b, "durable", clients, func(i int) error {
					_, err := n.Append(b.Context(), keyed(fmt.Sprint("c:", i%100), `{"a":1}`, fmt.Sprint(clients, b.N, i, time.Now().UnixNano())))
					return err
				})
			}
			benchDelivery(b, n)
		})
	}
}

func bench(b *testing.B, name string, clients int, publish func(int) error) {
	b.Run(fmt.Sprintf("%s/%d", name, clients), func(b *testing.B) {
		var all sync.WaitGroup
		took := make([]time.Duration, b.N)
		for c := range clients {
			all.Go(func() {
				for i := c; i < b.N; i += clients {
					begun := time.Now()
					if err := publish(i); err != nil {
						b.Error(err)
						return
					}
					took[i] = time.Since(begun)
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
	})
}

// benchDelivery measures from the call of Append to the call of Deliver.
func benchDelivery(b *testing.B, n *node) {
	b.Run("delivery", func(b *testing.B) {
		took := make([]time.Duration, b.N)
		name := schemas.Channel(fmt.Sprint("delivery", b.N))
		n.follow(b, schemas.Pattern(name))
		defer n.Unsubscribe(schemas.Pattern(name))
		for i := range b.N {
			begun := time.Now()
			n.put(b, entry(string(name), "1"))
			for len(n.of(name)) <= i {
				<-n.news
			}
			took[i] = time.Since(begun)
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	})
}
