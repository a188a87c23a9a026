package client_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/client"
)

type approval struct {
	ID   string `json:"id"`
	What string `json:"what"`
}

type decision struct {
	ID string `json:"id"`
	OK bool   `json:"ok"`
}

func approvals() client.TopicOf[approval] { return client.Topic[approval]("approval") }

func decisions() client.TopicOf[decision] { return client.Topic[decision]("decision") }

// ask asks the question that all tests in this file use.
func ask(ctx context.Context, c *client.Client, channel string) (decision, error) {
	return client.Ask(ctx, c.Run(channel, "42"), "approve", approvals(), approval{"q1", "deploy"}, decisions(),
		func(d decision) bool { return d.ID == "q1" })
}

// questions yields the questions that a page receives.
func questions(t *testing.T, c *client.Client, channel string, see func(approval)) {
	t.Helper()
	sub := client.Subscription{Channels: []string{channel}, Replay: "all"}
	for m, err := range approvals().Subscribe(t.Context(), c, sub) {
		if err != nil {
			t.Fatal(err)
		}
		see(m.Data)
		return
	}
}

// Ask skips answers to other questions, messages from before the question, and answers that
// cannot be decoded.
func TestAsk_returnsFirstMatch(t *testing.T) {
	c, _ := realServer(t)
	must(decisions().Publish(t.Context(), c, "p:1", decision{"q1", false})) // before the question
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		questions(t, c, "p:1", func(q approval) {
			must(c.Publish(t.Context(), "p:1", "decision", "no object"))
			must(decisions().Publish(t.Context(), c, "p:1", decision{"another", false}))
			must(decisions().Publish(t.Context(), c, "p:1", decision{q.ID, true}))
			must(decisions().Publish(t.Context(), c, "p:1", decision{q.ID, false})) // too late
		})
	}()
	got, err := ask(t.Context(), c, "p:1")
	<-answered
	if err != nil || got != (decision{"q1", true}) {
		t.Errorf("answer %+v, %v", got, err)
	}
}

// If the job crashes while it waits and runs again after the answer has arrived, the question
// is not asked twice, and Ask finds the answer.
func TestAsk_resumesAfterCrash(t *testing.T) {
	c, s := realServer(t)
	ctx, die := context.WithCancel(t.Context())
	died := make(chan error, 1)
	go func() {
		_, err := ask(ctx, c, "p:1")
		died <- err
	}()
	questions(t, c, "p:1", func(approval) { die() })
	if err := <-died; !errors.Is(err, context.Canceled) {
		t.Fatalf("it died with %v", err)
	}
	must(decisions().Publish(t.Context(), c, "p:1", decision{"q1", true}))
	must(decisions().Publish(t.Context(), c, "p:1", decision{"q1", false}))
	got, err := ask(t.Context(), c, "p:1")
	if err != nil || !got.OK {
		t.Errorf("answer %+v, %v", got, err)
	}
	asked, err := s.broker.History(t.Context(), "p:1", broker.Query{Limit: 10})
	if err != nil || len(asked.Messages) != 3 {
		t.Errorf("messages %s, %v, want one question and two answers", asked.Messages, err)
	}
}

// If the answer may have been lost, Ask returns the gap instead of waiting.
func TestAsk_returnsGap(t *testing.T) {
	s := startServer(func(o *broker.Options) { o.Replay.Messages = 2 })
	defer s.stop()
	c := clientOf(t, s.url)
	must(approvals().PublishStep(t.Context(), c.Run("p:1", "42"), "approve", approval{"q1", "deploy"}))
	for range 4 { // of which the buffer holds the last two
		must(decisions().Publish(t.Context(), c, "p:1", decision{"q1", true}))
	}
	_, err := ask(t.Context(), c, "p:1")
	var gap *client.GapError
	if !errors.As(err, &gap) || gap.Reason != "overrun" {
		t.Errorf("error %v", err)
	}
}

// The server restarts, and forgets everything, while the question is open.
func TestAsk_serverRestarts(t *testing.T) {
	s := startServer()
	waiting := make(chan struct{}, 9)
	own := new(http.Transport)
	defer own.CloseIdleConnections()
	c := clientOf(t, s.url, client.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			waiting <- struct{}{}
		}
		return own.RoundTrip(r)
	})}))
	failed := make(chan error, 1)
	go func() {
		_, err := ask(t.Context(), c, "p:1")
		failed <- err
	}()
	<-waiting
	s.stop()
	s = listen(s.url[len("http://"):], func(o *broker.Options) { o.Epoch = 2 })
	defer s.stop()
	var gap *client.GapError
	if err := <-failed; !errors.As(err, &gap) || gap.Reason != "restarted" {
		t.Errorf("error %v", err)
	}
}

func TestAsk_runEnds(t *testing.T) {
	c, _ := realServer(t)
	run := c.Run("p:1", "42")
	must(run.Start(t.Context()))
	failed := make(chan error, 1)
	go func() {
		_, err := ask(t.Context(), c, "p:1")
		failed <- err
	}()
	questions(t, c, "p:1", func(approval) {})
	must(c.SetRun(t.Context(), "p:1", client.RunState{Status: client.RunFailed, RunID: "41"})) // another one
	must(run.Start(t.Context()))
	must(run.Cancel(t.Context()))
	var ended *client.RunEndedError
	if err := <-failed; !errors.As(err, &ended) || ended.State.Status != client.RunCancelled {
		t.Errorf("error %v", err)
	}
}

func TestAsk_timeout(t *testing.T) {
	c, _ := realServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx, c, "p:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestAsk_refused(t *testing.T) {
	c, s := realServer(t)
	token := must(c.Token(t.Context(), client.TokenRequest{Channel: "p:1", Topics: []string{"decision"}}))
	reader := must(client.New(s.url, token.Token))
	defer reader.Close()
	var problem *client.Problem
	if _, err := ask(t.Context(), reader, "p:1"); !errors.As(err, &problem) || problem.Code() != "forbidden" {
		t.Errorf("error %v", err)
	}
}
