package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// FuzzFrame publishes whatever the parsers of names accept. A client must get exactly
// one event back, with that data under that name. A line of NDJSON must be the same
// JSON.
func FuzzFrame(f *testing.F) {
	f.Add("a:1", "status", "run_42", "s1", `{"message":"Done"}`)
	f.Add("ü/ö:x", "A.b-c_9", `"\`, "", `"a\nb\u2028\r"`)
	f.Add("id: 7", "data", "event: x", "0", "\"\u2028\u2029\ufeff\"")
	f.Add("a", "$run", "", "", "1e5")
	f.Add("a\nb", "b", "c\nd", "e", "[ 1 ,\n2 ]")
	f.Fuzz(func(t *testing.T, channel, topic, runID, streamID, data string) {
		_, badChannel := schemas.ParseChannel(channel)
		_, badTopic := schemas.ParseTopic(topic)
		_, badRun := schemas.ParseRunID(runID)
		printable := !strings.ContainsFunc(streamID, func(r rune) bool { return r < '!' || r > '~' || r == '"' || r == '\\' })
		var compact bytes.Buffer
		if badChannel != nil || badTopic != nil || badRun != nil || !printable || json.Compact(&compact, []byte(data)) != nil {
			return
		}
		b := start(t, broker.Options{MaxEventBytes: 1 << 20})
		p := broker.Publication{
			Channel: schemas.Channel(channel), Topic: schemas.Topic(topic), RunID: runID, StreamID: streamID, Data: compact.Bytes(),
		}
		receipt, err := b.Publish(t.Context(), p)
		if err != nil {
			return // too large
		}
		sub := resuming(asking(), 0)
		sub.Channels = []broker.Selector{{Channel: schemas.Pattern(channel)}}
		event := one(t, b, sub)
		sub.Format = ring.NDJSON
		line := one(t, b, sub)
		if event.id != receipt.ID.String() || event.name != topic || event.data != line.data {
			t.Fatalf("published %+v, got %+v and %+v", p, event, line)
		}
		var m schemas.Message
		if err := json.Unmarshal([]byte(event.data), &m); err != nil {
			t.Fatalf("%v: %q", err, event.data)
		}
		if m.ID != receipt.ID || m.Channel != p.Channel || m.Topic != p.Topic || m.RunID != runID || m.StreamID != streamID || m.Kind != schemas.KindData || m.CreatedAt != receipt.CreatedAt {
			t.Fatalf("published %+v, got %+v", p, m)
		}
		if !bytes.Equal(m.Data, compact.Bytes()) {
			t.Fatalf("published %q, got %q", compact.Bytes(), m.Data)
		}
	})
}

// one returns the only event that comes after $open.
func one(t *testing.T, b *broker.Broker, sub broker.Subscription) event {
	t.Helper()
	r := subscribe(t, b, sub)
	defer r.Close()
	if err := r.Next(t.Context(), &r.batch); err != nil {
		t.Fatal(err)
	}
	events, _, err := read(sub.Format, bytes.Join(withoutLive(r.batch.Events), nil))
	if err != nil {
		t.Fatalf("%v: %q", err, r.batch.Events)
	}
	if len(events) != 2 || events[0].name != "$open" {
		t.Fatalf("got %+v", events)
	}
	return events[1]
}

// FuzzLastEventID resumes with arbitrary text. It is never refused: either everything
// held after the position comes, or the client is told of a loss. The log holds 4 to 6
// of 6.
func FuzzLastEventID(f *testing.F) {
	for _, id := range []string{"", "k-0", "k-3", "k-4", "k-6", "k-7", "z-3", "k-03", "K-3", "-", "k-", "k-18446744073709551615", "k-18446744073709551616", "0-0", "\xff\n"} {
		f.Add(id, false)
		f.Add(id, true)
	}
	f.Fuzz(func(t *testing.T, last string, pattern bool) {
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 3}})
		for range 6 {
			publish(t, b, "a:1", "status", "1")
		}
		sub := asking("a:1")
		if pattern {
			sub = asking("a:*", "b")
		}
		sub.LastEventID = last
		r := subscribe(t, b, sub)
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		defer cancel()
		var all []event
		for len(all) == 0 || last != "" && last != "k-6" && all[len(all)-1].id != "k-6" {
			if err := r.Next(ctx, &r.batch); err != nil {
				t.Fatalf("%v after %s", err, brief(all))
			}
			events, _, err := readSSE(bytes.Join(withoutLive(r.batch.Events), nil))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, events...)
		}
		got := brief(all)
		gap := slices.ContainsFunc(all, func(e event) bool { return e.name == "$gap" })
		switch last {
		case "", "k-6":
			if got != "$open@6" {
				t.Errorf("%q: %s", last, got)
			}
		case "k-3", "k-4", "k-5":
			if gap || len(all) != 1+int('6'-last[2]) {
				t.Errorf("%q: %s", last, got)
			}
		default:
			if !gap || !strings.HasSuffix(got, "status@4 status@5 status@6") {
				t.Errorf("%q: %s", last, got)
			}
		}
	})
}
