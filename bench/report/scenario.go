package report

import "strings"

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

// Scenarios returns all scenarios in the order of the report.
func Scenarios() []Scenario {
	floors := []string{"floor-1ms", "floor-coalesce"}
	fanout := []string{DeliveriesPerCPU, Deliveries, Publishes, LatencyP50, LatencyP99, AnswerP50, AnswerP99, ServerCPU, ClientBusy}
	return []Scenario{
		{
			Name: "A", Title: "One channel, 1,000 readers", Metrics: fanout, Against: floors,
			What: "Four publishers, each sending its next message of 200 bytes when the last is answered (a closed loop).",
		},
		{
			Name: "A16", Title: "One channel, 1,000 readers, 16 publishers", Metrics: fanout, Against: floors,
			What: "As above, with 16 publishers.",
		},
		{
			Name: "B", Title: "One channel, 10,000 readers", Metrics: fanout, Against: floors,
			What: "Four publishers in a closed loop, messages of 200 bytes.",
		},
		{
			Name: "C", Title: "1,000 channels, 10 readers each", Metrics: fanout, Against: floors,
			What: "Four publishers in a closed loop, each going round all channels.",
		},
		{
			Name: "D", Title: "Idle streams", Against: floors,
			Metrics: []string{BytesPerStream, AnonPerStream, RSSBefore, RSS},
			What:    "Resident memory of the server before the first stream and with all of them open, five seconds after the last has opened; the difference, divided by the streams. Memory that the kernel holds for sockets is in neither. Anonymous memory is what the program has allocated, without the pages of its file.",
		},
		{
			Name: "E", Title: "100 messages a second to 1,000 readers", Against: floors,
			Metrics: []string{LatencyP50, LatencyP99, ServerCPU, ClientBusy},
			What:    "An open loop: messages are due at fixed times, also when an answer is late, and latency counts from then to the reading by each of the readers. The one client reads all of them one after the other, which is part of it: a floor shows how much.",
		},
		{
			Name: "F", Title: "Publishing to nobody", Against: []string{"bare"},
			Metrics: []string{PublishesPerCPU, Publishes, AnswerP50, AnswerP99, ServerCPU, ClientBusy},
			What:    "No reader. `single`: four publishers in a closed loop, a request a message. `lines`: four connections, each with one request that never ends, a message a line and up to 256 lines unanswered. `bare` is a net/http handler that reads the body and answers: what HTTP itself costs.",
		},
		{
			Name: "G", Title: "5,000 readers come back at once", Against: floors,
			Metrics: []string{CaughtUp, CPUToCatchUp, ClientBusy},
			What:    "All streams of a channel are cut, 50 messages are published, then all come back with the id they had last, on Sluice each with a token of its own. Until every reader has all 50.",
		},
		{
			Name: "H-readers", Title: "Growth: readers", Against: floors, Growth: "readers of one channel",
			Metrics: []string{DeliveriesPerCPU, BytesPerStream, LatencyP50, LatencyP99, ClientBusy},
			What:    "As A with more and more readers, a new process for each size. Memory is taken a second after the last stream has opened, before the first message.",
		},
		{
			Name: "H-channels", Title: "Growth: channels", Growth: "channels",
			Metrics: []string{CPUPerPublish, PublishesPerCPU, RSS, ClientBusy},
			What:    "Lines published to so many channels in turn, each of which holds messages, without readers. Sluice is given `--memory 4GiB --max-channels 1100000 --replay-messages 1`, so that all are kept.",
		},
		{
			Name: "H-stored", Title: "Growth: stored messages", Growth: "stored messages",
			Metrics: []string{CPUPerPublish, PublishesPerCPU, RSS, ClientBusy},
			What:    "Lines published to 4,000 channels in turn, without readers, when each holds as many messages as it may (`--replay-messages`), with `--memory 4GiB`.",
		},
	}
}

// Select returns the names of the scenarios that a list names: H is all of H-…, and "all" or
// nothing is every one. It also returns the names in the list that are none.
func Select(list []string) (names, unknown []string) {
	wanted := map[string]bool{}
	for _, word := range list {
		found := false
		for _, s := range Scenarios() {
			if word == "all" || strings.EqualFold(s.Name, word) || strings.HasPrefix(s.Name, strings.ToUpper(word)+"-") {
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
