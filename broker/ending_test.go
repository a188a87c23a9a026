package broker_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"

	"github.com/sluicehq/sluice/broker"
)

func TestEndings(t *testing.T) {
	want := []struct {
		code      int
		reason    string
		reconnect bool
	}{
		{4001, "token_expired", true},
		{4002, "server_draining", true},
		{4003, "slow_consumer", true},
		{4004, "max_age", true},
		{4005, "engine_unavailable", true},
		{4029, "too_many_streams", true},
		{4401, "token_revoked", false},
		{4403, "disconnected", false},
		{4410, "channel_deleted", false},
	}
	all := broker.Endings()
	if len(all) != len(want) {
		t.Fatalf("%d endings, want %d", len(all), len(want))
	}
	for i, w := range want {
		e := all[i]
		if e.Code != w.code || e.Reason != w.reason || e.Reconnect != w.reconnect {
			t.Errorf("got %+v, want %+v", e, w)
		}
		if e.Reconnect != (e.RetryAfter > 0) {
			t.Errorf("%s: reconnect %t after %v", e.Reason, e.Reconnect, e.RetryAfter)
		}
		b := start(t, broker.Options{})
		r := subscribe(t, b, asking("a"))
		r.End(e)
		events := r.now()
		closing := events[len(events)-1]
		var c closeEvent
		if err := json.Unmarshal([]byte(closing.data), &c); err != nil {
			t.Fatal(err)
		}
		low, high := e.RetryAfter.Milliseconds(), (e.RetryAfter + e.Spread).Milliseconds()
		if c.Code != w.code || c.Reason != w.reason || c.Reconnect != w.reconnect || c.RetryAfter < low || c.RetryAfter > high || closing.id != "k-0" {
			t.Errorf("%s: sent %+v", w.reason, closing)
		}
		if spread := e.Spread > 0; spread != (closing.retry != "") || spread && closing.retry != strconv.FormatInt(c.RetryAfter, 10) {
			t.Errorf("%s: retry is %q", w.reason, closing.retry)
		}
	}
}

// TestEnding_spread: clients that are sent away together must not come back
// together.
func TestEnding_spread(t *testing.T) {
	var delays []string
	for range 200 {
		events, _, err := readSSE(broker.Draining().Refusal(""))
		if err != nil {
			t.Fatal(err)
		}
		delays = append(delays, events[0].retry)
	}
	slices.Sort(delays)
	if n := len(slices.Compact(delays)); n < 100 {
		t.Errorf("200 clients get %d delays", n)
	}
}

func TestEnding_Refusal(t *testing.T) {
	for _, tt := range []struct{ last, id string }{
		{"", ""}, {"k-17", "k-17"}, {"17", ""}, {"k-1\nevent: evil", ""}, {"k-17 ", ""},
	} {
		for _, e := range []broker.Ending{broker.TooManyStreams(), broker.EngineUnavailable(), broker.Draining()} {
			events, _, err := readSSE(e.Refusal(tt.last))
			if err != nil || len(events) != 1 {
				t.Fatalf("%q: %v, %v", tt.last, events, err)
			}
			if got := events[0]; got.id != tt.id || got.name != "$close" || got.retry == "" {
				t.Errorf("%q: got %+v", tt.last, got)
			}
		}
	}
}
