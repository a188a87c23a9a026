package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// clientFor returns an HTTP client of one test, for the given protocols.
func clientFor(t testing.TB, roots *tls.Config, configure func(*http.Protocols)) *http.Client {
	protocols := new(http.Protocols)
	configure(protocols)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: roots}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// newClient returns an HTTP/1.1 client of one test.
func newClient(t testing.TB) *http.Client {
	return clientFor(t, nil, func(p *http.Protocols) { p.SetHTTP1(true) })
}

// call sends a request with a JSON body and decodes the answer into into, unless
// that is nil. It returns the status.
func call(t testing.TB, c *http.Client, credential, method, url, body string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, patience), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s %s: %d %q: %v", method, url, resp.StatusCode, answer, err)
		}
	}
	return resp.StatusCode
}

// call sends a request with the API key.
func (s *server) call(t testing.TB, method, path, body string, into any) int {
	t.Helper()
	return call(t, newClient(t), s.key, method, s.url+path, body, into)
}

// published is the answer to a publish: a receipt, or a problem.
type published struct {
	ID     string `json:"id"`
	Status int    `json:"status"`
}

// publish publishes data, which is JSON, and returns its id.
func (s *server) publish(t testing.TB, channel, topic, data string) string {
	t.Helper()
	var p published
	if status := s.call(t, http.MethodPost, "/v1/publish/"+channel+"/"+topic, data, &p); status != http.StatusCreated {
		t.Fatalf("publish to %s: %d", channel, status)
	}
	return p.ID
}

// item returns a line for publishing many messages.
func item(channel, topic, data string) string {
	return fmt.Sprintf(`{"channel":%q,"topic":%q,"data":%s}`+"\n", channel, topic, data)
}

// publishMany publishes lines over one connection, without waiting for answers
// in between, and returns the ids.
func (s *server) publishMany(ctx context.Context, t testing.TB, lines io.Reader) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/publish", lines)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := newClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range bytes.Lines(answer) {
		var p published
		if err := json.Unmarshal(line, &p); err != nil || p.ID == "" {
			t.Fatalf("publish: %s, %v", line, err)
		}
		ids = append(ids, p.ID)
	}
	return ids
}

// token mints a token to subscribe to a channel.
func (s *server) token(t testing.TB, channel string, topics ...string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"channel": channel, "topics": topics})
	if err != nil {
		t.Fatal(err)
	}
	var minted struct{ Token string }
	if status := s.call(t, http.MethodPost, "/v1/tokens", string(body), &minted); status != http.StatusCreated {
		t.Fatalf("token: %d", status)
	}
	return minted.Token
}
