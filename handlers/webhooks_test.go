package handlers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker/engine/outbox"
	"github.com/sluicehq/sluice/webhooks"
)

// A run that ends is posted, and GET /v1/webhooks and the metrics say so. Neither shows a
// secret.
func (s *suite) webhooks(t *testing.T) {
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path }))
	defer receiver.Close()
	file := filepath.Join(t.TempDir(), "webhooks.yaml")
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	target := strings.Replace(receiver.URL, "http://", "http://user:hunter2@", 1) + "/hook?token=hunter2"
	if err := os.WriteFile(file, fmt.Appendf(nil, "webhooks: [{url: '%s', secret: %s, channels: ['a:*']}]", target, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	box := outbox.NewLocal()
	sender, err := webhooks.New(webhooks.Options{File: file, Outboxes: []outbox.Store{box}, Allow: webhooks.Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	srv := s.start(t, func(o *setup) { o.broker.Outbox, o.handlers.Webhooks = box, sender })
	for _, body := range []string{`{"status":"running","run_id":"r1"}`, `{"status":"completed","run_id":"r1"}`, `{"status":"completed","run_id":"r1"}`} {
		srv.check(t, call{method: "PUT", path: "/v1/channels/a:1/run", body: body, as: apiKey, status: 200})
		srv.check(t, call{method: "PUT", path: "/v1/channels/b/run", body: body, as: apiKey, status: 200})
	}
	if path := <-got; path != "/hook" {
		t.Errorf("posted to %s", path)
	}
	srv.awaitMetric(t, "sluice_webhook_events_delivered_total", "1")
	for series, want := range map[string]string{
		"sluice_webhook_events_pending": "0", "sluice_webhook_failed_attempts_total": "0", `sluice_webhook_events_given_up_total{reason="expired"}`: "0",
	} {
		if n := srv.metric(t, series); n != want {
			t.Errorf("%s is %s", series, n)
		}
	}
	text := srv.check(t, call{method: "GET", path: "/v1/webhooks", as: apiKey, status: 200}).body
	for _, part := range []string{`{"webhooks":[{"url":"` + receiver.URL + `/hook","events":["*"],"channels":["a:*"],"pending":0,"delivered":1,"given_up":0,"last_attempt":"`, `"last_status":200,"last_error":"","next_attempt":null}],"sending":true}`} {
		if !strings.Contains(text, part) {
			t.Errorf("%s has no %s", text, part)
		}
	}
	if strings.Contains(text, "hunter2") || strings.Contains(text, secret) {
		t.Errorf("a secret is shown: %s", text)
	}
	// What came first has come once.
	srv.check(t, call{method: "PUT", path: "/v1/channels/a:1/run", body: `{"status":"failed","run_id":"r2"}`, as: apiKey, status: 200})
	srv.awaitMetric(t, "sluice_webhook_events_delivered_total", "2")
	if n := len(got); n != 1 {
		t.Errorf("%d further requests", n)
	}
}
