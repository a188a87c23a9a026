package webhooks_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/webhooks"
)

// journal is a log that a test reads.
type journal struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

// Write implements [io.Writer].
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

// newSender returns a sender to r that ends with the test.
func newSender(t *testing.T, document string, r *receiver, change ...func(*webhooks.Options)) *sent {
	t.Helper()
	s := &sent{t: t, box: outbox.NewLocal(), file: filepath.Join(t.TempDir(), "webhooks.yaml"), log: new(journal)}
	s.write(document)
	o := webhooks.Options{File: s.file, Outboxes: []outbox.Store{s.box}, Log: slog.New(slog.NewTextHandler(s.log, nil))}
	o.DialWith(r.dial)
	for _, f := range change {
		f(&o)
	}
	var err error
	if s.Sender, err = webhooks.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
