package client_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

type spanKey struct{}

// spanOf returns the traceparent of a context: one that ends with n.
func spanOf(n string) string {
	return "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333" + n + "-01"
}

// TestTraceparent publishes in every way, and reads which span each message names.
func TestTraceparent(t *testing.T) {
	for name, gathers := range map[string]bool{"gathered": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			c, _ := realServer(t, client.WithGather(gathers), client.WithTraceparent(func(ctx context.Context) string {
				n, _ := ctx.Value(spanKey{}).(string)
				if n == "" {
					return ""
				}
				return spanOf(n)
			}))
			in := func(n string) context.Context { return context.WithValue(t.Context(), spanKey{}, n) }
			var all sync.WaitGroup // some of these share a request
			for _, n := range []string{"1", "2", "3", "4", ""} {
				all.Go(func() { must(c.Publish(in(n), "a", "t", n)) })
			}
			all.Wait()
			must(c.Publish(in("1"), "a", "t", "option", client.Traceparent(spanOf("5"))))
			items := []client.Item{{Channel: "a", Topic: "t", Data: "6"}, {Channel: "a", Topic: "t", Data: "option", Traceparent: spanOf("5")}}
			must(c.PublishBatch(in("6"), items))
			for _, err := range c.PublishLines(in("6"), slices.Values(items)) {
				must(0, err)
			}
			must(c.PublishStream(in("7"), "a", "t", strings.NewReader("7")))
			must(c.SetRun(in("8"), "a", client.RunState{Status: schemas.RunRunning, RunID: "8"}))
			page := must(c.History(t.Context(), "a", client.HistoryQuery{}))
			if len(page.Messages) != 14 { // a text is three
				t.Fatalf("%d messages, want 14", len(page.Messages))
			}
			for _, m := range page.Messages {
				want := strings.Trim(string(m.Data), `"`)
				switch {
				case want == "option":
					want = "5"
				case m.StreamID != "":
					want = map[schemas.Kind]string{schemas.KindStreamStart: "7"}[m.Kind]
				case m.RunID != "":
					want = m.RunID
				}
				if want != "" {
					want = spanOf(want)
				}
				if m.Traceparent != want {
					t.Errorf("%s %s names %q, want %q", m.Kind, m.Data, m.Traceparent, want)
				}
			}
		})
	}
}
