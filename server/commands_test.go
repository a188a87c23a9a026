package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// fakeServer answers like a server and notes what it was asked. What a real one
// makes of it is told by the scripts.
func fakeServer(t *testing.T) (url string, asked *[]string) {
	asked = new([]string)
	mux := http.NewServeMux()
	note := func(r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = append(*asked, strings.TrimSpace(fmt.Sprint(r.Method, " ", r.URL.RequestURI(), " ", string(body))))
	}
	const receipt = `{"id":"e-1","channel":"c","topic":"t","kind":"data","created_at":"2026-11-23T06:18:03.222Z","durable":false,"duplicate":false}`
	answer := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { note(r); io.WriteString(w, text) }
	}
	mux.Handle("POST /v1/publish/{channel}/{topic}", answer(receipt))
	mux.Handle("PUT /v1/channels/{channel}/run", answer(receipt))
	mux.Handle("POST /v1/publish/{channel}/{topic}/stream", answer(`{"stream_id":"s","chunks":1,"bytes":2,"first_id":"e-1","last_id":"e-3"}`))
	mux.Handle("POST /v1/tokens", answer(`{"token":"tok","token_type":"Bearer","jti":"j","expires_at":"2026-11-23T06:18:03.222Z","subscribe_url":"http://h/?a=1&b=2"}`))
	mux.Handle("GET /healthz", answer("{}"))
	mux.HandleFunc("POST /v1/publish", func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		control.EnableFullDuplex()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); control.Flush() {
			*asked = append(*asked, lines.Text())
			if strings.Contains(lines.Text(), "refuse") {
				io.WriteString(w, `{"title":"Too large","status":413}`+"\n")
				continue
			}
			io.WriteString(w, receipt+"\n")
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestRun_commands(t *testing.T) {
	const receipt = `{"id":"e-1","channel":"c","topic":"t","kind":"data","created_at":"2026-11-23T06:18:03.222Z","durable":false,"duplicate":false}` + "\n"
	tests := []struct {
		name, stdin  string
		args         []string
		asked        string // lines
		stdout, want string // want: the error
	}{
		{name: "publish", args: []string{"publish", "c", "t", `{"a":1}`}, asked: `POST /v1/publish/c/t {"a":1}`, stdout: receipt},
		{name: "publish text", args: []string{"publish", "c", "t", "--text", "hi <b>", "--run-id=r"}, asked: `POST /v1/publish/c/t?run_id=r "hi <b>"`, stdout: receipt},
		{name: "publish stdin", args: []string{"publish", "c", "t", "-"}, stdin: "[1]\n", asked: `POST /v1/publish/c/t [1]`, stdout: receipt},
		{name: "publish stdin by default", args: []string{"publish", "c", "t"}, stdin: "2", asked: `POST /v1/publish/c/t 2`, stdout: receipt},
		{name: "stream", args: []string{"publish", "c", "t", "--stream"}, stdin: "hi", asked: `POST /v1/publish/c/t/stream hi`, stdout: `{"stream_id":"s","chunks":1,"bytes":2,"first_id":"e-1","last_id":"e-3"}` + "\n"},
		{name: "lines", args: []string{"publish", "c", "t", "-", "--lines"}, stdin: "1\r\n\n{\"b\":2}\n", asked: `{"channel":"c","topic":"t","data":1}` + "\n" + `{"channel":"c","topic":"t","data":{"b":2}}`, stdout: receipt + receipt},
		{name: "lines of text", args: []string{"publish", "c", "t", "--lines", "--text"}, stdin: "a\n\n", asked: `{"channel":"c","topic":"t","data":"a"}` + "\n" + `{"channel":"c","topic":"t","data":""}`, stdout: receipt + receipt},
		{name: "a line is refused", args: []string{"publish", "c", "t", "--lines", "--text"}, stdin: "a\nrefuse\nb\n", asked: `{"channel":"c","topic":"t","data":"a"}` + "\n" + `{"channel":"c","topic":"t","data":"refuse"}` + "\n" + `{"channel":"c","topic":"t","data":"b"}`, stdout: receipt + receipt, want: "1 of 3 messages were refused"},
		{name: "a line is no JSON", args: []string{"publish", "c", "t", "--lines"}, stdin: "1\n{\n3\n", asked: `{"channel":"c","topic":"t","data":1}`, stdout: receipt, want: "line 2: the message is not JSON; with --text any text becomes a JSON string"},
		{name: "run", args: []string{"run", "c", "failed", "--error=x", "--run-id=r"}, asked: `PUT /v1/channels/c/run {"status":"failed","run_id":"r","error":"x"}`, stdout: receipt},
		{name: "run result", args: []string{"run", "c", "completed", "--result=[1]"}, asked: `PUT /v1/channels/c/run {"status":"completed","result":[1]}`, stdout: receipt},
		{name: "token", args: []string{"token", "c", "d:*", "--topic=a", "--topic=b", "--publish=p", "--sub=u", "--ttl=1h"}, asked: `POST /v1/tokens {"sub":"u","subscribe":[{"channel":"c","topics":["a","b"]},{"channel":"d:*","topics":["a","b"]}],"publish":[{"channel":"c","topics":["p"]},{"channel":"d:*","topics":["p"]}],"ttl":"1h0m0s"}`, stdout: "tok\n"},
		{name: "token json", args: []string{"token", "c", "--json"}, asked: `POST /v1/tokens {"subscribe":[{"channel":"c","topics":["*"]}],"ttl":"10m0s"}`, stdout: `{"token":"tok","token_type":"Bearer","jti":"j","expires_at":"2026-11-23T06:18:03.222Z","subscribe_url":"http://h/?a=1&b=2"}` + "\n"},
		{name: "health", args: []string{"health"}, asked: "GET /healthz", stdout: "alive\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, asked := fakeServer(t)
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), tt.args, []string{"SLUICE_URL=" + url}, strings.NewReader(tt.stdin), &stdout, &stderr)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if usage := (*usageError)(nil); errors.As(err, &usage) {
				t.Errorf("a fault while running counts as wrong use: %v", err)
			}
			if got := strings.Join(*asked, "\n"); got != tt.asked {
				t.Errorf("the server was asked\n%s\nwant\n%s", got, tt.asked)
			}
			if stdout.String() != tt.stdout {
				t.Errorf("printed\n%s\nwant\n%s", &stdout, tt.stdout)
			}
		})
	}
}

// A server that is busy is asked again, as often as the flag says.
func TestRun_publishRetries(t *testing.T) {
	for _, tt := range []struct{ flag, want string }{
		{"--retries=0", "503 Draining"},
		{"--retries=1", ""},
	} {
		t.Run(tt.flag, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked == 1 {
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusServiceUnavailable)
					io.WriteString(w, `{"type":"/problems/draining","title":"Draining","status":503}`)
					return
				}
				io.WriteString(w, `{"id":"e-1"}`)
			}))
			defer server.Close()
			err := run(t.Context(), []string{"publish", "c", "t", "1", tt.flag}, []string{"SLUICE_URL=" + server.URL}, nil, io.Discard, io.Discard)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
				t.Errorf("after %d requests: %v", asked, err)
			}
		})
	}
}

// What waits for standard input must not hold the program back when it is told
// to end.
func TestRun_publishInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stdin, feed := io.Pipe()
	defer feed.Close()
	reading := make(chan struct{})
	in := readerFunc(func(p []byte) (int, error) { close(reading); return stdin.Read(p) })
	go func() { <-reading; cancel() }()
	err := run(ctx, []string{"publish", "c", "t"}, nil, in, io.Discard, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
