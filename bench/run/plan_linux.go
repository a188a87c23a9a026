package run

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/peers"
	"github.com/sluicehq/sluice/bench/report"
)

// plan is one case of a scenario: what is done to each server.
type plan struct {
	scenario   string
	name       string // of the case
	x          float64
	kind       kind
	readers    int
	channels   int
	publishers int
	perSecond  int   // of an open loop; 0 is a closed one
	sizes      []int // numbers of idle streams, one after the other
	fill       int   // lines to publish before measuring
	flags      []string
	query      string        // of the readers of texts, and of those that are told of presence
	followers  int           // streams that follow the presence of the channel, and do not read it
	pieces     int           // of each text
	engine     engineKind    // that keeps the texts
	rest       time.Duration // until the server has tidied up after them
	times      int           // rounds, unless a number is asked for; 0 is [defaultRounds]
	who        func(peers.Peer) bool
}

// kind is how a plan is carried out.
type kind int

const (
	fanOut kind = iota
	idle
	storm
	requests
	lines
	texts
	textStorm
	textCost
	multiplexed
	presence
)

// engineKind is what Sluice keeps messages with.
type engineKind int

const (
	inMemory engineKind = iota
	onDisk
	inNATS
)

const (
	linesWindow = 256
	// storedChannels is how many channels share the stored messages.
	storedChannels = 4000
	// defaultRounds and fewRounds are how often servers are measured when nobody says
	// how often: few where a round takes long and rounds hardly differ.
	defaultRounds = 5
	fewRounds     = 3
)

// plans returns all cases with numbers scaled.
func plans(scale float64) []plan {
	n := func(v int) int { return max(1, int(math.Round(float64(v)*scale))) }
	all := []plan{
		{scenario: "A", readers: n(1000), channels: 1, publishers: 4},
		{scenario: "A16", readers: n(1000), channels: 1, publishers: 16},
		{scenario: "B", readers: n(10000), channels: 1, publishers: 4},
		{scenario: "C", readers: n(10000), channels: n(1000), publishers: 4},
		{scenario: "D", kind: idle, sizes: []int{n(10000), n(19000)}, channels: 1, times: fewRounds},
		{scenario: "D-http2", kind: multiplexed, readers: n(2000), channels: 1, times: fewRounds},
		{scenario: "E", readers: n(1000), channels: 1, publishers: 4, perSecond: 100},
		{scenario: "F", name: "single", kind: requests, channels: 1, publishers: 4, who: publishes},
		{scenario: "F", name: "lines", kind: lines, channels: 1, publishers: 4, who: isSluice},
		{scenario: "G", kind: storm, readers: n(5000), channels: 1, publishers: 1, who: func(p peers.Peer) bool { return p.Resume }},
	}
	for _, readers := range []int{1000, 2000, 5000, 10000, 19000} {
		all = append(all, plan{
			scenario: "H-readers", readers: n(readers), x: float64(n(readers)), channels: 1, publishers: 4,
			who: func(p peers.Peer) bool { return isSluice(p) || p.Name == "floor-1ms" || p.Name == "nethttp" },
		})
	}
	for _, channels := range []int{1, 1000, 100_000, 1_000_000} {
		all = append(all, plan{
			scenario: "H-channels", kind: lines, channels: n(channels), x: float64(n(channels)), fill: n(channels),
			publishers: 1, times: fewRounds, who: isSluice,
			flags: []string{"--memory", "4GiB", "--max-channels", "1100000", "--replay-messages", "1"},
		})
	}
	for _, each := range []int{1, 16, 256} {
		stored := n(storedChannels) * each
		all = append(all, plan{
			scenario: "H-stored", kind: lines, channels: n(storedChannels), x: float64(stored), fill: stored,
			publishers: 1, times: fewRounds, who: isSluice,
			flags: []string{"--memory", "4GiB", "--replay-messages", strconv.Itoa(each)},
		})
	}
	for _, p := range all {
		if slices.Contains([]string{"A", "D", "E", "G"}, p.scenario) {
			p.scenario += report.OverTLS
			p.sizes = p.sizes[:min(len(p.sizes), 1)]
			all = append(all, p)
		}
	}
	all = append(append(all, textPlans(n)...), presencePlans(n)...)
	for i := range all {
		if all[i].x > 0 {
			all[i].name = report.Whole(all[i].x)
		}
	}
	return all
}

// rounds returns how often each server is measured, when so many rounds were asked for.
func (p plan) rounds(asked int) int {
	switch {
	case asked > 0:
		return asked
	case p.times > 0:
		return p.times
	default:
		return defaultRounds
	}
}

// takes tells whether a plan is for a peer.
func (p plan) takes(peer peers.Peer) bool {
	if p.kind == multiplexed {
		return peer.HTTP2
	}
	// Over TLS, Sluice is measured without it as well: to be compared with.
	secure := strings.HasSuffix(p.scenario, report.OverTLS)
	if peer.Secure && !secure || secure && !peer.Secure && !isSluice(peer) {
		return false
	}
	if peer.Returns && p.kind != storm {
		return false
	}
	if peer.Name == report.SluiceName+"-portable" && !slices.Contains([]string{"A", "D", "E"}, p.scenario) {
		return false
	}
	if p.who != nil {
		return p.who(peer)
	}
	return peer.Subscribe != nil && (peer.Shared || p.channels == 1)
}

func isSluice(p peers.Peer) bool { return p.Name == report.SluiceName }

// ofSluice tells whether a peer is Sluice in one of its forms.
func ofSluice(p peers.Peer) bool {
	return isSluice(p) || strings.HasPrefix(p.Name, report.SluiceName+"-")
}

// publishes tells whether a peer is measured where nobody reads: the floors that write are
// not.
func publishes(p peers.Peer) bool { return !p.Floor || p.Subscribe == nil }
