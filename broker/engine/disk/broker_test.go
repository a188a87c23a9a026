package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/engine/disk"
	"github.com/sluicehq/sluice/broker/engine/enginetest"
	"github.com/sluicehq/sluice/broker/ring"
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
	return serveWithin(t, dir, opts, engine.Limits{})
}

// serveWithin is serve with other limits than the default ones.
func serveWithin(t *testing.T, dir string, opts disk.Options, limits engine.Limits) *service {
	t.Helper()
	e, err := disk.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.Options{Engine: e, Replay: limits})
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

// hear returns what a reader gets when it resumes from the given position.
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
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
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

// A reader resumes after a restart and after a kill, by name and by pattern, without a gap.
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

// A change of a run's status is checked against the status on the disk.
// What takes long is measured: appends, those that wait for the disk apart, and syncs.
func TestBroker_Stats_times(t *testing.T) {
	s := serve(t, t.TempDir(), disk.Options{})
	for n := range 3 {
		s.publish("a", fmt.Sprint(n))
	}
	for _, key := range []string{"one", "two"} {
		p := broker.Publication{Channel: "a", Topic: "t", Data: []byte("1"), Key: key}
		if _, err := s.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	change := broker.RunPublication{Channel: "a", Change: schemas.RunChange{Status: schemas.RunRunning}}
	if _, err := s.SetRun(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	stats := s.Stats()
	if o, d := stats.Appends, stats.DurableAppends; o.Count() != 3 || d.Count() != 3 || o.Sum <= 0 || d.Sum <= 0 {
		t.Errorf("appends %+v, durable ones %+v: want 3 each", o, d)
	}
	if n := stats.SyncTimes.Count(); n < 3 || n > uint64(stats.Syncs) {
		t.Errorf("%d syncs were measured, of %d", n, stats.Syncs)
	}
}

func TestBroker_SetRun(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, thisBoot())
	set := func(status schemas.RunStatus) (schemas.Receipt, error) {
		return s.SetRun(t.Context(), broker.RunPublication{Channel: "a", Change: schemas.RunChange{Status: status, RunID: "r"}})
	}
	if _, err := set(schemas.RunRunning); err != nil {
		t.Fatal(err)
	}
	done, err := set(schemas.RunCompleted)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if again, err := set(schemas.RunCompleted); err != nil || !again.Duplicate || again.ID != done.ID {
			t.Errorf("again %+v, %v", again, err)
		}
		if _, err := set(schemas.RunFailed); !errors.Is(err, engine.ErrRunFinished) {
			t.Errorf("err = %v", err)
		}
		s.end()
		s = serve(t, dir, thisBoot())
	}
	if got := s.hear("a", "", "completed"); !strings.Contains(got, fmt.Sprint(done.ID)) {
		t.Error(got)
	}
}

// After a power failure, a reader gets what is there and is told once that it may have missed
// something, by name and by pattern, even for a channel that never existed.
func TestBroker_powerFailure(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, thisBoot())
	first := s.publish("a:1", `"first"`)
	for range 200 {
		s.publish("a:1", `"more"`)
	}
	s.publish("a:1", `"second"`)
	s = serve(t, image(t, dir), disk.Options{}.On(vfs.Default, "another boot"))
	for _, name := range []string{"a:1", "a:*", "*", "b", "b:*"} {
		got := s.hear(name, first.String(), `"restarted"`)
		if gaps := strings.Count(got, "$gap"); gaps != 1 || strings.HasPrefix(name, "b") == strings.Contains(got, `"second"`) {
			t.Errorf("%s: told %d times: %.500s", name, gaps, got)
		}
		id := got[strings.LastIndex(got, "id: ")+len("id: "):]
		id, _, _ = strings.Cut(id, "\n")
		channel := strings.Replace(name, "*", "new", 1)
		s.publish(channel, `"after"`)
		if again := s.hear(name, id, `"after"`); strings.Contains(again, "$gap") {
			t.Errorf("%s after %s: told again: %.500s", name, id, again)
		}
	}
}

// A reader that comes after a restart gets a long text whole, and the latest message of each
// topic, with the default limits.
func TestEngine_broker_text(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, disk.Options{})
	publish := func(topic schemas.Topic, kind schemas.Kind, offset int64, data string) {
		t.Helper()
		p := broker.Publication{Channel: "a", Topic: topic, Kind: kind, Data: []byte(data), Offset: offset}
		if kind != schemas.KindData {
			p.StreamID = "s"
		}
		if _, err := s.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	publish("status", schemas.KindData, 0, `"busy"`)
	publish("draft", schemas.KindStreamStart, 0, `{}`)
	text := ""
	for i := range 600 {
		piece := fmt.Sprintf("%d, ", i)
		publish("draft", schemas.KindChunk, int64(len(text)), `"`+piece+`"`)
		text += piece
	}
	publish("draft", schemas.KindStreamEnd, 0, `{}`)
	for range 1000 {
		publish("tokens", schemas.KindData, 0, "1")
	}
	publish("tokens", schemas.KindData, 0, `"last"`)
	s.end()
	s = serve(t, dir, disk.Options{})
	latest, err := ring.ParseReplay("latest")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.Subscribe(t.Context(), broker.Subscription{Channels: []broker.Selector{{Channel: "a"}}, Replay: latest})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var all bytes.Buffer
	var batch broker.Batch
	for !strings.Contains(all.String(), `"last"`) {
		if err := stream.Next(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
		all.Write(bytes.Join(batch.Events, nil))
	}
	for _, want := range []string{`"busy"`, text, `"kind":"datastream-end"`} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%.40q is not in\n%s", want, all.String())
		}
	}
}

// A reader that comes after a restart or a kill gets the parts of an answer as one message, and
// one that resumes in between gets exactly what comes after its id.
func TestEngine_broker_merged(t *testing.T) {
	dir := t.TempDir()
	limits := engine.Limits{Messages: 4, Merge: enginetest.MergeRules(t)}
	s := serveWithin(t, dir, thisBoot(), limits)
	var ids []schemas.ID
	publish := func(topic schemas.Topic, data string) {
		t.Helper()
		r, err := s.Publish(t.Context(), broker.Publication{Channel: "a", Topic: topic, Data: []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	publish("parts", `{"type":"text-start","id":"1"}`)
	text := ""
	for i := range 600 {
		word := fmt.Sprintf("%d, ", i)
		publish("parts", `{"type":"delta","id":"1","delta":"`+word+`","x":[1,2]}`)
		text += word
	}
	publish("parts", `{"type":"text-end","id":"1"}`)
	publish("status", `"last"`)
	killed := image(t, dir)
	s.end()
	for name, dir := range map[string]string{"restarted": dir, "killed": killed} {
		t.Run(name, func(t *testing.T) {
			s := serveWithin(t, dir, thisBoot(), limits)
			page, err := s.History(t.Context(), "a", broker.Query{Limit: 10})
			if err != nil || len(page.Messages) != 4 || page.Gap {
				t.Fatalf("%d messages, %v", len(page.Messages), err)
			}
			for _, want := range []string{`"delta":"` + text + `","x":[1,2]}`, `"first_id":"` + ids[1].String() + `"`, `"id":"` + ids[600].String() + `"`} {
				if !strings.Contains(string(page.Messages[1]), want) {
					t.Errorf("%.60q is not in\n%s", want, page.Messages[1])
				}
			}
			got := s.hear("a", ids[300].String(), `"last"`)
			if want := `"delta":"300, 301, `; !strings.Contains(got, want) || strings.Contains(got, "299, ") || strings.Contains(got, "$gap") {
				t.Errorf("after 299 comes\n%s", got)
			}
		})
	}
}
