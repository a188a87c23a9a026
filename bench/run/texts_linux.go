package run

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/report"
)

const (
	tokensPerSecond = 30 // of each text, as a model writes
	stormPerSecond  = 1000
	textLimit       = 5 * time.Minute // for what is published as fast as the server takes it
)

// textPlans returns the cases of the scenarios with texts, with numbers scaled by n.
func textPlans(n func(int) int) []plan {
	all := []plan{
		{scenario: "T", name: "default", kind: texts, readers: n(200), channels: n(200)},
		{scenario: "T", name: "envelope=none", kind: texts, readers: n(200), channels: n(200), query: "&envelope=none"},
		{scenario: "T2", kind: textStorm, readers: n(5000), channels: 1, pieces: n(1000), query: "&replay=all"},
	}
	for _, kept := range []struct {
		engine engineKind
		name   string
	}{{inMemory, "memory"}, {onDisk, "disk"}, {inNATS, "NATS"}} {
		for _, p := range []plan{
			{name: kept.name + ", at once", channels: n(1000), pieces: n(7500)},
			{name: kept.name + ", paced", channels: n(100), pieces: n(7500), perSecond: costPerSecond},
		} {
			p.scenario, p.kind, p.engine, p.times = "U", textCost, kept.engine, 1
			p.rest = time.Duration(n(10_000)) * time.Millisecond
			all = append(all, p)
		}
	}
	for i := range all {
		all[i].who = isSluice
	}
	return all
}

// addTexts begins a text in each channel.
func (t *trial) addTexts(token func(b []byte, n uint32) []byte) error {
	for i := range t.plan.channels {
		head := fmt.Appendf(nil, "POST /v1/publish/%s/t/stream HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n",
			channel(i), t.server.addr, apiKey)
		if err := t.client.AddText(load.Text{Request: head, Token: token}); err != nil {
			return err
		}
	}
	return nil
}

// readTexts opens n more readers of the texts, spread over the channels.
func (t *trial) readTexts(n int, all bool) error {
	return t.client.Subscribe(n, func(reader int) load.Stream {
		i := reader % t.plan.channels
		request := fmt.Appendf(nil, "GET /v1/subscribe?channel=%s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n",
			channel(i), t.plan.query, t.server.addr, apiKey)
		return load.Stream{Request: request, Channel: i, Text: true, All: all}
	})
}

// texts publishes a text to each reader, token by token.
func (t *trial) texts() (map[string]float64, error) {
	if err := t.readTexts(t.plan.readers, false); err != nil {
		return nil, err
	}
	if err := t.client.Run(settle); err != nil {
		return nil, err
	}
	if err := t.addTexts(load.AppendToken); err != nil {
		return nil, err
	}
	w, err := t.window(func() error { return t.client.StartTexts(tokensPerSecond, 1<<40) })
	if err != nil {
		return nil, err
	}
	if err := t.endTexts(); err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	w.deliveries(metrics)
	if n := float64(w.counts.Delivered); n > 0 {
		metrics[report.CPUPerPiece] = float64(w.server.Microseconds()) / n
		metrics[report.WirePerPiece] = float64(w.counts.Read) / n
	}
	return metrics, nil
}

// endTexts ends the texts when every reader has all of its text.
func (t *trial) endTexts() error {
	if err := t.client.StopTexts(); err != nil {
		return err
	}
	if _, err := t.client.Drain(drainLimit); err != nil {
		return err
	}
	return t.client.EndTexts(drainLimit)
}

// textStorm lets all readers come at once in the middle of a text, which goes on meanwhile.
func (t *trial) textStorm() (map[string]float64, error) {
	if err := t.addTexts(load.AppendToken); err != nil {
		return nil, err
	}
	if err := t.client.StartTexts(stormPerSecond, t.plan.pieces); err != nil {
		return nil, err
	}
	if err := t.client.Reached(t.plan.pieces/2, stormLimit); err != nil {
		return nil, err
	}
	w, err := t.measure(func() error {
		if err := t.readTexts(t.plan.readers, true); err != nil {
			return err
		}
		whole, err := t.client.Drain(stormLimit)
		if err == nil && !whole {
			err = errors.New("run: not all readers had the whole text")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := t.endTexts(); err != nil {
		return nil, err
	}
	now, err := t.server.memory()
	if err != nil {
		return nil, err
	}
	return map[string]float64{
		report.WholeAfter:   milliseconds(w.wall),
		report.CPUToCatchUp: milliseconds(w.server),
		report.PeakRSS:      float64(now.peak) / (1 << 20),
		report.RSSBefore:    float64(t.before.rss) / (1 << 20),
		report.ClientBusy:   100 * w.counts.Busy.Seconds() / w.wall.Seconds(),
	}, nil
}
