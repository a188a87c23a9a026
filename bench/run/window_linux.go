package run

import (
	"time"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/report"
)

// manyReaders is from how many readers of one channel on warm-up and window are twice as
// long: what a server has taken on then takes it a good part of a second to deliver.
const manyReaders = 5000

// window is what happened while it was measured.
type window struct {
	counts  load.Counts
	wall    time.Duration
	server  time.Duration    // processor time
	latency [2]time.Duration // p50, p99, of deliveries
	answer  [2]time.Duration // of answers to publishes
}

// window begins to publish, warms up and measures. It does not stop publishing.
func (t *trial) window(begin func() error) (w window, err error) {
	if err = begin(); err != nil {
		return w, err
	}
	times := time.Duration(1)
	if t.plan.readers >= manyReaders && t.plan.channels == 1 {
		times = 2
	}
	if err = t.client.Run(times * t.runner.options.Warmup); err != nil {
		return w, err
	}
	return t.measure(func() error { return t.client.Run(times * t.runner.options.Window) })
}

// measure does something and measures meanwhile.
func (t *trial) measure(do func() error) (w window, err error) {
	t.client.Reset()
	start := t.runner.clock.Now()
	server, err := t.server.cpu()
	if err != nil {
		return w, err
	}
	if err := do(); err != nil {
		return w, err
	}
	if w.server, err = t.server.cpu(); err != nil {
		return w, err
	}
	w.counts = t.client.Counts()
	w.wall = time.Duration(t.runner.clock.Now() - start)
	w.server -= server
	for i, q := range []float64{0.5, 0.99} {
		w.latency[i] = time.Duration(t.client.Latency().Quantile(q))
		w.answer[i] = time.Duration(t.client.AnswerTime().Quantile(q))
	}
	return w, nil
}

// deliveries notes what there is to say of messages published one by one.
func (w window) deliveries(metrics map[string]float64) {
	w.publishes(metrics)
	metrics[report.AnswerP50] = milliseconds(w.answer[0])
	metrics[report.AnswerP99] = milliseconds(w.answer[1])
	if w.counts.Delivered == 0 {
		return
	}
	metrics[report.Deliveries] = float64(w.counts.Delivered) / w.wall.Seconds()
	metrics[report.WirePerDelivery] = float64(w.counts.Wire) / float64(w.counts.Delivered)
	metrics[report.LatencyP50] = milliseconds(w.latency[0])
	metrics[report.LatencyP99] = milliseconds(w.latency[1])
	if w.server > 0 {
		metrics[report.DeliveriesPerCPU] = float64(w.counts.Delivered) / w.server.Seconds()
	}
}

// publishes notes what there is to say of publishing.
func (w window) publishes(metrics map[string]float64) {
	metrics[report.Publishes] = float64(w.counts.Answered) / w.wall.Seconds()
	metrics[report.ServerCPU] = 100 * w.server.Seconds() / w.wall.Seconds()
	metrics[report.ClientBusy] = 100 * w.counts.Busy.Seconds() / w.wall.Seconds()
	if w.server > 0 {
		metrics[report.PublishesPerCPU] = float64(w.counts.Answered) / w.server.Seconds()
	}
	if w.counts.Answered > 0 {
		metrics[report.CPUPerPublish] = float64(w.server.Microseconds()) / float64(w.counts.Answered)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
