package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/internal/histogram"
	"github.com/sluicehq/sluice/internal/ratelimit"
	"github.com/sluicehq/sluice/internal/strictjson"
	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
)

// metrics counts requests and streams. Labels come from fixed sets: routes, statuses,
// problems, close reasons, and the names of API keys in the operator's file; never a channel, a
// topic or a subject.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	problems *prometheus.CounterVec
	streams  *prometheus.CounterVec
	refusals *prometheus.CounterVec
	limits   *prometheus.CounterVec
	open     [carriages]prometheus.Gauge

	// The same as problems and refusals, for [system.Requests].
	clientErrors, serverErrors, refused atomic.Int64
}

// carriage is how a stream gets to its client: by what it is written, and over which
// protocol.
type carriage uint8

const (
	portable carriage = iota // net/http, one goroutine each
	portableHTTP2
	onLoop
	onTLSLoop
	carriages // how many there are
)

// labels are the labels of each carriage: path and protocol.
var labels = [carriages][2]string{
	portable: {"portable", "http/1"}, portableHTTP2: {"portable", "http/2"}, onLoop: {"loop", "http/1"}, onTLSLoop: {"tls_loop", "http/1"},
}

// limit names the limit that an error is about: the setting, where there is one.
type limit struct {
	err  error
	name string
}

// limits has all of them but those of [broker.StreamLimitError] and [ratelimit.Error], which
// name their own.
var limits = [...]limit{
	{errDescriptors, "descriptors"},
	{auth.ErrTooManyRevocations, "max_revocations"},
	{schemas.ErrTooManyDefinitions, "definitions"},
	{schemas.ErrTooMuchWork, "schema_work"},
	{strictjson.ErrTooDeep, "json_depth"},
	{engine.ErrTooLarge, "max_message_bytes"},
	{ErrTooLarge, "body_bytes"},
	{broker.ErrTooManyChannels, "max_channels"},
	{broker.ErrTooManyInStream, "max_channels_per_stream"},
	{broker.ErrBusy, "backlog"},
}

// limitOf returns the limit that err is about, "" if none.
func limitOf(err error) string {
	var streams *broker.StreamLimitError
	if errors.As(err, &streams) {
		return streams.Limit
	}
	var rate *ratelimit.Error
	if errors.As(err, &rate) {
		return rate.Setting()
	}
	for _, l := range limits {
		if errors.Is(err, l.err) {
			return l.name
		}
	}
	return ""
}

func newMetrics(o Options) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_http_request_seconds", Help: "Time to answer a request, except streams.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2.5},
		}, []string{"route"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_problems_total", Help: "Requests and batch items answered with a problem.",
		}, []string{"problem"}),
		streams: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_streams_finished_total", Help: "Streams that have ended, by reason.",
		}, []string{"reason"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_streams_refused_total", Help: "Streams refused for now, by reason.",
		}, []string{"reason"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_limit_refusals_total", Help: "Requests, streams and batch items refused because of a limit.",
		}, []string{"limit"}),
	}
	open := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sluice_streams_by_path", Help: "Open streams by what writes them, and by the protocol that they are written to.",
	}, []string{"path", "protocol"})
	for by := range m.open {
		m.open[by] = open.WithLabelValues(labels[by][0], labels[by][1])
	}
	m.registry.MustRegister(
		m.requests, m.seconds, m.problems, m.streams, m.refusals, m.limits, open,
		&gauges{broker: o.Broker, auth: o.Auth, presence: o.Presence, connections: o.Connections, limits: o.Limits},
		webhookFigures{o.Webhooks},
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_log_lines_lost_total", Help: "Log lines dropped because their reader was gone or too slow.",
		}, func() float64 { return float64(o.LogLost()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_spans_sent_total", Help: "Spans of OpenTelemetry that the collector has taken.",
		}, func() float64 { return float64(o.Tracer.Stats().Sent) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_spans_dropped_total", Help: "Spans of OpenTelemetry dropped because the collector did not take them in time.",
		}, func() float64 { return float64(o.Tracer.Stats().Dropped) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, e := range broker.CloseReasons() {
		m.streams.WithLabelValues(e.Reason)
	}
	for _, s := range specs {
		m.problems.WithLabelValues(string(s.kind))
	}
	for _, name := range slices.Concat(broker.StreamLimits(), ratelimit.Settings()) {
		m.limits.WithLabelValues(name)
	}
	for _, l := range limits {
		m.limits.WithLabelValues(l.name)
	}
	return m
}

// request counts one request.
func (m *metrics) request(x exchange, r *requestInfo) {
	if !slices.Contains(methods, x.method) {
		x.method = "other" // a client may send any method
	}
	m.requests.WithLabelValues(x.route, x.method, strconv.Itoa(x.status)).Inc()
	if !r.stream {
		m.seconds.WithLabelValues(x.route).Observe(x.took.Seconds())
	}
	if r.problem != "" {
		m.problem(r.problem, r.cause)
	}
}

// methods are the methods that are counted by name.
var methods = []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"}

// problem counts an answer with a problem, and the limit that was its cause.
func (m *metrics) problem(k kind, cause error) {
	m.problems.WithLabelValues(string(k)).Inc()
	if k.spec().status >= http.StatusInternalServerError {
		m.serverErrors.Add(1)
	} else {
		m.clientErrors.Add(1)
	}
	m.limited(cause)
}

// turnedAway counts a stream that was refused for now, and the limit that was the cause.
func (m *metrics) turnedAway(e broker.CloseReason, cause error) {
	m.refusals.WithLabelValues(e.Reason).Inc()
	m.refused.Add(1)
	m.limited(cause)
}

func (m *metrics) limited(cause error) {
	if name := limitOf(cause); name != "" {
		m.limits.WithLabelValues(name).Inc()
	}
}

// carried counts a stream that has begun, with 1, or one that is over, with -1.
func (m *metrics) carried(by carriage, n float64) { m.open[by].Add(n) }

func (m *metrics) streamed(e broker.CloseReason) { m.streams.WithLabelValues(e.Reason).Inc() }

// serveMetrics answers GET /metrics.
func (a *api) serveMetrics(c echo.Context) error {
	promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(c.Response(), c.Request())
	return nil
}

// second is a second in nanoseconds.
const second = float64(time.Second)

// gauges collects the figures of the broker and of auth at each scrape.
type gauges struct {
	broker      *broker.Broker
	auth        *auth.Authority
	presence    *presence.Registry
	connections func() ConnectionStats
	limits      *ratelimit.Limits // nil: none
}

// Describe implements [prometheus.Collector]. The collector is unchecked, so that Collect
// is the only list of its metrics.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	b, a, c := g.broker.Stats(), g.auth.Stats(), g.connections()
	labelled := []string{"reason"}
	emit := func(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
		names := labelled[:len(labels)]
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, labels...)
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	spread(ch, &b)
	emit(gauge, "sluice_streams_lagging", "Open streams that are behind because their clients accepted nothing at their turn.", float64(b.Lagging))
	emit(gauge, "sluice_channels", "Channels.", float64(b.Channels))
	emit(gauge, "sluice_streams", "Open streams.", float64(b.Streams))
	emit(gauge, "sluice_ring_bytes", "Bytes in the replay buffers of all channels.", float64(b.LogBytes))
	emit(counter, "sluice_published_messages_total", "Messages published.", float64(b.Published))
	emit(counter, "sluice_delivered_messages_total", "Messages written to streams.", float64(b.Delivered))
	emit(counter, "sluice_delivered_bytes_total", "Bytes written to streams.", float64(b.DeliveredBytes))
	emit(counter, "sluice_publish_waits_total", "Publishes that waited because the delivery backlog was full.", float64(b.Waits))
	emit(counter, "sluice_replayed_publishes_total", "Durable publishes answered with the first receipt.", float64(b.Replayed))
	emit(gauge, "sluice_remembered_publishes", "Remembered durable publishes and records of texts.", float64(b.Remembered))
	emit(gauge, "sluice_remembered_bytes", "Bytes of remembered publishes.", float64(b.RememberedBytes))
	emit(counter, "sluice_forgotten_publishes_total", "Durable publishes forgotten early because memory was full.", float64(b.ForgottenEarly))
	emit(counter, "sluice_evictions_total", "Times that a channel lost messages because memory or the number of channels reached its limit.", float64(b.Evicted))
	emit(gauge, "sluice_kept_bytes", "Bytes of messages that the engine stores.", float64(b.KeptBytes))
	emit(counter, "sluice_dropped_messages_total", "Messages dropped early because all together exceeded their limit.", float64(b.Dropped))
	emit(counter, "sluice_commits_total", "Groups of messages that the engine has written together.", float64(b.Commits))
	emit(counter, "sluice_syncs_total", "Times that the journal was synced to disk.", float64(b.Syncs))
	emit(counter, "sluice_repaired_messages_total", "Messages that live delivery between nodes missed and that were fetched later.", float64(b.Repaired))
	for reason, n := range b.Gaps {
		emit(counter, "sluice_gaps_total", "Gaps reported to streams.", float64(n), reason)
	}
	p := g.presence.Stats()
	emit(gauge, "sluice_presence_members", "Subjects in channels whose readers are tracked, on all nodes. 0 while nobody asks for presence.", float64(p.Members))
	emit(gauge, "sluice_presence_followers", "Channels whose presence open streams of this node follow.", float64(p.Followers))
	emit(gauge, "sluice_presence_nodes", "Other nodes that have reported their readers recently.", float64(p.Nodes))
	emit(counter, "sluice_accept_failures_total", "Times that a connection could not be accepted because descriptors had run out.", float64(c.AcceptFailures))
	emit(counter, "sluice_shed_connections_total", "Idle connections closed because descriptors were running out.", float64(c.Shed))
	emit(counter, "sluice_token_cache_hits_total", "Tokens found in the cache of verified tokens.", float64(a.CacheHits))
	emit(counter, "sluice_token_cache_misses_total", "Tokens not found in the cache of verified tokens.", float64(a.CacheMisses))
	emit(counter, "sluice_tokens_refused_total", "Tokens refused.", float64(a.VerificationsFailed))
	emit(gauge, "sluice_revocations", "Remembered revoked tokens.", float64(a.Revocations))
	labelled = []string{"key"}
	for name, n := range a.KeyRequests {
		emit(counter, "sluice_api_key_requests_total", "Requests with an API key of the file, by its name.", float64(n), name)
	}
	for _, l := range g.limits.Stats() {
		labelled = []string{"limit"}
		limit := l.Kind.String()
		emit(gauge, "sluice_rate_limit_callers", "Callers that a rate limit remembers.", float64(l.Callers), limit)
		emit(counter, "sluice_rate_limit_forgotten_total", "Callers that a rate limit forgot too early, because there were too many.", float64(l.Forgotten), limit)
		labelled = []string{"limit", "unit"}
		for unit := range l.Delayed {
			name := ratelimit.Unit(unit).String()
			emit(counter, "sluice_rate_delayed_total", "Times that a rate limit slowed down a streamed body.", float64(l.Delayed[unit]), limit, name)
		}
	}
}

// spread collects the histograms.
func spread(ch chan<- prometheus.Metric, b *broker.Stats) {
	emit := func(name, help string, s histogram.Snapshot, unit float64, labels ...string) {
		var names []string
		if len(labels) > 0 {
			names = []string{"publish"}
		}
		buckets, below := make(map[float64]uint64, len(s.Bounds)), uint64(0)
		for i, bound := range s.Bounds {
			below += s.Counts[i]
			buckets[float64(bound)/unit] = below
		}
		ch <- prometheus.MustNewConstHistogram(prometheus.NewDesc(name, help, names, nil), s.Count(), float64(s.Sum)/unit, buckets, labels...)
	}
	emit("sluice_delivery_seconds", "Time from a publish until a reader that keeps up was written the message. Some deliveries are measured.", b.Delivery, second)
	emit("sluice_reader_behind_messages", "Messages that a reader had yet to be offered at its turn. Some turns are measured.", b.Behind, 1)
	emit("sluice_engine_append_seconds", "Time that the engine took to store a message, or to fail.", b.Appends, second, "ordinary")
	emit("sluice_engine_append_seconds", "Time that the engine took to store a message, or to fail.", b.DurableAppends, second, "durable")
	emit("sluice_sync_seconds", "Time that a sync of the journal took.", b.SyncTimes, second)
}
