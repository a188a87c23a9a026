package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/client"
)

func TestClient_PublishBatch_each(t *testing.T) {
	c, s := realServer(t)
	status := client.Topic[string]("status")
	keyed := status.Item("c", "once")
	keyed.IdempotencyKey, keyed.RunID = "k", "r"
	results, err := c.PublishBatch(t.Context(), []client.Item{keyed, status.Item("c", "<two>"), {Channel: "c", Topic: "a b"}, keyed})
	if err != nil || len(results) != 4 {
		t.Fatalf("results %+v, %v", results, err)
	}
	var problem *client.Problem
	if !errors.As(results[2].Err, &problem) || problem.Status != 400 {
		t.Errorf("the bad one: %+v", results[2])
	}
	for _, i := range []int{0, 1, 3} {
		if results[i].Err != nil {
			t.Errorf("item %d: %v", i, results[i].Err)
		}
	}
	if first, again := results[0].Receipt, results[3].Receipt; !first.Durable || first.Duplicate || !again.Duplicate || again.ID != first.ID {
		t.Errorf("receipts %+v and %+v", first, again)
	}
	page, err := s.broker.History(t.Context(), "c", broker.Query{Limit: 9})
	held := page.Messages
	if err != nil || len(held) != 2 || !strings.Contains(string(held[1]), `"data":"<two>"`) || !strings.Contains(string(held[0]), `"run_id":"r"`) {
		t.Errorf("messages %s", held)
	}
}

// A batch with more items or bytes than one request may have is split.
func TestClient_PublishBatch_splits(t *testing.T) {
	_, s := realServer(t)
	requests := 0
	own := new(http.Transport)
	defer own.CloseIdleConnections()
	c := clientOf(t, s.url, client.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		requests++
		return own.RoundTrip(r)
	})}))
	for _, tt := range []struct {
		name            string
		items, bytes    int
		least, requests int
	}{
		{"none", 0, 1, 0, 0},
		{"many", 2500, 1, 3, 3},
		{"long", 300, 50 << 10, 15, 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requests = 0
			items := make([]client.Item, tt.items)
			for i := range items {
				items[i] = client.Item{Channel: tt.name, Topic: "t", Data: strings.Repeat("x", tt.bytes)}
			}
			results, err := c.PublishBatch(t.Context(), items)
			if err != nil || len(results) != tt.items || requests < tt.least || requests > tt.requests {
				t.Fatalf("%d results in %d requests, %v", len(results), requests, err)
			}
			for i := range results {
				if results[i].Err != nil || i > 0 && results[i].Receipt.ID.Seq <= results[i-1].Receipt.ID.Seq {
					t.Fatalf("item %d: %+v", i, results[i])
				}
			}
		})
	}
}

// Items that the server could not accept are sent again, without the others.
func TestClient_PublishBatch_retriesFailedItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		c := over(t, func(r *http.Request) (*http.Response, error) {
			var items []client.Item
			if err := json.NewDecoder(r.Body).Decode(&items); err != nil {
				t.Error(err)
			}
			var data, answers []string
			for _, item := range items {
				text := fmt.Sprint(item.Data)
				data = append(data, text)
				switch {
				case len(sent) < 2 && strings.HasPrefix(text, "later"):
					answers = append(answers, `{"type":"/problems/engine-unavailable","title":"T","status":503}`)
				case text == "bad":
					answers = append(answers, `{"type":"/problems/too-large","title":"T","status":413}`)
				default:
					answers = append(answers, receiptJSON)
				}
			}
			sent = append(sent, strings.Join(data, " "))
			return answer(200, "application/json", strings.NewReader("["+strings.Join(answers, ",")+"]")), nil
		})
		var items []client.Item
		for _, text := range []string{"one", "later1", "bad", "later2"} {
			items = append(items, client.Item{Channel: "c", Topic: "t", Data: text})
		}
		results, err := c.PublishBatch(t.Context(), items)
		if want := []string{"one later1 bad later2", "later1 later2", "later1 later2"}; !slices.Equal(sent, want) || err != nil {
			t.Errorf("sent %q, %v, want %q", sent, err, want)
		}
		for i, result := range results {
			if (result.Err != nil) != (i == 2) {
				t.Errorf("result %d: %+v", i, result)
			}
		}
	})
}

func TestClient_PublishBatch_failsAsAWhole(t *testing.T) {
	lost := errors.New("connection lost")
	tests := []struct {
		name   string
		key    string
		answer func(requests int) (*http.Response, error)
		want   int // requests
		err    string
	}{
		{"connection lost", "", func(int) (*http.Response, error) { return nil, lost }, 1, "connection lost"},
		{"connection lost, all with keys", "k", func(int) (*http.Response, error) { return nil, lost }, 1 + client.DefaultRetries, "connection lost"},
		{"refused", "k", func(int) (*http.Response, error) { return problem(403, "forbidden")(nil) }, 1, "403 T"},
		{"too few results", "k", func(int) (*http.Response, error) {
			return answer(200, "application/json", strings.NewReader("[]")), nil
		}, 1, "answered with 0 results"},
		{"no results", "k", func(int) (*http.Response, error) {
			return answer(200, "application/json", strings.NewReader("{}")), nil
		}, 1, "not what a sluice server sends"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				c := over(t, func(r *http.Request) (*http.Response, error) {
					io.Copy(io.Discard, r.Body)
					requests++
					return tt.answer(requests)
				})
				results, err := c.PublishBatch(t.Context(), []client.Item{{Channel: "c", Topic: "t", IdempotencyKey: tt.key}})
				if err == nil || !strings.Contains(err.Error(), tt.err) || requests != tt.want {
					t.Errorf("%d requests, then %v", requests, err)
				}
				if len(results) != 1 || !errors.Is(results[0].Err, err) {
					t.Errorf("results %+v", results)
				}
			})
		})
	}
}

func TestClient_PublishBatch_notEncodable(t *testing.T) {
	c := over(t, func(*http.Request) (*http.Response, error) { panic("a request was sent") })
	results, err := c.PublishBatch(t.Context(), []client.Item{{Data: 1}, {Data: func() {}}})
	if results != nil || err == nil || !strings.Contains(err.Error(), "item 1") {
		t.Errorf("results %+v, %v", results, err)
	}
}
