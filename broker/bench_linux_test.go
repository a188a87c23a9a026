package broker_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/broker"
)

// BenchmarkTakeOver publishes to readers on writer loops, whose sockets are read and thrown
// away. It reports the processor time of the whole process, clients included.
func BenchmarkTakeOver(b *testing.B) {
	for _, readers := range []int{1, 100} {
		b.Run(fmt.Sprint("readers=", readers), func(b *testing.B) {
			br := start(b, broker.Options{})
			var reading sync.WaitGroup
			for range readers {
				w, _, err := wired(br, asking("a:1"), bare, false, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(w.close)
				reading.Go(func() { _, _ = io.Copy(io.Discard, w.tcp) })
			}
			before, p := processorTime(b), message("a:1")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := br.Publish(b.Context(), p); err != nil {
					b.Fatal(err)
				}
			}
			for br.Stats().Delivered < br.Stats().Published*int64(readers) {
				time.Sleep(time.Millisecond)
			}
			used := processorTime(b) - before
			b.ReportMetric(float64(br.Stats().Delivered)/used.Seconds(), "deliveries/cpu-s")
			_ = br.Close()
			reading.Wait()
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
