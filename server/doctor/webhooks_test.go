package doctor_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/server/doctor"
	"github.com/sluicehq/sluice/webhooks"
)

// What is wrong with webhooks is told: a receiver that fails, one that has missed something,
// and a file that was refused.
func TestExamine_webhooks(t *testing.T) {
	var status atomic.Int64
	status.Store(http.StatusOK)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer receiver.Close()
	file := filepath.Join(t.TempDir(), "webhooks.yaml")
	good := "webhooks: [{url: " + receiver.URL + ", secret: " + webhooks.NewSecret() + "}]"
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(good)
	box := outbox.NewLocal()
	sender := must(webhooks.New(webhooks.Options{File: file, Outboxes: []outbox.Store{box}, Allow: webhooks.Loopback()}))
	defer sender.Close()
	target, _ := serve(t, sender)
	expect := func(level doctor.Level, part string) {
		t.Helper()
		f := examine(t, doctor.Patient{URL: target.String(), APIKey: apiKey, Patience: time.Minute})["webhooks"]
		if f.Level != level || !strings.Contains(f.Found, part) {
			t.Errorf("got %+v, want %s, %q", f, level, part)
		}
	}
	happen := func(done func() bool) {
		box.Put(outbox.Event{Type: outbox.RunCompleted, Channel: "a", At: schemas.TimeOf(time.Now()), Run: new(schemas.RunChange)})
		for !done() {
			<-time.After(time.Millisecond) // the receiver is real
		}
	}
	expect(doctor.Fine, "1 in the file")
	status.Store(http.StatusInternalServerError)
	happen(func() bool { return sender.Stats().FailedAttempts > 0 })
	expect(doctor.Warning, "it answered 500")
	write("webhooks: {}")
	for sender.Fault() == "" {
		<-time.After(time.Millisecond) // the file is looked at now and then
	}
	expect(doctor.Warning, "was refused")
}
