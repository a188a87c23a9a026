package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// onDisk starts a server that keeps everything in a directory. It makes its own
// keys there, and it is not in a hurry to forget anything.
func onDisk(t testing.TB, dir string, args ...string) *server {
	t.Helper()
	return serve(t, nil, "sluice", append(diskArgs(dir), args...)...)
}

// launchOnDisk is onDisk for a start that may be refused.
func launchOnDisk(t testing.TB, dir string, args ...string) *process {
	t.Helper()
	return launch(t, nil, nil, "sluice", append(append(diskArgs(dir), "--listen=127.0.0.1:0"), args...)...)
}

// comesUp waits until a server serves, or has exited. It returns nil if it did not
// come to serve.
func comesUp(t testing.TB, p *process) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, patience))
	defer cancel()
	go func() { // ends with the process or with this call
		select {
		case <-p.ended:
		case <-ctx.Done():
		}
		cancel()
	}()
	if found, err := p.stdout.wait(ctx, 0, `listens on (\S+)\n`); err == nil {
		return &server{process: p, url: found[1], key: testKey}
	}
	select {
	case <-p.ended:
	default:
		t.Fatal("it neither serves nor ends")
	}
	return nil
}

func diskArgs(dir string) []string {
	return []string{
		"--data=" + dir, "--api-keys=" + testKey, "--drain-timeout=1s",
		"--replay-messages=1000000", "--replay-bytes=1GiB", "--replay-age=24h", "--memory=2GiB",
	}
}

// ends are the ways in which a server leaves: in order, or not.
func ends() map[string]func(testing.TB, *server) {
	return map[string]func(testing.TB, *server){
		"SIGTERM": func(t testing.TB, s *server) {
			t.Helper()
			s.signal(t, syscall.SIGTERM)
			if code := s.exitCode(t); code != 0 {
				t.Errorf("exit status %d, want 0", code)
			}
		},
		"SIGKILL": func(_ testing.TB, s *server) { s.kill() },
	}
}

// answer is what a test wants of an answer: of a receipt, of a problem, or of a
// channel.
type answer struct {
	status int
	header http.Header

	ID        string
	Type      string
	Detail    string
	Durable   bool
	Duplicate bool
	Token     string
	JTI       string
}

// ask sends a request with the API key, and with a key for a durable publish unless
// that is empty.
func (s *server) ask(t testing.TB, method, path, body, key string) (a answer) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, patience), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := newClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.status, a.header = resp.StatusCode, resp.Header
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("%s %s: %d %q: %v", method, path, resp.StatusCode, text, err)
		}
	}
	return a
}

// kept is a message as the history has it.
type kept struct {
	ID      string          `json:"id"`
	Channel string          `json:"channel"`
	Topic   string          `json:"topic"`
	Kind    string          `json:"kind"`
	RunID   string          `json:"run_id"`
	Data    json.RawMessage `json:"data"`
}

// seqOf returns the part of an id that grows.
func seqOf(t testing.TB, id string) uint64 {
	t.Helper()
	_, text, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("the id %q: %v", id, err)
	}
	return seq
}

// chapter is what can be had of a channel's history.
type chapter struct {
	status   int
	detail   string
	Messages []kept
	Gap      bool
	Next     string
}

// history returns all messages of a channel, which must be there without a gap.
func (s *server) history(t testing.TB, channel string) (all []kept) {
	t.Helper()
	p := s.tryHistory(t, channel)
	if p.status != http.StatusOK || p.Gap {
		t.Fatalf("the history of %s: %d, gap %t, %s", channel, p.status, p.Gap, p.detail)
	}
	return p.Messages
}

// tryHistory is history for a server that may refuse it.
func (s *server) tryHistory(t testing.TB, channel string) (all chapter) {
	t.Helper()
	c := newClient(t)
	defer c.CloseIdleConnections()
	for after := ""; ; {
		var text json.RawMessage
		var p struct {
			chapter
			Detail string
		}
		path := s.url + "/v1/channels/" + channel + "/messages?limit=1000"
		if after != "" {
			path += "&after=" + after
		}
		all.status = call(t, c, s.key, http.MethodGet, path, "", &text)
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all.detail = p.Detail
		all.Messages = append(all.Messages, p.Messages...)
		all.Gap = all.Gap || p.Gap
		if after = p.Next; after == "" || all.status != http.StatusOK {
			return all
		}
	}
}
