package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/disk"
	"github.com/sluicehq/sluice/schemas"
)

// service is a real broker over an engine.
type service struct {
	*broker.Broker
	engine *disk.Engine
	t      *testing.T
}

func serve(t *testing.T, dir string, opts disk.Options) *service {
	t.Helper()
	e, err := disk.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{Broker: b, engine: e, t: t}
	t.Cleanup(s.end)
	return s
}

func (s *service) end() {
	if err := errors.Join(s.Close(), s.engine.Close()); err != nil {
		s.t.Error(err)
	}
}

func (s *service) publish(channel, data string) schemas.ID {
	s.t.Helper()
	r, err := s.Publish(s.t.Context(), broker.Publication{Channel: schemas.Channel(channel), Topic: "t", Data: []byte(data)})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.ID
}

// hear returns what a reader gets that comes with the given position.
func (s *service) hear(pattern, lastID string, until string) string {
	s.t.Helper()
	stream, err := s.Subscribe(s.t.Context(), broker.Subscription{
		Channels:    []broker.Selector{{Channel: schemas.Pattern(pattern)}},
		LastEventID: lastID,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer stream.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	var all bytes.Buffer
	var batch broker.Batch
	for !strings.Contains(all.String(), until) {
		if err := stream.Next(ctx, &batch); err != nil {
			s.t.Fatalf("%v, after\n%s", err, all.String())
		}
		all.Write(bytes.Join(batch.Events, nil))
	}
	return all.String()
}

// TestBroker_resume: a reader goes on after a restart, and after a kill, where it
// was, by name and by pattern, and is told of no gap.
func TestBroker_resume(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, thisBoot())
	first := s.publish("a:1", `"first"`)
	s.publish("a:1", `"second"`)
	s.publish("a:2", `"other"`)
	killed := image(t, dir)
	s.end()
	for name, dir := range map[string]string{"restarted": dir, "killed": killed} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, dir, thisBoot())
			got := s.hear("a:1", first.String(), `"second"`)
			if strings.Contains(got, "$gap") || strings.Contains(got, `"first"`) {
				t.Error(got)
			}
			got = s.hear("a:*", first.String(), `"other"`)
			if strings.Contains(got, "$gap") || strings.Index(got, `"second"`) > strings.Index(got, `"other"`) {
				t.Error(got)
			}
			if id := s.publish("a:1", `"third"`); id.Epoch != first.Epoch || id.Seq != 4 {
				t.Errorf("the next id is %v", id)
			}
		})
	}
}

// TestBroker_SetRun: the status of a run is checked against what is on the disk.
func TestBroker_SetRun(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, thisBoot())
	set := func(status broker.RunStatus) (schemas.Receipt, error) {
		return s.SetRun(t.Context(), "a", broker.RunChange{Status: status, RunID: "r"}, broker.Limits{})
	}
	if _, err := set(broker.RunRunning); err != nil {
		t.Fatal(err)
	}
	done, err := set(broker.RunCompleted)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if again, err := set(broker.RunCompleted); err != nil || !again.Duplicate || again.ID != done.ID {
			t.Errorf("again %+v, %v", again, err)
		}
		if _, err := set(broker.RunFailed); !errors.Is(err, broker.ErrRunFinished) {
			t.Errorf("err = %v", err)
		}
		s.end()
		s = serve(t, dir, thisBoot())
	}
	if got := s.hear("a", "", "completed"); !strings.Contains(got, fmt.Sprint(done.ID)) {
		t.Error(got)
	}
}

// TestBroker_SetRun_atOnce: of many ends of a run at once, one is the end.
func TestBroker_SetRun_atOnce(t *testing.T) {
	s := serve(t, t.TempDir(), thisBoot())
	for round := range 20 {
		name := schemas.Channel(fmt.Sprint("a", round))
		var all sync.WaitGroup
		var ends, refused atomic.Int64
		for i := range 32 {
			status := []broker.RunStatus{broker.RunCompleted, broker.RunFailed}[i%2]
			all.Go(func() {
				r, err := s.SetRun(t.Context(), name, broker.RunChange{Status: status, RunID: "r"}, broker.Limits{})
				switch {
				case errors.Is(err, broker.ErrRunFinished):
					refused.Add(1)
				case err != nil:
					t.Error(err)
				case !r.Duplicate:
					ends.Add(1)
				}
			})
		}
		all.Wait()
		if ends.Load() != 1 || refused.Load() != 16 {
			t.Fatalf("%d ends, %d refused of 32", ends.Load(), refused.Load())
		}
	}
}

// TestBroker_powerFailure: a reader is told what it may have missed.
func TestBroker_powerFailure(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, thisBoot())
	first := s.publish("a", `"first"`)
	s.publish("a", `"second"`)
	s = serve(t, image(t, dir), disk.Options{}.On(vfs.Default, "another boot"))
	got := s.hear("a", first.String(), `"second"`)
	if !strings.Contains(got, "$gap") {
		t.Errorf("nobody says that something may be lost:\n%s", got)
	}
}
