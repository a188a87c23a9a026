package report

import (
	"slices"
	"strings"
)

// Scenario says what a scenario is and how its samples are shown.
type Scenario struct {
	Name  string
	Title string
	What  string // one paragraph of Markdown
	// Metrics are the columns; the first is what ratios and plots are of.
	Metrics []string
	// Against are the servers that ratios are to, beside the best peer.
	Against []string
	// Growth, if not empty, names the number that cases differ in, and makes the plot one
	// of the metric over it.
	Growth string
}

// OverTLS is what the name of a scenario over TLS ends with.
const OverTLS = "-tls"

// Scenarios returns all scenarios in the order of the report.
func Scenarios() []Scenario {
	return slices.Concat(plainScenarios(), secureScenarios(), growthScenarios(), textScenarios(), presenceScenarios())
}

// floors are the servers without TLS that others are compared with.
func floors() []string { return []string{"floor-1ms", "floor-coalesce"} }

// fanOut returns what is shown where messages go to many readers.
func fanOut() []string {
	return []string{DeliveriesPerCPU, Deliveries, Publishes, LatencyP50, LatencyP99, AnswerP50, AnswerP99, ServerCPU, ClientBusy}
}

// plainScenarios returns the scenarios that most servers take part in.
func plainScenarios() []Scenario {
	return []Scenario{
		{
			Name: "A", Title: "One channel, 1,000 readers", Metrics: fanOut(), Against: floors(),
			What: "Four publishers. Each sends its next message of 200 bytes when the last one is answered (a closed loop).",
		},
		{
			Name: "A16", Title: "One channel, 1,000 readers, 16 publishers", Metrics: fanOut(), Against: floors(),
			What: "The same, with 16 publishers.",
		},
		{
			Name: "B", Title: "One channel, 10,000 readers", Metrics: fanOut(), Against: floors(),
			What: "Four publishers in a closed loop, with messages of 200 bytes.",
		},
		{
			Name: "C", Title: "1,000 channels, 10 readers each", Metrics: fanOut(), Against: floors(),
			What: "Four publishers in a closed loop. Each publishes to all channels in turn.",
		},
		{
			Name: "D", Title: "Idle streams", Against: floors(),
			Metrics: []string{BytesPerStream, AnonPerStream, RSSBefore, RSS},
			What:    "The resident memory of the server is taken before the first stream, and again five seconds after the last stream has opened. The figure is the difference, divided by the number of streams. It does not include the memory that the kernel holds for sockets. Anonymous memory is what the program has allocated, without the pages of its executable.",
		},
		{
			Name: "D-http2", Title: "Idle streams over HTTP/2",
			Metrics: []string{BytesPerConn, BytesPerFurther, RSSBefore, RSS},
			What:    "2,000 connections over TLS with HTTP/2. The resident memory of the server is taken five seconds after each has one stream, and again five seconds after each has ten.",
		},
		{
			Name: "E", Title: "100 messages a second to 1,000 readers", Against: floors(),
			Metrics: []string{LatencyP50, LatencyP99, ServerCPU, ClientBusy},
			What:    "An open loop: messages are due at fixed times, even when an answer is late. Latency counts from that time until a reader has read the message. The one client serves all readers in turn, which adds to the latency; a floor shows how much.",
		},
		{
			Name: "F", Title: "Publishing to nobody", Against: []string{"floor-lean", "bare"},
			Metrics: []string{PublishesPerCPU, Publishes, AnswerP50, AnswerP99, ServerCPU, ClientBusy},
			What:    "There is no reader. `single`: four publishers in a closed loop, with one request per message. `lines`: four connections, each with one endless request, one message per line, and up to 256 lines unanswered. `floor-lean` parses the request, appends the message and answers, in a goroutine for each connection, and does nothing else. `bare` is a net/http handler that only reads the body and answers, and shows what net/http itself costs.",
		},
		{
			Name: "G", Title: "5,000 readers come back at once", Against: floors(),
			Metrics: []string{CPUToCatchUp, CaughtUp, ClientBusy},
			What:    "All streams of a channel are cut, and 50 messages are published. Then all readers reconnect with their last id, on Sluice each with its own token. The figure is the processor time that the server takes until every reader has all 50. `nethttp-replay` is `nethttp` with ids, and keeps the last 256 messages of a channel.",
		},
	}
}

// secureScenarios returns the scenarios over TLS.
func secureScenarios() []Scenario {
	secure := []string{SluiceName, "floor-1ms-tls", "floor-coalesce-tls"}
	return []Scenario{
		{
			Name: "A" + OverTLS, Title: "One channel, 1,000 readers, over TLS 1.3", Against: secure,
			Metrics: append(fanOut(), WirePerDelivery),
			What:    "The same as A, over TLS 1.3 and HTTP/1.1. The floors seal a record for each write and do nothing else, which is the least that sealing costs. `sluice` is without TLS, for comparison. Wire bytes are all that the readers' sockets give.",
		},
		{
			Name: "D" + OverTLS, Title: "Idle streams over TLS 1.3", Against: secure,
			Metrics: []string{BytesPerStream, AnonPerStream, RSSBefore, RSS},
			What:    "The same as D, over TLS 1.3 and HTTP/1.1. `sluice` is without TLS.",
		},
		{
			Name: "E" + OverTLS, Title: "100 messages a second to 1,000 readers, over TLS 1.3", Against: secure,
			Metrics: []string{LatencyP50, LatencyP99, ServerCPU, ClientBusy, WirePerDelivery},
			What:    "The same as E, over TLS 1.3 and HTTP/1.1. `sluice` is without TLS.",
		},
		{
			Name: "G" + OverTLS, Title: "5,000 readers come back at once, over TLS 1.3", Against: append(secure, "nethttp-replay-tls"),
			Metrics: []string{CPUToCatchUp, CaughtUp, Resumed, ClientBusy},
			What:    "The same as G, over TLS 1.3 and HTTP/1.1. Each reader resumes its TLS session. The client makes one handshake at a time, so the time until all have caught up depends more on the client than on the server. `sluice` is without TLS.",
		},
	}
}

// growthScenarios returns the scenarios in which a number grows.
func growthScenarios() []Scenario {
	return []Scenario{
		{
			Name: "H-readers", Title: "Growth: readers", Against: floors(), Growth: "readers of one channel",
			Metrics: []string{DeliveriesPerCPU, BytesPerStream, LatencyP50, LatencyP99, ClientBusy},
			What:    "The same as A, with more and more readers and a new process for each size. Memory is taken one second after the last stream has opened, before the first message.",
		},
		{
			Name: "H-channels", Title: "Growth: channels", Growth: "channels",
			Metrics: []string{CPUPerPublish, PublishesPerCPU, RSS, ClientBusy},
			What:    "Lines are published to this many channels in turn, without readers. Sluice runs with `--memory 4GiB --max-channels 1100000 --replay-messages 1`, so every channel keeps its message.",
		},
		{
			Name: "H-stored", Title: "Growth: stored messages", Growth: "stored messages",
			Metrics: []string{CPUPerPublish, PublishesPerCPU, RSS, ClientBusy},
			What:    "Lines are published to 4,000 channels in turn, without readers. Each channel already holds as many messages as `--replay-messages` allows, and Sluice runs with `--memory 4GiB`.",
		},
	}
}

// textScenarios returns the scenarios with texts.
func textScenarios() []Scenario {
	return []Scenario{
		{
			Name: "T", Title: "200 texts of 30 tokens a second",
			Metrics: []string{CPUPerPiece, WirePerPiece, LatencyP50, LatencyP99, Deliveries, ServerCPU, ClientBusy},
			What:    "200 publishers each stream one text, in one request with a chunk for each token of 8 bytes, in an open loop. Each text has one reader. Wire bytes are those of the body of the reader's answer. Latency counts from the time at which a token was due until the reader has read it. Only Sluice is measured.",
		},
		{
			Name: "T2", Title: "5,000 readers come in the middle of a text",
			Metrics: []string{WholeAfter, CPUToCatchUp, PeakRSS, RSSBefore, ClientBusy},
			What:    "One text has 1,000 tokens of 8 bytes. When it has 500, all readers come, with `replay=all`. Meanwhile the text grows by 1,000 tokens a second. The figure is the time from the first connect until every reader has the whole text.",
		},
		{
			Name: "U", Title: "What it costs to keep texts",
			Metrics: []string{RSSPerByte, DiskPerByte, WrittenPerByte, PiecesPerChunk, CPUPerPiece, PublishTook, ServerCPU},
			What:    "Texts of 60,000 bytes in 7,500 pieces of random letters, to nobody. `at once`: 1,000 texts, as fast as the server takes them. `paced`: 100 texts of 125 pieces a second each, for a minute. Memory is the resident memory of the server ten seconds after the last text has ended, less that of the empty server. What is written to the disk is `write_bytes` of `/proc/PID/io`, what is written by calls is `wchar`: of Sluice, or of the `nats-server`.",
		},
	}
}

// presenceScenarios returns the scenario with presence.
func presenceScenarios() []Scenario {
	return []Scenario{{
		Name: "P", Title: "10,000 readers of a channel with presence",
		Metrics: []string{CPUToJoin, BytesPerStream, AnonPerStream, WirePerStream, RSSBefore, RSS, ClientBusy},
		What:    "10,000 streams of one channel open one after the other, each with a token and a subject of its own, and stay idle. `nobody follows`: presence is not tracked. `one follows`: one more stream asks for `$presence` before the others come. `all follow`: each stream asks for the messages and for `$presence`. The figure is the processor time that the server takes from the first connect until three seconds after the last. Most of it is the checking of tokens, which is the same in all cases. Wire bytes are all that the readers' sockets give. Memory is taken as in D, and includes what the server keeps of the tokens. Only Sluice is measured.",
	}}
}

// Select returns the names of the scenarios that a list names: H, of which there is none, is
// all of H-…, and "all" or nothing is every one. It also returns the names in the list that are none.
func Select(list []string) (names, unknown []string) {
	wanted := map[string]bool{}
	for _, word := range list {
		exact := slices.ContainsFunc(Scenarios(), func(s Scenario) bool { return strings.EqualFold(s.Name, word) })
		found := false
		for _, s := range Scenarios() {
			group := !exact && strings.HasPrefix(s.Name, strings.ToUpper(word)+"-")
			if word == "all" || strings.EqualFold(s.Name, word) || group {
				wanted[s.Name], found = true, true
			}
		}
		if !found {
			unknown = append(unknown, word)
		}
	}
	for _, s := range Scenarios() {
		if len(list) == 0 || wanted[s.Name] {
			names = append(names, s.Name)
		}
	}
	return names, unknown
}
