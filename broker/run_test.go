package broker_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

func TestBroker_SetRun(t *testing.T) {
	type change = schemas.RunChange
	tests := []struct {
		name      string
		before    []change
		change    change
		want      error
		duplicate bool
		runID     string // that the channel has afterwards
	}{
		{name: "the first", change: change{Status: "running", RunID: "r1"}, runID: "r1"},
		{name: "without an id", change: change{Status: "failed"}},
		{name: "unknown status", change: change{Status: "paused"}, want: broker.ErrBadRunStatus},
		{name: "no status", want: broker.ErrBadRunStatus},
		{name: "running twice", before: []change{{Status: "running"}}, change: change{Status: "running"}},
		{name: "completed", before: []change{{Status: "running", RunID: "r1"}}, change: change{Status: "completed", RunID: "r1"}, runID: "r1"},
		{name: "the known run is meant", before: []change{{Status: "running", RunID: "r1"}}, change: change{Status: "completed"}, runID: "r1"},
		{name: "the same final status", before: []change{{Status: "completed", RunID: "r1"}}, change: change{Status: "completed", RunID: "r1"}, duplicate: true, runID: "r1"},
		{name: "the same final status of the known run", before: []change{{Status: "completed", RunID: "r1"}}, change: change{Status: "completed"}, duplicate: true, runID: "r1"},
		{name: "another final status", before: []change{{Status: "completed"}}, change: change{Status: "failed"}, want: engine.ErrRunFinished},
		{name: "running after the end", before: []change{{Status: "cancelled", RunID: "r1"}}, change: change{Status: "running"}, want: engine.ErrRunFinished, runID: "r1"},
		{name: "a new run", before: []change{{Status: "cancelled", RunID: "r1"}}, change: change{Status: "running", RunID: "r2"}, runID: "r2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, broker.Options{})
			var last schemas.Receipt
			for _, c := range tt.before {
				last = must(b.SetRun(t.Context(), broker.RunPublication{Channel: "a:1", Change: c}))
			}
			got, err := b.SetRun(t.Context(), broker.RunPublication{Channel: "a:1", Change: tt.change})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.duplicate {
				last.Duplicate = true
				if got != last {
					t.Errorf("got %+v, want the first receipt %+v", got, last)
				}
			} else if err == nil && (got.Duplicate || got.ID.Seq != last.ID.Seq+1 || got.Topic != "$run" || got.Kind != schemas.KindRun) {
				t.Errorf("receipt %+v", got)
			}
			info, err := b.Channel(t.Context(), "a:1")
			if len(tt.before) == 0 && tt.want != nil {
				if !errors.Is(err, broker.ErrNoChannel) {
					t.Errorf("a refused change made a channel: %+v", info)
				}
				return
			}
			if info.Run.RunID != tt.runID {
				t.Errorf("run id %q, want %q", info.Run.RunID, tt.runID)
			}
		})
	}
}

// TestBroker_SetRun_tooLargeWithKnownID needs an event that only the run id, which the
// broker adds by itself, makes too long.
func TestBroker_SetRun_tooLargeWithKnownID(t *testing.T) {
	b := start(t, broker.Options{MaxEventBytes: 480})
	setRun(t, b, "a:1", schemas.RunChange{Status: "running", RunID: strings.Repeat("r", 90)})
	result := json.RawMessage(`"` + strings.Repeat("x", 260) + `"`)
	if _, err := b.SetRun(t.Context(), broker.RunPublication{Channel: "a:2", Change: schemas.RunChange{Status: "completed", Result: result}}); err != nil {
		t.Fatalf("it is too long without an id already: %v", err)
	}
	if _, err := b.SetRun(t.Context(), broker.RunPublication{Channel: "a:1", Change: schemas.RunChange{Status: "completed", Result: result}}); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("got %v, want engine.ErrTooLarge", err)
	}
	if info, _ := b.Channel(t.Context(), "a:1"); info.Run.Status != schemas.RunRunning {
		t.Errorf("status is %s", info.Run.Status)
	}
}

// TestStream_Next_runStatus compares what a reader is told of the run with what
// happened before and after it came.
func TestStream_Next_runStatus(t *testing.T) {
	status := func(s schemas.RunStatus) func(*testing.T, *broker.Broker) {
		return func(t *testing.T, b *broker.Broker) { setRun(t, b, "a:1", schemas.RunChange{Status: s, RunID: "r1"}) }
	}
	log := func(t *testing.T, b *broker.Broker) { publish(t, b, "a:1", "log", "1") }
	tests := []struct {
		name          string
		before, after []func(*testing.T, *broker.Broker)
		sub           broker.Subscription
		want          string
	}{
		{
			"nobody has set one", nil, nil,
			asking("a:1"),
			"$open@0",
		},
		{
			"whatever the topics",
			[]func(*testing.T, *broker.Broker){status("running"), log},
			nil,
			asking("a:1/tokens"),
			"$open@2 $run@2[1]",
		},
		{
			"the latest of two, and the older one not after it",
			[]func(*testing.T, *broker.Broker){status("running"), log, status("completed"), log},
			nil,
			replaying(asking("a:1"), "all"),
			"$open@0 $run@0[3] log@2 log@4",
		},
		{
			"live", nil,
			[]func(*testing.T, *broker.Broker){status("running"), log, status("completed")},
			asking("a:1/tokens"),
			"$open@0 $run@1 $run@3",
		},
		{
			"set after Subscribe, before the first Next",
			[]func(*testing.T, *broker.Broker){log},
			[]func(*testing.T, *broker.Broker){status("running"), log},
			asking("a:1"),
			"$open@1 $run@1[2] log@3",
		},
		{
			"resumed: in its turn only",
			[]func(*testing.T, *broker.Broker){log, status("running"), log},
			nil,
			resuming(asking("a:1"), 1),
			"$open@1 $run@2 log@3",
		},
		{
			"resumed: known",
			[]func(*testing.T, *broker.Broker){log, status("running"), log},
			nil,
			resuming(asking("a:1"), 2),
			"$open@2 log@3",
		},
		{
			"it outlives the ring",
			[]func(*testing.T, *broker.Broker){status("running"), log, log, log, log, log},
			nil,
			resuming(asking("a:1/tokens"), 0),
			"$open@0 $run@1",
		},
		{
			"it outlives the ring, of which something is lost",
			[]func(*testing.T, *broker.Broker){log, status("running"), log, log, log, log, log},
			nil,
			resuming(asking("a:1"), 0),
			"$open@0 $gap@1[a:1 overrun>0<4] $run@2 log@4 log@5 log@6 log@7",
		},
		{
			"of another epoch",
			[]func(*testing.T, *broker.Broker){status("running"), log},
			nil,
			broker.Subscription{Channels: asking("a:1").Channels, LastEventID: "z-1"},
			"$open@0 $run@0[1] $gap@0[a:1 restarted>z-1<1] log@2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{Replay: engine.Limits{Messages: 4}})
				for _, do := range tt.before {
					do(t, b)
				}
				r := subscribe(t, b, tt.sub)
				for _, do := range tt.after {
					do(t, b)
				}
				want(t, "told", r.now(), tt.want)
			})
		})
	}
}

// TestBroker_SetRun_outlivesMessages lets the messages expire.
func TestBroker_SetRun_outlivesMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Age: time.Minute}})
		publish(t, b, "a:1", "log", "1")
		setRun(t, b, "a:1", schemas.RunChange{Status: schemas.RunCompleted})
		time.Sleep(time.Hour) // of the bubble
		want(t, "an hour later", subscribe(t, b, replaying(asking("a:1"), "all")).now(), "$open@2 $run@2")
		info, err := b.Channel(t.Context(), "a:1")
		if err != nil || info.Messages != 0 || info.FirstID != nil || info.Run == nil {
			t.Errorf("%+v, %v", info, err)
		}
	})
}
