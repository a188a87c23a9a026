package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/natstest"
)

// hookSecret signs what receivers in tests get.
const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hookReceiver is a receiver of webhooks that fails, hangs and comes back as a test says.
type hookReceiver struct {
	url string

	mu       sync.Mutex
	accepted []hookEvent          // guarded by mu; in order
	attempts map[string]int       // guarded by mu; by webhook-id
	answer   func(hookEvent) bool // guarded by mu; whether an event is accepted; it may take its time
}

// hookEvent is an event as it came.
type hookEvent struct {
	id   string
	Type string
	Data struct {
		Channel string
		ID      string
		RunID   string `json:"run_id"`
	}
}

// what returns what has happened.
func (e *hookEvent) what() string { return e.Type + " " + e.Data.Channel + " " + e.Data.RunID }

func receiveHooks(t testing.TB) *hookReceiver {
	t.Helper()
	r := &hookReceiver{attempts: make(map[string]int)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		e := hookEvent{id: q.Header.Get("webhook-id")}
		body, err := io.ReadAll(q.Body)
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		r.attempts[e.id]++
		answer := r.answer
		r.mu.Unlock()
		if answer != nil && !answer(e) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.accepted = append(r.accepted, e)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

// answers says how events are answered from now on.
func (r *hookReceiver) answers(f func(hookEvent) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func (r *hookReceiver) attempted() (events, attempts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.attempts {
		attempts += n
	}
	return len(r.attempts), attempts
}

// got returns what was accepted, and how often the same event came again.
func (r *hookReceiver) got() (whats []string, again int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[string]bool)
	for _, e := range r.accepted {
		if seen[e.id] {
			again++
			continue
		}
		seen[e.id] = true
		whats = append(whats, e.what())
	}
	return whats, again
}

// args returns the flags of a server whose events go to r.
func (r *hookReceiver) args(t testing.TB) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "webhooks.yaml")
	replace(t, file, fmt.Appendf(nil, "webhooks: [{url: %s, secret: %s}]", r.url, hookSecret))
	return []string{"--webhooks=" + file, "--webhooks-allow=127.0.0.0/8"}
}

// endRun ends a run.
func (s *server) endRun(t testing.TB, channel, run string) {
	t.Helper()
	if a := s.ask(t, "PUT", "/v1/channels/"+channel+"/run", `{"status":"completed","run_id":"`+run+`"}`, ""); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.Detail)
	}
}

// TestWebhooks_restart has a server end, in order or not, while its receiver does not answer.
// The next one sends everything, once and in order.
func TestWebhooks_restart(t *testing.T) {
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, r := t.TempDir(), receiveHooks(t)
			args := r.args(t)
			s := onDisk(t, dir, args...)
			s.endRun(t, "early:1", "r0")
			eventually(t, func() bool { whats, _ := r.got(); return len(whats) == 1 })
			s.endRun(t, "early:2", "r0") // whether that was noted when the server ends is open
			r.answers(func(hookEvent) bool { return false })
			var want []string
			for n := range 30 {
				channel, run := fmt.Sprint("late:", n%3), fmt.Sprint("r", n)
				s.endRun(t, channel, run)
				want = append(want, "run.completed "+channel+" "+run)
			}
			eventually(t, func() bool { _, attempts := r.attempted(); return attempts > 5 })
			end(t, s)
			r.answers(nil)
			s = onDisk(t, dir, args...)
			expectHooks(t, r, append(want, "run.completed early:1 r0", "run.completed early:2 r0"))
			if a := s.ask(t, "GET", "/v1/webhooks", "", ""); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.Detail)
			}
		})
	}
}

// TestWebhooks_nodes kills the node that sends, while its receiver fails, hangs and answers late.
// Another one goes on, and everything comes once and in order, wherever the runs ended.
func TestWebhooks_nodes(t *testing.T) {
	t.Parallel()
	for name, shards := range map[string]string{"one stream": "1", "two shards": "2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, nats := receiveHooks(t), natstest.Start(t, "")
			args := append(r.args(t), "--api-keys="+testKey, "--nats="+nats.URL(), "--nats-shards="+shards, "--drain-timeout=1s")
			nodes := []*server{serve(t, nil, "sluice", args...), serve(t, nil, "sluice", args...), serve(t, nil, "sluice", args...)}
			var want []string
			end := func(n int, on *server) {
				channel, run := fmt.Sprint("run:", n%5), fmt.Sprint("r", n)
				on.endRun(t, channel, run)
				want = append(want, "run.completed "+channel+" "+run)
			}
			for n := range 20 {
				end(n, nodes[n%3])
			}
			expectHooks(t, r, want)
			for _, n := range nodes {
				eventually(t, func() bool { return n.hooksDelivered(t) == len(want) })
			}
			if _, again := r.got(); again > 0 {
				t.Errorf("%d events came again though nothing was disturbed", again)
			}
			var turn atomic.Int64
			r.answers(func(hookEvent) bool {
				switch turn.Add(1) % 4 {
				case 0:
					return false
				case 1:
					<-time.After(300 * time.Millisecond)
				}
				return true
			})
			for n := range 20 {
				end(20+n, nodes[n%3])
			}
			sender := slices.IndexFunc(nodes, func(n *server) bool { return n.sendsHooks(t) })
			if sender < 0 {
				t.Fatal("no node sends")
			}
			nodes[sender].kill()
			left := slices.Delete(slices.Clone(nodes), sender, sender+1)
			for n := range 20 {
				end(40+n, left[n%2])
			}
			expectHooks(t, r, want)
			left[0].signal(t, syscall.SIGTERM)
			left[0].exitCode(t)
			end(60, left[1])
			expectHooks(t, r, want)
			if _, again := r.got(); again > 8*2 { // what was open when a node was killed
				t.Errorf("%d events came again", again)
			}
		})
	}
}

// hooksDelivered returns how many events were delivered, as a node tells it.
func (s *server) hooksDelivered(t testing.TB) int {
	t.Helper()
	var now struct{ Webhooks []struct{ Delivered int } }
	if status := s.call(t, "GET", "/v1/webhooks", "", &now); status != http.StatusOK || len(now.Webhooks) != 1 {
		t.Fatal(status, now)
	}
	return now.Webhooks[0].Delivered
}

// sendsHooks reports whether the node says that it sends.
func (s *server) sendsHooks(t testing.TB) bool {
	t.Helper()
	return s.metric(t, "sluice_webhook_sending") == 1
}

// expectHooks waits until everything has come, and checks that it came in order for each channel.
func expectHooks(t testing.TB, r *hookReceiver, want []string) {
	t.Helper()
	eventually(t, func() bool { whats, _ := r.got(); return len(whats) >= len(want) })
	whats, again := r.got()
	t.Logf("%d events, %d of them came again", len(whats), again)
	if got, all := slices.Sorted(slices.Values(whats)), slices.Sorted(slices.Values(want)); !slices.Equal(got, all) {
		t.Errorf("got  %q\nwant %q", got, all)
	}
	for _, of := range want {
		_, channel, _ := strings.Cut(of, " ")
		channel, _, _ = strings.Cut(channel, " ")
		other := func(what string) bool { return !strings.Contains(what, " "+channel+" ") }
		got, expected := slices.DeleteFunc(slices.Clone(whats), other), slices.DeleteFunc(slices.Clone(want), other)
		if !slices.Equal(got, expected) {
			t.Fatalf("%s: got %q, want %q", channel, got, expected)
		}
	}
}

// TestWebhooks_command sends a test event.
func TestWebhooks_command(t *testing.T) {
	t.Parallel()
	r := receiveHooks(t)
	secret := strings.TrimSpace(command(t, "sluice", "webhooks", "secret"))
	if out := command(t, "sluice", "webhooks", "test", "--url", r.url, "--secret", secret); out != "accepted: 204\n" {
		t.Errorf("it prints %q", out)
	}
	r.answers(func(hookEvent) bool { return false })
	p := launch(t, nil, nil, "sluice", "webhooks", "test", "--url", r.url, "--secret", secret)
	if code := p.exitCode(t); code != 1 || !strings.Contains(p.stderr.String(), "it answered 503") {
		t.Errorf("exit status %d: %s", code, p.stderr)
	}
}

// TestDocs_webhooks runs the receivers of docs/webhooks.md.
func TestDocs_webhooks(t *testing.T) {
	t.Parallel()
	all := pages(t)
	p := all[slices.IndexFunc(all, func(p page) bool { return p.name == "webhooks.md" })]
	for lang, run := range map[string]func(t *testing.T, text, dir string) []string{
		"ts": func(t *testing.T, text, dir string) []string {
			file := filepath.Join(dir, "receiver.mjs")
			replace(t, file, []byte(text))
			return []string{"node", file}
		},
		"go": func(t *testing.T, text, dir string) []string {
			file, program := filepath.Join(dir, "receiver.go"), filepath.Join(dir, "receiver")
			replace(t, file, []byte(text))
			if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, file).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return []string{program}
		},
	} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			words, address := run(t, p.of(lang)[0].text, t.TempDir()), freeAddress(t)
			_, port, _ := strings.Cut(address, ":")
			receiver := launch(t, nil, []string{"WEBHOOK_SECRET=" + hookSecret, "PORT=" + port}, words[0], words[1:]...)
			url := "http://" + address + "/"
			test := func(secret string) string {
				p := launch(t, nil, nil, "sluice", "webhooks", "test", "--url", url, "--secret", secret)
				p.exitCode(t)
				return p.stdout.String() + p.stderr.String()
			}
			eventually(t, func() bool { return strings.Contains(test(hookSecret), "accepted: 204") })
			if out := test("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); !strings.Contains(out, "it answered 401") {
				t.Errorf("another secret: %s", out)
			}
			file := filepath.Join(t.TempDir(), "webhooks.yaml")
			replace(t, file, fmt.Appendf(nil, "webhooks: [{url: '%s', secret: %s}]", url, hookSecret))
			s := start(t, "--webhooks="+file)
			s.endRun(t, "pipeline:run_42", "run_42")
			if _, err := receiver.stdout.wait(within(t, patience), 0, `run\.completed pipeline:run_42\n`); err != nil {
				t.Error(err)
			}
		})
	}
}
