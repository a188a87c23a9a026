package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestDisk_restart shows what a server on a disk still knows when it comes back:
// messages and their ids, durable publishes, runs, revocations, definitions, the keys
// that sign, and what was deleted.
func TestDisk_restart(t *testing.T) {
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := onDisk(t, dir)
			w := before(t, s)
			end(t, s)
			s = onDisk(t, dir)
			t.Run("messages", func(t *testing.T) { w.expectMessages(t, s) })
			t.Run("durable", func(t *testing.T) { w.expectDurable(t, s) })
			t.Run("run", func(t *testing.T) { w.expectRun(t, s) })
			t.Run("tokens", func(t *testing.T) { w.expectTokens(t, s) })
			t.Run("definitions", func(t *testing.T) { w.expectDefinitions(t, s) })
			t.Run("resume", func(t *testing.T) { w.expectResume(t, s) })
			t.Run("deleted", func(t *testing.T) { w.expectDeleted(t, s) })
		})
	}
}

// witness is what was told to clients before the restart.
type witness struct {
	ids           []string // of the numbers from 1 to 10
	durable       answer
	token         string
	revoked       string
	kids          []string
	deleted, gone string // ids of a channel before and after it was deleted
}

const (
	runBody    = `{"status":"completed","run_id":"r1","result":{"rows":3}}`
	definition = `{"topics":{"status":{"schema":{"type":"object","required":["message"]}}},"strict":true}`
)

// before does all that has to be there after a restart.
func before(t testing.TB, s *server) *witness {
	t.Helper()
	w := &witness{kids: s.publishedKids(t)}
	expect := func(a answer, status int) answer {
		t.Helper()
		if a.status != status {
			t.Fatalf("%d %s, want %d", a.status, a.Detail, status)
		}
		return a
	}
	w.deleted = s.publish(t, "deleted:1", "t", "1")
	expect(s.ask(t, "DELETE", "/v1/channels/deleted:1", "", ""), http.StatusNoContent)
	for n := 1; n <= 10; n++ {
		w.ids = append(w.ids, s.publish(t, runChannel, "status", fmt.Sprint(n)))
	}
	w.gone = s.publish(t, "other:1", "t", "1")
	w.durable = expect(s.ask(t, "POST", "/v1/publish/other:1/t", `"once"`, "key-1"), http.StatusCreated)
	expect(s.ask(t, "PUT", "/v1/channels/"+runChannel+"/run", runBody, ""), http.StatusOK)

	expect(s.ask(t, "PUT", "/v1/schemas/typed:%7Bid%7D", definition, ""), http.StatusCreated)
	expect(s.ask(t, "PUT", "/v1/schemas/untyped:%7Bid%7D", definition, ""), http.StatusCreated)
	expect(s.ask(t, "DELETE", "/v1/schemas/untyped:%7Bid%7D", "", ""), http.StatusNoContent)

	w.token = s.token(t, runChannel, "*")
	revoked := expect(s.ask(t, "POST", "/v1/tokens", `{"channel":"`+runChannel+`","topics":["*"]}`, ""), http.StatusCreated)
	w.revoked = revoked.Token
	expect(s.ask(t, "DELETE", "/v1/tokens/"+revoked.JTI, "", ""), http.StatusNoContent)
	return w
}

func (w *witness) expectMessages(t *testing.T, s *server) {
	got := s.history(t, runChannel)
	if len(got) != len(w.ids)+1 || got[len(w.ids)].Kind != "run" {
		t.Fatalf("%d messages, want %d and the run: %+v", len(got), len(w.ids), got)
	}
	for i, id := range w.ids {
		if m := got[i]; m.ID != id || string(m.Data) != fmt.Sprint(i+1) || m.Topic != "status" {
			t.Errorf("message %d is %+v, want the id %s", i+1, m, id)
		}
	}
	var list struct {
		Channels []struct {
			Channel  string
			Messages int
		}
	}
	s.call(t, http.MethodGet, "/v1/channels", "", &list)
	if got, want := fmt.Sprint(list.Channels), "[{other:1 2} {pipeline:run_42 11}]"; got != want {
		t.Errorf("the channels are %s, want %s", got, want)
	}
}

func (w *witness) expectDurable(t *testing.T, s *server) {
	a := s.ask(t, "POST", "/v1/publish/other:1/t", `"twice"`, "key-1")
	if a.status != http.StatusOK || a.ID != w.durable.ID || !a.Duplicate || !a.Durable || a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a publish with the same key: %+v, want the receipt of %s", a, w.durable.ID)
	}
	other := s.ask(t, "POST", "/v1/publish/other:2/t", `"another channel"`, "key-1")
	if other.status != http.StatusCreated {
		t.Errorf("the same key in another channel: %d, want 201", other.status)
	}
	last := w.durable.ID
	for _, id := range []string{other.ID, s.publish(t, "other:2", "t", "1")} {
		if epoch, was, _ := strings.Cut(last, "-"); !strings.HasPrefix(id, epoch+"-") || seqOf(t, id) <= seqOf(t, last) {
			t.Errorf("the id after %s-%s is %s", epoch, was, id)
		}
		last = id
	}
}

func (w *witness) expectRun(t *testing.T, s *server) {
	path := "/v1/channels/" + runChannel + "/run"
	if a := s.ask(t, "PUT", path, `{"status":"running","run_id":"r1"}`, ""); a.status != http.StatusConflict {
		t.Errorf("a finished run goes on: %d, want 409", a.status)
	}
	if a := s.ask(t, "PUT", path, runBody, ""); a.status != http.StatusOK || !a.Duplicate {
		t.Errorf("the same status again: %d, duplicate %t; want 200, true", a.status, a.Duplicate)
	}
	in, _ := s.subscribe(t, "channel="+runChannel, "")
	if e := in.expect(t, "$run"); !strings.Contains(e.Data, `"data":{"status":"completed","run_id":"r1","result":{"rows":3}}`) {
		t.Errorf("a new reader is told %s", e.Data)
	}
}

func (w *witness) expectTokens(t *testing.T, s *server) {
	if kids := s.publishedKids(t); !slices.Equal(kids, w.kids) || len(kids) == 0 {
		t.Errorf("the keys %v are published, want %v", kids, w.kids)
	}
	path := s.url + "/v1/channels/" + runChannel + "/messages"
	for token, want := range map[string]int{w.token: http.StatusOK, w.revoked: http.StatusUnauthorized} {
		if got := call(t, newClient(t), token, http.MethodGet, path, "", nil); got != want {
			t.Errorf("with the token: %d, want %d", got, want)
		}
	}
}

func (w *witness) expectDefinitions(t *testing.T, s *server) {
	for path, want := range map[string]int{
		"/v1/publish/typed:1/status":   http.StatusUnprocessableEntity,
		"/v1/publish/typed:1/other":    http.StatusUnprocessableEntity,
		"/v1/publish/untyped:1/status": http.StatusCreated,
	} {
		if a := s.ask(t, "POST", path, `{}`, ""); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	if a := s.ask(t, "POST", "/v1/publish/typed:1/status", `{"message":"x"}`, ""); a.status != http.StatusCreated {
		t.Errorf("what the definition allows: %d, want 201", a.status)
	}
}

// expectResume goes on from the fifth message, in a stream of one channel and in one
// of a pattern.
func (w *witness) expectResume(t *testing.T, s *server) {
	alone, opened := s.subscribe(t, "channel="+runChannel, w.ids[4])
	many, _ := s.subscribe(t, "channel=pipeline:*", w.ids[4])
	if opened.ID != w.ids[4] || !strings.Contains(opened.Data, `"resumed":true`) {
		t.Errorf("$open is %+v, want it resumed after %s", opened, w.ids[4])
	}
	fresh := s.publish(t, runChannel, "status", `"fresh"`)
	for _, in := range []*stream{alone, many} {
		for _, id := range append(slices.Clone(w.ids[5:]), "", fresh) {
			kind := "status"
			if id == "" {
				kind = "$run"
			}
			if e := in.expect(t, kind); id != "" && e.ID != id {
				t.Errorf("the reader got %+v, want %s", e, id)
			}
		}
	}
}

// expectDeleted wants what was deleted to stay so, and to be a gap for those who were
// there.
func (w *witness) expectDeleted(t *testing.T, s *server) {
	if p := s.tryHistory(t, "deleted:1"); p.status != http.StatusOK || len(p.Messages) != 0 {
		t.Errorf("a deleted channel: %d, %v", p.status, p.Messages)
	}
	epoch, _, _ := strings.Cut(w.deleted, "-")
	in, _ := s.subscribe(t, "channel=deleted:1", fmt.Sprintf("%s-%d", epoch, seqOf(t, w.deleted)-1))
	if e := in.expect(t, "$gap"); !strings.Contains(e.Data, `"channel":"deleted:1"`) {
		t.Errorf("$gap is %s", e.Data)
	}
	quiet, _ := s.subscribe(t, "channel=deleted:1", w.gone) // who comes from after it has lost nothing
	fresh := s.publish(t, "deleted:1", "t", "2")
	if e := quiet.expect(t, "t"); e.ID != fresh {
		t.Errorf("got %+v, want %s", e, fresh)
	}
}
