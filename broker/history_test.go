package broker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// text writes a page in short: its positions, then its other figures.
func text(t *testing.T, h broker.History) string {
	t.Helper()
	var words []string
	for _, raw := range h.Messages {
		var m schemas.Message
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(string(raw), "\n") {
			t.Errorf("message %q ends with a line feed", raw)
		}
		words = append(words, fmt.Sprint(m.ID.Seq))
	}
	if h.FirstID != nil {
		words = append(words, fmt.Sprintf("of %d-%d", h.FirstID.Seq, h.LastID.Seq))
	}
	if h.Gap {
		words = append(words, "gap")
	}
	if h.Next != nil {
		words = append(words, fmt.Sprint("next ", h.Next.Seq))
	}
	return strings.Join(words, " ")
}

// TestBroker_History: a:1 holds 3 to 6 of 6; 4 and 6 are of the topic log.
func TestBroker_History(t *testing.T) {
	log := schemas.NewTopicSet([]string{"log"})
	tests := []struct {
		name    string
		channel schemas.Channel
		query   broker.Query
		want    string
	}{
		{"all", "a:1", broker.Query{Limit: 9}, "3 4 5 6 of 3-6"},
		{"newest first", "a:1", broker.Query{Limit: 3, Newest: true}, "6 5 4 of 3-6 next 4"},
		{"after", "a:1", broker.Query{Limit: 1, After: "k-3"}, "4 of 3-6 next 4"},
		{"after the oldest lost", "a:1", broker.Query{Limit: 9, After: "k-2"}, "3 4 5 6 of 3-6"},
		{"after one that is lost", "a:1", broker.Query{Limit: 9, After: "k-1"}, "3 4 5 6 of 3-6 gap"},
		{"after one that is lost of another topic", "a:1", broker.Query{Limit: 9, After: "k-1", Topics: log}, "4 6 of 3-6 gap"},
		{"after, and nothing of the topic is lost", "a:1", broker.Query{Limit: 9, After: "k-0", Topics: schemas.NewTopicSet([]string{"x"})}, "of 3-6"},
		{"before", "a:1", broker.Query{Limit: 9, Before: "k-5"}, "3 4 of 3-6"},
		{"before everything", "a:1", broker.Query{Limit: 9, Before: "k-0", Newest: true}, "of 3-6"},
		{"between", "a:1", broker.Query{Limit: 9, After: "k-3", Before: "k-6"}, "4 5 of 3-6"},
		{"foreign after", "a:1", broker.Query{Limit: 1, After: "z-4"}, "3 of 3-6 gap next 3"},
		{"after in the future", "a:1", broker.Query{Limit: 9, After: "k-7"}, "3 4 5 6 of 3-6 gap"},
		{"not an id", "a:1", broker.Query{Limit: 9, After: "?"}, "3 4 5 6 of 3-6 gap"},
		{"foreign before", "a:1", broker.Query{Limit: 9, Before: "z-4"}, "3 4 5 6 of 3-6"},
		{"topic", "a:1", broker.Query{Limit: 9, Topics: log}, "4 6 of 3-6"},
		{"no such channel", "b", broker.Query{Limit: 9}, ""},
		{"no such channel, after", "b", broker.Query{Limit: 9, After: "k-0"}, ""},
		{"no such channel, foreign after", "b", broker.Query{Limit: 9, After: "z-0"}, "gap next 6"},
		{"gone", "gone", broker.Query{Limit: 9, After: "k-0"}, "gap next 6"},
		{"gone, known", "gone", broker.Query{Limit: 9, After: "k-6"}, ""},
		{"gone, nothing asked", "gone", broker.Query{Limit: 9}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, broker.Options{Replay: engine.Limits{Messages: 4}})
			for range 3 {
				publish(t, b, "a:1", "status", "1")
				if tt.channel == "gone" {
					publish(t, b, "gone", "status", "1")
				} else {
					publish(t, b, "a:1", "log", "1")
				}
			}
			if tt.channel == "gone" {
				if err := b.Delete(t.Context(), "gone"); err != nil {
					t.Fatal(err)
				}
			}
			if got := text(t, must(b.History(t.Context(), tt.channel, tt.query))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestBroker_History_pages follows next from one end to the other.
func TestBroker_History_pages(t *testing.T) {
	b := start(t, broker.Options{})
	for range 10 {
		publish(t, b, "a", "status", "1")
		publish(t, b, "b", "status", "1")
	}
	for _, newest := range []bool{false, true} {
		for limit := 1; limit <= 11; limit++ {
			q := broker.Query{Limit: limit, Newest: newest}
			var got []string
			for pages := 0; ; pages++ {
				h := must(b.History(t.Context(), "a", q))
				for _, raw := range h.Messages {
					var m schemas.Message
					_ = json.Unmarshal(raw, &m)
					got = append(got, fmt.Sprint(m.ID.Seq))
				}
				if h.Next == nil || pages > 10 {
					break
				}
				if q.After = h.Next.String(); newest {
					q.After, q.Before = "", h.Next.String()
				}
			}
			want := "1 3 5 7 9 11 13 15 17 19"
			if newest {
				want = "19 17 15 13 11 9 7 5 3 1"
			}
			if got := strings.Join(got, " "); got != want {
				t.Errorf("limit %d, newest first %t: %s", limit, newest, got)
			}
		}
	}
}

func TestBroker_Channel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Age: time.Minute}})
		if _, err := b.Channel(t.Context(), "a:1"); !errors.Is(err, broker.ErrNoChannel) {
			t.Errorf("got %v", err)
		}
		publish(t, b, "a:1", "log", "1")
		setRun(t, b, "a:1", schemas.RunChange{Status: "failed", RunID: "r1", Error: json.RawMessage(`{"why":"x"}`)})
		subscribe(t, b, asking("a:1"))
		subscribe(t, b, asking("a:*"))
		subscribe(t, b, asking("a:2"))
		info := must(b.Channel(t.Context(), "a:1"))
		bytes := info.Bytes
		info.Bytes = 0
		got := string(must(json.Marshal(info)))
		want := `{"channel":"a:1","subscribers":2,"messages":2,"bytes":0,"first_id":"k-1","last_id":"k-2","run":` +
			`{"status":"failed","run_id":"r1","error":{"why":"x"},"id":"k-2","updated_at":"2000-01-01T00:00:00.000Z"}}`
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if all := b.Stats().LogBytes; bytes <= 0 || all <= bytes {
			t.Errorf("%d bytes of messages, %d of logs", bytes, all)
		}
		time.Sleep(time.Minute) // of the bubble
		if info := must(b.Channel(t.Context(), "a:1")); info.Messages != 0 || info.FirstID != nil || info.LastID != nil {
			t.Errorf("expired: %+v", info)
		}
	})
}

func TestBroker_Channels(t *testing.T) {
	b := start(t, broker.Options{})
	for _, name := range []string{"b:1", "a:2", "a:1", "a:3", "c"} {
		publish(t, b, name, "log", "1")
	}
	for _, tt := range []struct {
		prefix string
		after  schemas.Channel
		limit  int
		want   string
	}{
		{"", "", 9, "a:1 a:2 a:3 b:1 c"},
		{"", "", 5, "a:1 a:2 a:3 b:1 c"},
		{"", "", 2, "a:1 a:2 …"},
		{"", "a:2", 2, "a:3 b:1 …"},
		{"a:", "", 9, "a:1 a:2 a:3"},
		{"a:", "a:1", 1, "a:2 …"},
		{"d", "", 9, ""},
		{"", "c", 9, ""},
	} {
		infos, next, _ := b.Channels(t.Context(), tt.prefix, tt.after, tt.limit)
		var words []string
		for _, info := range infos {
			words = append(words, string(info.Channel))
		}
		if next != "" {
			words = append(words, "…")
		}
		if got := strings.Join(words, " "); got != tt.want {
			t.Errorf("%q after %q, %d: got %q, want %q", tt.prefix, tt.after, tt.limit, got, tt.want)
		}
	}
}

func TestBroker_Delete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{})
		if err := b.Delete(t.Context(), "a:1"); !errors.Is(err, broker.ErrNoChannel) {
			t.Errorf("got %v", err)
		}
		publish(t, b, "a:1", "log", "1")
		named, several, pattern, other := subscribe(t, b, asking("a:1")), subscribe(t, b, asking("x", "a:1")), subscribe(t, b, asking("a:*")), subscribe(t, b, asking("a:2"))
		if err := b.Delete(t.Context(), "a:1"); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*reader{named, several} {
			events := r.now()
			want(t, "named", events, "$open@1 $close@1[4410]")
			if closing := events[len(events)-1].data; closing != `{"code":4410,"reason":"channel_deleted","reconnect":false,"channel":"a:1"}` {
				t.Errorf("told %s", closing)
			}
			r.Close()
		}
		want(t, "by pattern", pattern.now(), "$open@1")
		want(t, "another channel", other.now(), "$open@1")
		if n := b.Stats().LogBytes; n != 0 {
			t.Errorf("%d bytes are left", n)
		}
		publish(t, b, "a:1", "log", "1")
		want(t, "by pattern, it came again", pattern.now(), "log@2")
	})
}
