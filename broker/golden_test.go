package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

// scenes show every form of an event.
func scenes() map[string]func(*testing.T, *broker.Broker, ring.Format) []byte {
	type scene = func(*testing.T, *broker.Broker, ring.Format) []byte
	return map[string]scene{
		"open": func(t *testing.T, b *broker.Broker, f ring.Format) []byte {
			sub := asking("a:1", "b:*/log,status")
			sub.Owner.ExpiresAt = time.Now().Add(time.Hour)
			return bytesOf(t, b, sub, f, time.Second)
		},
		"messages": func(t *testing.T, b *broker.Broker, f ring.Format) []byte {
			for _, p := range []broker.Publication{
				{Data: []byte(`{"message":"Done \n ü <&> \u2028","n":1.50}`)},
				{Data: []byte(`null`), RunID: `run "42" \ ü`, Sub: "us\ner \"7\" \\ ü"},
				{Data: []byte(`{"reason":"complete"}`), Kind: schemas.KindStreamEnd, StreamID: "s0"}, // after pieces, it would fold them
				{Data: []byte(`{"name":"x"}`), Kind: schemas.KindStreamStart, StreamID: "s1"},
				{Data: []byte(`"a\r\nb"`), Kind: schemas.KindChunk, StreamID: "s1", RunID: "r1"},
				{Data: []byte(`"c"`), Kind: schemas.KindChunk, StreamID: "s1", Offset: 4, Sub: "user-7"},
			} {
				p.Channel, p.Topic = "a:ü", "status"
				put(t, b, p)
			}
			setRun(t, b, "a:ü", schemas.RunChange{Status: "running", RunID: "r1"})
			return bytesOf(t, b, resuming(asking("a:ü"), 0), f, time.Second)
		},
		"run": func(t *testing.T, b *broker.Broker, f ring.Format) []byte {
			setRun(t, b, "a:1", schemas.RunChange{Status: "completed", RunID: "r1", Result: json.RawMessage(`{"n": 1, "html": "<&> \u2028"}`)})
			publish(t, b, "a:1", "log", "1")
			return bytesOf(t, b, asking("a:1"), f, time.Second)
		},
		"gap": func(t *testing.T, b *broker.Broker, f ring.Format) []byte {
			for range 5 {
				publish(t, b, "a:1", "log", "1")
			}
			overrun := bytesOf(t, b, resuming(asking("a:1"), 1), f, time.Second)
			_ = b.Delete(t.Context(), "a:1")
			expired := bytesOf(t, b, resuming(asking("a:1"), 1), f, time.Second)
			sub := asking("a:*")
			sub.LastEventID = "1\"\n-\xff"
			return append(append(overrun, expired...), bytesOf(t, b, sub, f, time.Second)...)
		},
		"position": func(t *testing.T, b *broker.Broker, f ring.Format) []byte {
			ended := make(chan []byte)
			go func() { ended <- bytesOf(t, b, asking("a:1/status"), f, 31*time.Second) }()
			synctest.Wait()
			publish(t, b, "a:1", "log", "1")
			return <-ended
		},
		"close": func(t *testing.T, b *broker.Broker, f ring.Format) []byte {
			var all []byte
			for _, e := range broker.CloseReasons() {
				sub := asking("a:1")
				sub.Format = f
				r := subscribe(t, b, sub)
				r.End(e)
				all = append(all, rawOf(t, r, time.Second)...)
			}
			_ = publish(t, b, "a:2", "log", "1")
			sub := asking("a:2")
			sub.Format = f
			r := subscribe(t, b, sub)
			_ = b.Delete(t.Context(), "a:2")
			return append(all, rawOf(t, r, time.Second)...)
		},
	}
}

func bytesOf(t *testing.T, b *broker.Broker, sub broker.Subscription, format ring.Format, d time.Duration) []byte {
	t.Helper()
	sub.Format = format
	return rawOf(t, subscribe(t, b, sub), d)
}

// rawOf returns what is written within the time d.
func rawOf(t *testing.T, r *reader, d time.Duration) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var all []byte
	for r.Next(ctx, &r.batch) == nil {
		all = append(all, bytes.Join(r.batch.Events, nil)...)
	}
	return all
}

// TestGolden compares the bytes of every event with testdata, in which random delays
// are written as 0. SLUICE_UPDATE=1 writes the files.
func TestGolden(t *testing.T) {
	random := regexp.MustCompile(`(retry: |"(?:server_draining|engine_unavailable|too_many_streams)","reconnect":true,"retry_after_ms":)[0-9]+`)
	fixed := []byte("retry: 1000\n")
	for name, scene := range scenes() {
		for _, format := range []ring.Format{ring.SSE, ring.NDJSON} {
			file := filepath.Join("testdata", name+"."+format.String())
			t.Run(filepath.Base(file), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := start(t, broker.Options{Replay: engine.Limits{Messages: 2}, BacklogBytes: 1})
					if name == "messages" {
						b = start(t, broker.Options{})
					}
					got := bytes.ReplaceAll(scene(t, b, format), fixed, []byte("retry: fixed\n"))
					got = random.ReplaceAll(got, []byte("${1}0"))
					got = bytes.ReplaceAll(got, []byte("retry: fixed\n"), fixed)
					if os.Getenv("SLUICE_UPDATE") != "" {
						if err := os.WriteFile(file, got, 0o644); err != nil {
							t.Fatal(err)
						}
					}
					want, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, want) {
						t.Errorf("got\n%s\nwant\n%s", got, want)
					}
					if _, _, err := read(format, want); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
