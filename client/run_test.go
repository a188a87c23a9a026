package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// A job that crashes and runs again from the beginning publishes each step once.
func TestRun_Publish_once(t *testing.T) {
	c, _ := realServer(t)
	job := func() (receipts []schemas.Receipt) {
		run := c.Run("pipeline:42", "42")
		for _, step := range []string{"fetch", "count", "fetch"} {
			receipts = append(receipts, must(run.Publish(t.Context(), step, "status", map[string]string{"step": step})))
		}
		receipts = append(receipts, must(run.Publish(t.Context(), "fetch", "log", "another topic")))
		receipts = append(receipts, must(c.Run("pipeline:42", "43").Publish(t.Context(), "fetch", "status", "another run")))
		return receipts
	}
	first, second := job(), job()
	for i, twice := range []bool{false, false, true, false, false} {
		if first[i].Duplicate != twice || !first[i].Durable {
			t.Errorf("publish %d: receipt %+v", i, first[i])
		}
		if again := second[i]; !again.Duplicate || again.ID != first[i].ID || again.CreatedAt != first[i].CreatedAt {
			t.Errorf("publish %d again: receipt %+v, want that of %+v", i, again, first[i])
		}
	}
	var got []string
	for m, err := range c.Subscribe(t.Context(), client.Subscription{Channels: []string{"pipeline:42"}, Replay: "all"}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, m.RunID+" "+string(m.Data)); m.RunID == "43" {
			break
		}
	}
	want := `42 {"step":"fetch"};42 {"step":"count"};42 "another topic";43 "another run"`
	if strings.Join(got, ";") != want {
		t.Errorf("messages %q, want %s", got, want)
	}
}

// A job that crashes in the middle of a text and runs again publishes it anew, and a third run
// leaves it as it is.
func TestRun_PublishStream_once(t *testing.T) {
	c, s := realServer(t)
	run := c.Run("chat:7", "r/1")
	program, crash := crashing(t, s.url)
	silent, wake := io.Pipe()
	defer wake.Close()
	crashed := make(chan error, 1)
	go func() {
		_, err := program.Run("chat:7", "r/1").PublishStream(t.Context(), "answer", "draft", io.MultiReader(strings.NewReader("It is"), silent))
		crashed <- err
	}()
	await(t, c, "chat:7", "It is")
	crash()
	if err := <-crashed; err == nil {
		t.Error("no error")
	}
	const text = "I think that it is 42."
	second, err := run.PublishStream(t.Context(), "answer", "draft", strings.NewReader(text))
	if err != nil || second.Duplicate || second.Bytes != int64(len(text)) {
		t.Errorf("second run: %+v, %v", second, err)
	}
	unread := readerFunc(func([]byte) (int, error) { panic("the text was read") })
	for name, run := range map[string]client.Run{"third run": run, "with its attempt": run.WithAttempt(7)} {
		third, err := run.PublishStream(t.Context(), "answer", "draft", unread)
		if err != nil || !third.Duplicate || third.FirstID != second.FirstID || third.LastID != second.LastID {
			t.Errorf("%s: %+v, %v, want that of %+v", name, third, err, second)
		}
	}
	must(run.PublishStream(t.Context(), "summary", "draft", strings.NewReader("42")))
	texts := readTexts(t, c, "chat:7", 2)
	if got := texts[second.StreamID]; got.begun != 2 || string(got.text) != text || strings.Join(got.ends, " ") != "superseded complete" {
		t.Errorf("readers got %+v", got)
	}
}

// The attempt is one more than the latest that the server knows, unless the caller knows it.
func TestRun_PublishStream_attempt(t *testing.T) {
	for _, tt := range []struct {
		name, status string
		attempt      int64
		want         string
	}{
		{"first", "", 0, "POST run_id=r text"},
		{"after one that is open", "1 3 open", 0, "POST attempt=2&run_id=r text"},
		{"after one that was given up", "8 3 aborted", 0, "POST attempt=9&run_id=r text"},
		{"given", "2 3 open", 5, "POST attempt=5&run_id=r text"},
		{"complete", "3 70 complete", 5, "POST attempt=3&offset=70&run_id=r"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &textServer{status: tt.status}
			run := over(t, s.answer).Run("c", "r").WithAttempt(tt.attempt)
			if _, err := run.PublishStream(t.Context(), "s", "t", strings.NewReader("text")); err != nil {
				t.Error(err)
			}
			if want := []string{"HEAD", tt.want}; !slices.Equal(s.requests(), want) {
				t.Errorf("requests %q, want %q", s.requests(), want)
			}
		})
	}
}

func TestRun_status(t *testing.T) {
	c, _ := realServer(t)
	tests := []struct {
		name string
		end  func(context.Context, client.Run) (schemas.Receipt, error)
		want string
	}{
		{"completed", func(ctx context.Context, r client.Run) (schemas.Receipt, error) {
			return r.Complete(ctx, map[string]int{"rows": 3})
		}, `{"status":"completed","run_id":"r1","result":{"rows":3}}`},
		{"completed with nothing", func(ctx context.Context, r client.Run) (schemas.Receipt, error) {
			return r.Complete(ctx, nil)
		}, `{"status":"completed","run_id":"r1"}`},
		{"failed", func(ctx context.Context, r client.Run) (schemas.Receipt, error) {
			return r.Fail(ctx, errors.New("out of memory"))
		}, `{"status":"failed","run_id":"r1","error":"out of memory"}`},
		{"failed with JSON", func(ctx context.Context, r client.Run) (schemas.Receipt, error) {
			return r.Fail(ctx, jsonError{"code 7"})
		}, `{"status":"failed","run_id":"r1","error":{"said":"code 7"}}`},
		{"cancelled", func(ctx context.Context, r client.Run) (schemas.Receipt, error) {
			return r.Cancel(ctx)
		}, `{"status":"cancelled","run_id":"r1"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			channel := "job:" + strings.ReplaceAll(tt.name, " ", "-")
			run := c.Run(channel, "r1")
			must(run.Start(t.Context()))
			first := must(tt.end(t.Context(), run))
			if again := must(tt.end(t.Context(), run)); !again.Duplicate || again.ID != first.ID {
				t.Errorf("the same end again: %+v", again)
			}
			var problem *client.Problem
			if _, err := run.Start(t.Context()); !errors.As(err, &problem) || problem.Code() != "conflict" {
				t.Errorf("a start after the end: %v", err)
			}
			for m, err := range c.Subscribe(t.Context(), client.Subscription{Channels: []string{channel}}) {
				if err != nil {
					t.Fatal(err)
				}
				state, ok := m.Run()
				if text, _ := json.Marshal(state); !ok || string(text) != tt.want {
					t.Errorf("state %s, want %s", text, tt.want)
				}
				break
			}
		})
	}
}

type jsonError struct{ said string }

func (e jsonError) Error() string                { return e.said }
func (e jsonError) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `{"said":%q}`, e.said), nil }

func TestRun_noID(t *testing.T) {
	c := over(t, func(*http.Request) (*http.Response, error) { panic("a request was sent") })
	if _, err := c.Run("c", "").Publish(t.Context(), "s", "t", 1); !errors.Is(err, client.ErrNoID) {
		t.Errorf("no run: %v", err)
	}
	if _, err := c.Run("c", "r").Publish(t.Context(), "", "t", 1); !errors.Is(err, client.ErrNoID) {
		t.Errorf("no step: %v", err)
	}
	if _, err := c.Run("c", "r").PublishStream(t.Context(), "", "t", strings.NewReader("")); !errors.Is(err, client.ErrNoID) {
		t.Errorf("no step of a text: %v", err)
	}
	if _, err := c.Run("c", "").Start(t.Context()); !errors.Is(err, client.ErrNoID) {
		t.Errorf("no run to start: %v", err)
	}
}
