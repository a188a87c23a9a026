package outbox_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
)

func TestOfRun(t *testing.T) {
	m := &schemas.Message{ID: schemas.ID{Epoch: 20, Seq: 7}, Channel: "a", Sub: "user-7", CreatedAt: 1}
	for _, status := range []schemas.RunStatus{schemas.RunRunning, schemas.RunCompleted, schemas.RunFailed, schemas.RunCancelled} {
		change := &schemas.RunChange{Status: status, RunID: "r", Result: []byte("1")}
		e, ended := outbox.OfRun(m, change)
		if ended != status.Final() || ended && (e.Type != outbox.Type("run."+string(status)) || e.Message != m.ID || e.Sub != "user-7") {
			t.Errorf("%s: %+v, %t", status, e, ended)
		}
		if !ended {
			continue
		}
		change.Result[0] = '2' // belongs to the caller
		read, err := outbox.Decode(e.Encode())
		if err != nil || !reflect.DeepEqual(read, e) || string(read.Run.Result) != "1" {
			t.Errorf("got %+v, %v, want %+v", read, err, e)
		}
	}
	if _, ended := outbox.OfRun(m, nil); ended {
		t.Error("a message without a change ends a run")
	}
}

// What is stored must stay readable.
func TestDecode(t *testing.T) {
	e, err := outbox.Decode([]byte(`{"type":"run.failed","channel":"a","at":"2026-11-23T06:18:03.222Z","message":"k-7","run":{"status":"failed","run_id":"r","error":"x"},"sub":"user-7"}`))
	if err != nil || e.Type != outbox.RunFailed || e.Message.Seq != 7 || e.Run.RunID != "r" || e.Sub != "user-7" || e.At.String() != "2026-11-23T06:18:03.222Z" {
		t.Errorf("got %+v, %v", e, err)
	}
	for _, text := range []string{"", "{}", "[]", `{"type":"run.failed"}`, `{"channel":"a"}`} {
		if e, err := outbox.Decode([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, e)
		}
	}
}

// If nobody reads, the oldest events go, and are counted.
func TestLocal_bounded(t *testing.T) {
	l := outbox.NewLocal()
	for n := range 10_007 {
		l.Put(outbox.Event{Type: outbox.RunFailed, Channel: schemas.Channel(fmt.Sprint(n))})
	}
	first, err := l.Read(t.Context(), 0, 1)
	if err != nil || l.Dropped() != 7 || first[0].Channel != "7" || first[0].ID.Seq != 8 {
		t.Errorf("%d dropped, then %+v, %v", l.Dropped(), first, err)
	}
	if rest, err := l.Read(t.Context(), 0, 20_000); err != nil || len(rest) != 9_999 {
		t.Errorf("%d more, %v", len(rest), err)
	}
}

// So they do if those that nobody has read have large results.
func TestLocal_boundedBytes(t *testing.T) {
	l, result := outbox.NewLocal(), bytes.Repeat([]byte("1"), 1<<20)
	put := func() {
		l.Put(outbox.Event{Type: outbox.RunCompleted, Channel: "a", Run: &schemas.RunChange{Result: result}})
	}
	read := func() []outbox.Event {
		all, err := l.Read(t.Context(), 0, 20_000)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for range 100 {
		put()
	}
	if kept := read(); len(kept) < 60 || len(kept) > 64 || kept[len(kept)-1].ID.Seq != 100 || l.Dropped() != int64(100-len(kept)) {
		t.Errorf("%d events of a MiB are kept, and %d were dropped", len(kept), l.Dropped())
	}
	before := l.Dropped()
	for range 60 {
		put()
	}
	if kept := read(); len(kept) != 60 || l.Dropped() != before {
		t.Errorf("%d events are kept though all before were read", len(kept))
	}
}

// Events are read by whatever version comes later.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"channel.occupied","channel":"a"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := outbox.Decode(text); err == nil && (e.Type == "" || e.Channel == "") {
			t.Errorf("%q: %+v", text, e)
		}
	})
}
