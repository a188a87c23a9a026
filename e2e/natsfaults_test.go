package e2e_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/internal/natstest"
)

// TestNATS_unsuitable shows that servers of NATS which cannot be what is wanted of them
// are a fault of the configuration, told by name and soon.
func TestNATS_unsuitable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, config, args, says string }{
		{"JetStream is off", "jetstream: false", "--dev", "JetStream is not enabled"},
		{"short messages", "max_payload: 8KB", "--dev", "max_payload"},
		{"no replicas", "", "--nats-replicas=3", "--nats-replicas"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, nil, nil, "sluice", "--dev", "--listen=127.0.0.1:0", "--nats="+natstest.Start(t, tt.config).URL(), tt.args)
			if code := p.exitCode(t); code != 2 || !strings.Contains(p.stderr.String(), tt.says) {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// asked is a request to a node that cannot reach NATS.
type asked struct{ method, path, body, accept string }

// TestNATS_silent shows what those are told who ask before it is noticed that NATS does
// not answer: to come again, and never that something went wrong here.
func TestNATS_silent(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, "")
	s := serve(t, nil, "sluice", "--api-keys="+testKey, "--nats="+nats.URL(), "--nats-timeout=2s")
	nats.Stop()
	defer nats.Continue()
	var all sync.WaitGroup
	for _, a := range []asked{
		{method: "POST", path: "/v1/publish/a/t", body: "1"},
		{method: "POST", path: "/v1/publish", body: `[{"channel":"a","topic":"t","data":1}]`},
		{method: "PUT", path: "/v1/channels/a/run", body: `{"status":"completed"}`},
		{method: "GET", path: "/v1/channels"},
		{method: "GET", path: "/v1/channels/a"},
		{method: "GET", path: "/v1/channels/a/messages"},
		{method: "DELETE", path: "/v1/channels/a"},
		{method: "DELETE", path: "/v1/tokens/some-token-id"},
		{method: "DELETE", path: "/v1/subscribers?sub=u"},
		{method: "PUT", path: "/v1/schemas/a", body: `{"topics":{"t":{}}}`},
		{method: "GET", path: "/v1/subscribe?channel=new", accept: "text/event-stream"},
		{method: "GET", path: "/v1/subscribe?channel=new", accept: "text/event-stream"},
		{method: "GET", path: "/v1/subscribe?channel=other&channel=p:*&replay=all", accept: "text/event-stream"},
		{method: "GET", path: "/v1/subscribe?channel=lines", accept: "application/x-ndjson"},
	} {
		all.Go(func() {
			status, body := a.ask(t, s)
			told := status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout || status == http.StatusOK && a.method == "POST" && strings.Contains(body, `"status":50`)
			if a.accept == "text/event-stream" {
				told = status == http.StatusOK && strings.Contains(body, `"code":4005`) && strings.Contains(body, `"reconnect":true`)
			}
			if !told {
				t.Errorf("%s %s: %d %s", a.method, a.path, status, body)
			}
		})
	}
	all.Wait()
}

// ask returns the status and the whole body of the answer.
func (a asked) ask(t testing.TB, s *server) (status int, body string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, a.method, s.url+a.path, strings.NewReader(a.body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Authorization", "Bearer "+testKey)
	req.Header.Set("Accept", a.accept)
	if a.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("%s %s: %v", a.method, a.path, err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: %v after %q", a.method, a.path, err, text)
	}
	return resp.StatusCode, string(text)
}
