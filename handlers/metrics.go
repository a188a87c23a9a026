package handlers

import (
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
)

// metrics counts what happens over HTTP. Labels come from fixed sets: routes,
// statuses, problems and endings; never a channel, a topic or a subject.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	problems *prometheus.CounterVec
	streams  *prometheus.CounterVec
	refusals *prometheus.CounterVec
}

func newMetrics(b *broker.Broker, authority *auth.Authority) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_http_request_seconds", Help: "Time to answer a request; streams are not in it.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2.5},
		}, []string{"route"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_problems_total", Help: "Requests and batch items answered with a problem.",
		}, []string{"problem"}),
		streams: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_streams_finished_total", Help: "Streams that have ended, by reason.",
		}, []string{"reason"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_streams_refused_total", Help: "Streams turned away for now, by reason.",
		}, []string{"reason"}),
	}
	m.registry.MustRegister(
		m.requests, m.seconds, m.problems, m.streams, m.refusals,
		&gauges{broker: b, auth: authority},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, e := range broker.Endings() {
		m.streams.WithLabelValues(e.Reason)
	}
	for _, s := range specs() {
		m.problems.WithLabelValues(string(s.kind))
	}
	return m
}

// request counts one request.
func (m *metrics) request(route string, status int, took time.Duration, method string, r *requestInfo) {
	if !slices.Contains(methods(), method) {
		method = "other" // a client may send any word
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	if !r.stream {
		m.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
	if r.problem != "" {
		m.problem(r.problem)
	}
}

// methods are those that are counted by name.
func methods() []string { return []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"} }

func (m *metrics) problem(k kind) { m.problems.WithLabelValues(string(k)).Inc() }

func (m *metrics) refused(e broker.Ending) { m.refusals.WithLabelValues(e.Reason).Inc() }

func (m *metrics) streamed(e broker.Ending) { m.streams.WithLabelValues(e.Reason).Inc() }

// serveMetrics answers GET /metrics.
func (a *api) serveMetrics(c echo.Context) error {
	promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(c.Response(), c.Request())
	return nil
}

// gauges reads the figures of the broker and of auth when they are asked for.
type gauges struct {
	broker *broker.Broker
	auth   *auth.Authority
}

// Describe implements [prometheus.Collector]: the collector is unchecked, since
// what it collects is listed once, in Collect.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	b, a := g.broker.Stats(), g.auth.Stats()
	emit := func(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
		var names []string
		if len(labels) > 0 {
			names = []string{"reason"}
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, labels...)
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	emit(gauge, "sluice_channels", "Channels that exist.", float64(b.Channels))
	emit(gauge, "sluice_streams", "Streams that are open.", float64(b.Streams))
	emit(gauge, "sluice_ring_bytes", "Bytes that the replay buffers of all channels take.", float64(b.HeldBytes))
	emit(counter, "sluice_published_messages_total", "Messages published.", float64(b.Published))
	emit(counter, "sluice_delivered_messages_total", "Messages written to streams.", float64(b.Delivered))
	emit(counter, "sluice_delivered_bytes_total", "Bytes written to streams.", float64(b.DeliveredBytes))
	emit(counter, "sluice_publish_waits_total", "Publishes that had to wait for the writing to readers.", float64(b.Waits))
	emit(counter, "sluice_replayed_publishes_total", "Durable publishes answered with the first receipt.", float64(b.Replayed))
	emit(gauge, "sluice_remembered_publishes", "Durable publishes that are remembered.", float64(b.Remembered))
	emit(gauge, "sluice_remembered_bytes", "Bytes that remembered publishes take.", float64(b.RememberedBytes))
	emit(counter, "sluice_forgotten_publishes_total", "Durable publishes forgotten before their time, for want of memory.", float64(b.ForgottenEarly))
	emit(counter, "sluice_evictions_total", "Times that a channel lost messages for want of memory or of channels.", float64(b.Evicted))
	emit(gauge, "sluice_kept_bytes", "Bytes of messages that the engine keeps beyond memory.", float64(b.KeptBytes))
	emit(counter, "sluice_dropped_messages_total", "Messages dropped before their time, because all together took too much.", float64(b.Dropped))
	emit(counter, "sluice_commits_total", "Groups of messages that the engine wrote together.", float64(b.Commits))
	emit(counter, "sluice_syncs_total", "Times that the disk was made to keep what was written.", float64(b.Syncs))
	emit(counter, "sluice_repaired_messages_total", "Messages that live delivery between nodes missed and that were fetched.", float64(b.Repaired))
	for reason, n := range b.Gaps {
		emit(counter, "sluice_gaps_total", "Gaps that streams were told of.", float64(n), reason)
	}
	emit(counter, "sluice_token_cache_hits_total", "Tokens found in the cache of verified ones.", float64(a.CacheHits))
	emit(counter, "sluice_token_cache_misses_total", "Tokens not found there.", float64(a.CacheMisses))
	emit(counter, "sluice_tokens_refused_total", "Tokens refused.", float64(a.VerificationsFailed))
	emit(gauge, "sluice_revocations", "Revoked tokens that are remembered.", float64(a.Revocations))
}
