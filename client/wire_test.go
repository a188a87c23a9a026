package client_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/client"
)

const stream = "text/event-stream"

// transport answers requests in the test's own goroutine, so that everything stays in one
// synctest bubble.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// over returns a client whose requests are answered by t.
func over(t *testing.T, answer transport, opts ...client.Option) *client.Client {
	t.Helper()
	opts = append([]client.Option{client.WithHTTPClient(&http.Client{Transport: answer})}, opts...)
	c, err := client.New("http://sluice.test", "sk_test", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answer returns a response. Header lines have the form "Name: value".
func answer(status int, contentType string, body io.Reader, header ...string) *http.Response {
	h := http.Header{"Content-Type": {contentType}}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	return &http.Response{
		StatusCode: status,
		Status:     fmt.Sprint(status, " ", http.StatusText(status)),
		Header:     h,
		Body:       io.NopCloser(body),
	}
}

// events returns a response with status 200 and a stream that ends cleanly after text.
func events(text string) *http.Response {
	return answer(http.StatusOK, stream, strings.NewReader(text))
}

func openFrame(seq int) string {
	return fmt.Sprintf("retry: 1000\nid: k3f9-%d\nevent: $open\ndata: {\"id\":\"k3f9-%d\",\"resumed\":true,\"channels\":[\"c\"]}\n\n", seq, seq)
}

func messageFrame(seq int) string {
	return fmt.Sprintf("id: k3f9-%d\nevent: status\ndata: %s\n\n", seq, messageJSON(seq, `{"n":`+strconv.Itoa(seq)+`}`))
}

func messageJSON(seq int, data string) string {
	return fmt.Sprintf(`{"id":"k3f9-%d","channel":"c","topic":"status","kind":"data","data":%s,"created_at":"2026-11-23T06:18:03.222Z"}`, seq, data)
}

func closeFrame(code int, reason string, reconnect bool, retryAfterMS int) string {
	return fmt.Sprintf("id: k3f9-1\nevent: $close\ndata: {\"code\":%d,\"reason\":%q,\"reconnect\":%t,\"retry_after_ms\":%d}\n\n", code, reason, reconnect, retryAfterMS)
}
