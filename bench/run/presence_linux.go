package run

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/bench/load"
	"github.com/sluicehq/sluice/bench/report"
)

// presenceRest is how long readers rest after the last one has come: all of them have been
// told by then.
const presenceRest = 3 * time.Second

// presencePlans returns the cases of the scenario with presence, with numbers scaled by n.
func presencePlans(n func(int) int) []plan {
	all := []plan{
		{name: "nobody follows"},
		{name: "one follows", followers: 1},
		{name: "all follow", query: "&topic=*&topic=$presence"},
	}
	for i := range all {
		all[i].scenario, all[i].kind, all[i].who = "P", presence, isSluice
		all[i].readers, all[i].channels = n(10_000), 1
	}
	return all
}

// presence opens streams of one channel, each with a token and a subject of its own.
func (t *trial) presence(ctx context.Context) (map[string]float64, error) {
	tokens := make([]string, t.plan.readers)
	if err := t.mintTokens(ctx, channel(0), `"*","$presence"`, tokens); err != nil {
		return nil, err
	}
	request := func(query, credential string) load.Stream {
		return load.Stream{Request: fmt.Appendf(nil, "GET /v1/subscribe?channel=%s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n",
			channel(0), query, t.server.addr, credential)}
	}
	if err := t.client.Subscribe(t.plan.followers, func(int) load.Stream { return request("&topic=$presence", apiKey) }); err != nil {
		return nil, err
	}
	if err := t.client.Run(settle); err != nil {
		return nil, err
	}
	w, err := t.measure(func() error {
		err := t.client.Subscribe(t.plan.readers, func(reader int) load.Stream { return request(t.plan.query, tokens[reader-t.plan.followers]) })
		if err != nil {
			return err
		}
		return t.client.Run(presenceRest)
	})
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{
		report.CPUToJoin:     milliseconds(w.server),
		report.WirePerStream: float64(w.counts.Wire) / float64(t.plan.readers),
		report.ClientBusy:    100 * w.counts.Busy.Seconds() / w.wall.Seconds(),
	}
	if err := t.client.Run(idleRest - presenceRest); err != nil {
		return nil, err
	}
	return metrics, t.streamMemory(metrics, t.plan.readers)
}
