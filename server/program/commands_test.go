package program

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
		{name: "publish", args: []string{"publish", "c", "t", `{"a":1}`}, asked: `POST /v1/publish/$/$?channel=c&topic=t {"a":1}`, stdout: receipt},
		{name: "publish a negative number", args: []string{"publish", "c", "t", "-5"}, asked: `POST /v1/publish/$/$?channel=c&topic=t -5`, stdout: receipt},
		{name: "publish a negative number as text", args: []string{"publish", "c", "t", "-0.5e1", "--text"}, asked: `POST /v1/publish/$/$?channel=c&topic=t "-0.5e1"`, stdout: receipt},
		{name: "a channel that is a number", args: []string{"publish", "-7", "t", "1"}, asked: `POST /v1/publish/$/$?channel=-7&topic=t 1`, stdout: receipt},
		{name: "a dash as text", args: []string{"publish", "c", "t", "--text", "--", "-h"}, asked: `POST /v1/publish/$/$?channel=c&topic=t "-h"`, stdout: receipt},
		{name: "a number as a result", args: []string{"run", "c", "completed", "--result", "-5", "--run-id", "-6"}, asked: `PUT /v1/channels/$/run?channel=c {"status":"completed","run_id":"-6","result":-5}`, stdout: receipt},
		{name: "channels that are numbers", args: []string{"token", "-1", "--topic", "-2"}, asked: `POST /v1/tokens {"subscribe":[{"channel":"-1","topics":["-2"]}],"ttl":"10m0s"}`, stdout: "tok\n"},
		{name: "publish text", args: []string{"publish", "c", "t", "--text", "hi <b>", "--run-id=r"}, asked: `POST /v1/publish/$/$?channel=c&run_id=r&topic=t "hi <b>"`, stdout: receipt},
		{name: "publish stdin", args: []string{"publish", "c", "t", "-"}, stdin: "[1]\n", asked: `POST /v1/publish/$/$?channel=c&topic=t [1]`, stdout: receipt},
		{name: "publish stdin by default", args: []string{"publish", "c", "t"}, stdin: "2", asked: `POST /v1/publish/$/$?channel=c&topic=t 2`, stdout: receipt},
		{name: "stream", args: []string{"publish", "c", "t", "--stream", "--id=a:1", "--run-id=r"}, stdin: "hi", asked: `POST /v1/publish/$/$/stream?channel=c&run_id=r&stream_id=a%3A1&topic=t hi`, stdout: `{"stream_id":"s","chunks":1,"bytes":2,"first_id":"e-1","last_id":"e-3"}` + "\n"},
		{name: "stream, a later attempt", args: []string{"publish", "c", "t", "-", "--stream", "--id", "s", "--attempt", "3"}, stdin: "hi", asked: `POST /v1/publish/$/$/stream?attempt=3&channel=c&stream_id=s&topic=t hi`, stdout: `{"stream_id":"s","chunks":1,"bytes":2,"first_id":"e-1","last_id":"e-3"}` + "\n"},
		{name: "stream without retries", args: []string{"publish", "c", "t", "--stream", "--retries=0"}, stdin: "hi", asked: `POST /v1/publish/$/$/stream?channel=c&topic=t hi`, stdout: `{"stream_id":"s","chunks":1,"bytes":2,"first_id":"e-1","last_id":"e-3"}` + "\n"},
		{name: "lines", args: []string{"publish", "c", "t", "-", "--lines"}, stdin: "1\r\n\n{\"b\":2}\n", asked: `{"channel":"c","topic":"t","data":1}` + "\n" + `{"channel":"c","topic":"t","data":{"b":2}}`, stdout: receipt + receipt},
		{name: "lines of text", args: []string{"publish", "c", "t", "--lines", "--text"}, stdin: "a\n\n", asked: `{"channel":"c","topic":"t","data":"a"}` + "\n" + `{"channel":"c","topic":"t","data":""}`, stdout: receipt + receipt},
		{name: "a line is refused", args: []string{"publish", "c", "t", "--lines", "--text"}, stdin: "a\nrefuse\nb\n", asked: `{"channel":"c","topic":"t","data":"a"}` + "\n" + `{"channel":"c","topic":"t","data":"refuse"}` + "\n" + `{"channel":"c","topic":"t","data":"b"}`, stdout: receipt + receipt, want: "1 of 3 messages were refused"},
		{name: "a line is no JSON", args: []string{"publish", "c", "t", "--lines"}, stdin: "1\n{\n3\n", asked: `{"channel":"c","topic":"t","data":1}`, stdout: receipt, want: "line 2: the message is not JSON; with --text any text becomes a JSON string"},
		{name: "run", args: []string{"run", "c", "failed", "--error=x", "--run-id=r"}, asked: `PUT /v1/channels/$/run?channel=c {"status":"failed","run_id":"r","error":"x"}`, stdout: receipt},
		{name: "run result", args: []string{"run", "c", "completed", "--result=[1]"}, asked: `PUT /v1/channels/$/run?channel=c {"status":"completed","result":[1]}`, stdout: receipt},
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

// A key is for the address that it was given for. A command says where the server
// sends it, and sends nothing there.
func TestRun_redirected(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/there", http.StatusTemporaryRedirect))
	defer server.Close()
	for _, args := range [][]string{
		{"publish", "c", "t", "1"},
		{"run", "c", "running"},
		{"subscribe", "c"},
		{"schemas", "list"},
		{"health"},
	} {
		err := run(t.Context(), args, []string{"SLUICE_URL=" + server.URL}, nil, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "redirects to another address") || !strings.Contains(err.Error(), elsewhere.URL+"/there") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if asked > 0 {
		t.Errorf("%d requests went elsewhere", asked)
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

// A text goes on where the connection was lost.
func TestRun_publishStreamGoesOn(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Query().Get("offset"))
		switch len(asked) {
		case 1:
			io.ReadFull(r.Body, make([]byte, 3))
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.Close()
		case 2:
			w.Header().Set("Stream-Attempt", "1")
			w.Header().Set("Stream-Offset", "3")
			w.Header().Set("Stream-State", "open")
		default:
			body, _ := io.ReadAll(r.Body)
			asked[2] += " " + string(body)
			io.WriteString(w, `{"stream_id":"s"}`)
		}
	}))
	defer server.Close()
	var stdout bytes.Buffer
	err := run(t.Context(), []string{"publish", "c", "t", "--stream"}, []string{"SLUICE_URL=" + server.URL}, strings.NewReader("Hello"), &stdout, io.Discard)
	if err != nil || !strings.Contains(stdout.String(), `"stream_id":"s"`) {
		t.Errorf("printed %s, %v", &stdout, err)
	}
	if got := strings.Join(asked, ", "); got != "POST , HEAD , POST 2 llo" {
		t.Errorf("the server was asked %s", got)
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

func TestRun_publishStreamInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 1))
		cancel()
		io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	stdin, feed := io.Pipe()
	defer feed.Close()
	in := io.MultiReader(strings.NewReader("a"), stdin)
	err := run(ctx, []string{"publish", "c", "t", "--stream"}, []string{"SLUICE_URL=" + server.URL}, in, io.Discard, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
