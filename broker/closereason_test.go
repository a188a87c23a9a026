package broker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker"
)

func TestCloseReasons(t *testing.T) {
	want := []struct {
		code      int
		reason    string
		reconnect bool
	}{
		{4000, "run_ended", false},
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
	all := broker.CloseReasons()
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

// TestCloseReason_spread: clients that are disconnected together do not reconnect together.
func TestCloseReason_spread(t *testing.T) {
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

func TestCloseReason_Refusal(t *testing.T) {
	for _, tt := range []struct{ last, id string }{
		{"", ""}, {"k-17", "k-17"}, {"17", ""}, {"k-1\nevent: evil", ""}, {"k-17 ", ""},
	} {
		for _, e := range []broker.CloseReason{broker.TooManyStreams(), broker.EngineUnavailable(), broker.Draining()} {
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

// TestCloseReasons_reference: docs/reference.md lists every reason, in order, and says whether
// clients reconnect after it.
func TestCloseReasons_reference(t *testing.T) {
	page, err := os.ReadFile("../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| code | reason | reconnect? |\n|---|---|---|\n")
	if !found {
		t.Fatal("docs/reference.md has no table of close codes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	all := broker.CloseReasons()
	if len(rows) != len(all) {
		t.Fatalf("%d rows, want %d", len(rows), len(all))
	}
	for i, c := range all {
		answer := map[bool]string{true: "yes", false: "no"}[c.Reconnect]
		if want := fmt.Sprintf("| %d | `%s` | %s", c.Code, c.Reason, answer); !strings.HasPrefix(rows[i], want) {
			t.Errorf("row %q, want %q", rows[i], want)
		}
	}
}
