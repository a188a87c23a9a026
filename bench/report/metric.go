package report

// The metrics of samples, by the names they have in a run's file.
const (
	DeliveriesPerCPU = "deliveries_per_cpu_second"
	Deliveries       = "deliveries_per_second"
	Publishes        = "publishes_per_second"
	PublishesPerCPU  = "publishes_per_cpu_second"
	CPUPerPublish    = "cpu_us_per_publish"
	LatencyP50       = "latency_p50_ms"
	LatencyP99       = "latency_p99_ms"
	AnswerP50        = "answer_p50_ms"
	AnswerP99        = "answer_p99_ms"
	ServerCPU        = "server_cpu_percent"
	ClientBusy       = "client_busy_percent"
	BytesPerStream   = "rss_bytes_per_stream"
	BytesPerConn     = "rss_bytes_per_connection"
	BytesPerFurther  = "rss_bytes_per_further_stream"
	AnonPerStream    = "anon_bytes_per_stream"
	RSSBefore        = "rss_before_mib"
	RSS              = "rss_mib"
	CaughtUp         = "caught_up_ms"
	CPUToCatchUp     = "cpu_ms_to_catch_up"
	CPUToJoin        = "cpu_ms_to_join"
	CPUPerPiece      = "cpu_us_per_piece"
	Resumed          = "resumed_percent"
	WirePerDelivery  = "wire_bytes_per_delivery"
	WirePerPiece     = "wire_bytes_per_piece"
	WirePerStream    = "wire_bytes_per_stream"
	WholeAfter       = "whole_after_ms"
	PeakRSS          = "peak_rss_mib"
	RSSPerByte       = "rss_bytes_per_text_byte"
	DiskPerByte      = "disk_bytes_per_text_byte"
	WrittenPerByte   = "written_bytes_per_text_byte"
	PiecesPerChunk   = "pieces_per_chunk"
	PublishTook      = "publish_s"
)

// metric says how values of a name are shown.
type metric struct {
	name    string
	title   string
	smaller bool // is better
}

// metrics returns how each metric is shown.
func metrics() map[string]metric {
	byName := map[string]metric{}
	for _, m := range []metric{
		{DeliveriesPerCPU, "deliveries a CPU second", false},
		{Deliveries, "deliveries/s", false},
		{Publishes, "publishes/s", false},
		{PublishesPerCPU, "publishes a CPU second", false},
		{CPUPerPublish, "CPU a publish, µs", true},
		{LatencyP50, "latency p50, ms", true},
		{LatencyP99, "latency p99, ms", true},
		{AnswerP50, "answer p50, ms", true},
		{AnswerP99, "answer p99, ms", true},
		{ServerCPU, "server CPU, %", true},
		{ClientBusy, "client busy, %", true},
		{BytesPerStream, "RSS a stream, bytes", true},
		{BytesPerConn, "RSS a connection with one stream, bytes", true},
		{BytesPerFurther, "RSS a further stream, bytes", true},
		{AnonPerStream, "anonymous, bytes", true},
		{RSSBefore, "RSS before, MiB", true},
		{RSS, "RSS, MiB", true},
		{CaughtUp, "all caught up after, ms", true},
		{CPUToCatchUp, "server CPU to catch up, ms", true},
		{CPUToJoin, "server CPU to join, ms", true},
		{CPUPerPiece, "server CPU a token, µs", true},
		{Resumed, "TLS sessions resumed, %", false},
		{WirePerDelivery, "wire a delivery, bytes", true},
		{WirePerPiece, "wire a token, bytes", true},
		{WirePerStream, "wire a stream, bytes", true},
		{WholeAfter, "all have it whole after, ms", true},
		{PeakRSS, "peak RSS, MiB", true},
		{RSSPerByte, "RSS a byte of text, bytes", true},
		{DiskPerByte, "to disk a byte of text, bytes", true},
		{WrittenPerByte, "written by calls a byte of text, bytes", true},
		{PiecesPerChunk, "tokens a chunk", false},
		{PublishTook, "published in, s", true},
	} {
		byName[m.name] = m
	}
	return byName
}
