//go:build unix

package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	natsio "github.com/nats-io/nats.go"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
	"github.com/sluicehq/sluice/internal/natstest"
)

// newStream returns a stream on a server of its own, whose subjects are a.>.
func newStream(t *testing.T) (*jetstream.Stream, *natstest.Server) {
	t.Helper()
	server := natstest.Start(t, "")
	conn, err := natsio.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	client, err := jetstream.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	s := jetstream.NewStream(client, "s")
	if _, err := s.Info(t.Context()); !jetstream.IsNoStream(err) {
		t.Fatalf("before it exists: %v", err)
	}
	if _, err := s.Create(t.Context(), jetstream.Config{
		Name: "s", Subjects: []string{"a.>"}, Replicas: 1,
		AllowDirect: true, AllowAtomicPublish: true, AllowMsgTTL: true, AllowRollup: true,
	}); err != nil {
		t.Fatal(err)
	}
	return s, server
}

func put(t *testing.T, s *jetstream.Stream, subject string) uint64 {
	t.Helper()
	seq, err := s.Publish(t.Context(), jetstream.NewMsg(subject, []byte(subject), 0))
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// A batch is stored as a whole, under consecutive positions, or not at all.
func TestStream_Publish_batch(t *testing.T) {
	s, _ := newStream(t)
	pair := func(after uint64) []*natsio.Msg {
		record := jetstream.NewMsg("a.record", []byte("r"), time.Minute)
		jetstream.ExpectLast(record, after)
		return []*natsio.Msg{jetstream.NewMsg("a.message", []byte("m"), 0), record}
	}
	last, err := s.Publish(t.Context(), pair(0)...)
	if err != nil || last != 2 {
		t.Fatalf("position %d, %v", last, err)
	}
	if _, err := s.Publish(t.Context(), pair(0)...); !jetstream.IsConflict(err) {
		t.Errorf("a second one: %v", err)
	}
	if last, err = s.Publish(t.Context(), pair(2)...); err != nil || last != 4 {
		t.Errorf("one that follows: position %d, %v", last, err)
	}
	info, err := s.Info(t.Context())
	if err != nil || info.State.Msgs != 4 || info.State.LastSeq != 4 {
		t.Errorf("%+v, %v", info.State, err)
	}
}

// A publish that is not answered is not sent again, and says so.
func TestStream_Publish_noAnswer(t *testing.T) {
	s, server := newStream(t)
	server.Stop()
	defer server.Continue()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.Publish(ctx, jetstream.NewMsg("a.b", nil, 0)); !errors.Is(err, jetstream.ErrNoAnswer) {
		t.Errorf("got %v", err)
	}
	server.Continue()
	if err := s.Barrier(t.Context(), "a.b"); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("%d messages, %v", info.State.Msgs, err)
	}
}

// The barrier stores nothing.
func TestStream_Barrier(t *testing.T) {
	s, _ := newStream(t)
	if err := s.Barrier(t.Context(), "a.b"); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Info(t.Context()); err != nil || info.State.LastSeq != 0 {
		t.Errorf("%+v, %v", info.State, err)
	}
}

func TestStream_Walk(t *testing.T) {
	s, _ := newStream(t)
	const messages = 1100 // more than two pages
	for i := range messages {
		put(t, s, fmt.Sprint("a.", i%2))
	}
	var got []uint64
	if err := s.WalkTo(t.Context(), "a.1", 3, messages, func(m jetstream.Message) { got = append(got, m.Sequence) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != messages/2-1 || got[0] != 4 || got[len(got)-1] != messages {
		t.Errorf("%d messages, %d to %d", len(got), got[0], got[len(got)-1])
	}
	if m, found, err := s.Next(t.Context(), "a.0", 6); err != nil || !found || m.Sequence != 7 || string(m.Data) != "a.0" || m.Time.IsZero() {
		t.Errorf("the next: %+v, %t, %v", m, found, err)
	}
	if _, found, err := s.Next(t.Context(), "a.none", 1); found || err != nil {
		t.Errorf("there is none: %t, %v", found, err)
	}
	ends, asOf, err := s.LastPerSubject(t.Context(), []string{"a.*"}, "a.0", 1, messages)
	if err != nil || len(ends) != 2 || asOf != messages {
		t.Errorf("%d ends as of %d, %v", len(ends), asOf, err)
	}
	if m, found, err := s.Last(t.Context(), "a.0"); err != nil || !found || m.Sequence != messages-1 {
		t.Errorf("the last: %+v, %t, %v", m, found, err)
	}
	if err := s.Purge(t.Context(), "a.0", messages); err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.Last(t.Context(), "a.0"); found || err != nil {
		t.Errorf("purged: %t, %v", found, err)
	}
}

// The stream has fewer messages than it had when the leader was asked: the walk ends.
func TestStream_WalkTo_gone(t *testing.T) {
	s, _ := newStream(t)
	last := put(t, s, "a.b")
	if err := s.Purge(t.Context(), "a.b", last+1); err != nil {
		t.Fatal(err)
	}
	if err := s.WalkTo(t.Context(), "a.b", 1, last, func(jetstream.Message) { t.Error("found something") }); err != nil {
		t.Error(err)
	}
}

func TestStream_LastPerSubject_tooMany(t *testing.T) {
	s, _ := newStream(t)
	for i := range 1100 {
		put(t, s, fmt.Sprint("a.", i))
	}
	if _, _, err := s.LastPerSubject(t.Context(), []string{"a.*"}, "a.0", 1, 1); !errors.Is(err, jetstream.ErrTooManySubjects) {
		t.Errorf("got %v", err)
	}
}

// A position has one message, or none any more.
func TestStream_At(t *testing.T) {
	s, _ := newStream(t)
	first, second := put(t, s, "a.b"), put(t, s, "a.c")
	if m, found, err := s.At(t.Context(), second); err != nil || !found || m.Subject != "a.c" || string(m.Data) != "a.c" || m.Sequence != second {
		t.Errorf("found %t: %+v, %v", found, m, err)
	}
	if err := s.Purge(t.Context(), "a.b", second); err != nil {
		t.Fatal(err)
	}
	for _, position := range []uint64{first, second + 1} {
		if _, found, err := s.At(t.Context(), position); err != nil || found {
			t.Errorf("%d: found %t, %v", position, found, err)
		}
	}
}
