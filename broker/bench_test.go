package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

// message is what the benchmarks publish: its event has about 200 bytes.
func message(channel string) broker.Publication {
	return broker.Publication{
		Channel: schemas.Channel(channel), Topic: "tokens",
		Data: []byte(`{"token":"benchmark","step":1234567}`),
	}
}

// reportRatio reports how many times as long an operation of the benchmark takes as
// copying an event. Both are measured in the same run.
func reportRatio(b *testing.B) {
	b.StopTimer()
	const times, n, size = 20, 20_000, 200
	event := make([]byte, size)
	var sink []byte
	alone := time.Hour
	for range times { // the quickest is the one that nobody disturbed
		began := time.Now()
		for range n {
			sink = append(make([]byte, 0, size), event...)
		}
		alone = min(alone, time.Since(began))
	}
	runtime.KeepAlive(sink)
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/(float64(alone)/n), "x-copy")
}

func BenchmarkBroker_Publish(b *testing.B) {
	for _, readers := range []int{0, 1, 1000} {
		b.Run(fmt.Sprint("readers=", readers), func(b *testing.B) {
			br := start(b, broker.Options{})
			delivered := drainAll(b, br, readers)
			p := message("a:1")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := br.Publish(b.Context(), p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(delivered.Load())/b.Elapsed().Seconds(), "deliveries/s")
			reportRatio(b)
		})
	}
}

// drainAll opens readers of a:1 that read until the benchmark ends, and returns the
// number of messages that they were handed.
func drainAll(b *testing.B, br *broker.Broker, readers int) *atomic.Int64 {
	b.Helper()
	delivered := new(atomic.Int64)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range readers {
		s := must(br.Subscribe(b.Context(), asking("a:1")))
		running.Go(func() {
			defer s.Close()
			var batch broker.Batch
			for s.Next(ctx, &batch) == nil {
				delivered.Add(int64(batch.Messages))
			}
		})
	}
	b.Cleanup(func() { stop(); running.Wait() })
	return delivered
}

func BenchmarkBroker_Publish_parallel(b *testing.B) {
	for _, channels := range []int{1, 10_000} {
		b.Run(fmt.Sprint("channels=", channels), func(b *testing.B) {
			br := start(b, broker.Options{})
			names := make([]string, channels)
			for i := range names {
				names[i] = fmt.Sprint("a:", i)
			}
			var next atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := br.Publish(context.Background(), message(names[int(next.Add(1))%channels])); err != nil {
						b.Error(err)
					}
				}
			})
			reportRatio(b)
		})
	}
}

func BenchmarkBroker_Publish_durable(b *testing.B) {
	br := start(b, broker.Options{})
	p := message("a:1")
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		p.Key = fmt.Sprint("key-", n)
		if _, err := br.Publish(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
	reportRatio(b)
}

func BenchmarkBroker_Subscribe(b *testing.B) {
	for _, sub := range []broker.Subscription{asking("a:1"), resuming(asking("a:1"), 90), asking("a:1", "a:2/tokens"), asking("a:*")} {
		b.Run(fmt.Sprint(sub.Channels, sub.LastEventID), func(b *testing.B) {
			br := start(b, broker.Options{})
			for range 100 {
				put(b, br, message("a:1"))
			}
			var batch broker.Batch
			b.ReportAllocs()
			for b.Loop() {
				s, err := br.Subscribe(b.Context(), sub)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Next(b.Context(), &batch); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
			reportRatio(b)
		})
	}
}
