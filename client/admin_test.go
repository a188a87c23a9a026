package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// TestAdmin lists what a server has, and revokes a token.
func TestAdmin(t *testing.T) {
	c, s := realServer(t)
	ctx := t.Context()
	for i := range 3 {
		must(c.Publish(ctx, fmt.Sprintf("pipeline:%d/a", i), "status", i))
	}
	must(c.Publish(ctx, "other", "status", 1))
	must(c.SetRun(ctx, "pipeline:1/a", client.RunState{Status: client.RunFailed, RunID: "r"}))

	var names []string
	for info, err := range c.Channels(ctx, "pipeline:") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Channel)
		if info.Messages == 0 || info.Bytes == 0 || info.FirstID == "" || info.LastID == "" || (info.Run != nil) != (info.Channel == "pipeline:1/a") {
			t.Errorf("%+v", info)
		}
		if info.Run != nil && (info.Run.Status != schemas.RunFailed || info.Run.RunID != "r" || info.Run.ID != info.LastID) {
			t.Errorf("the run is %+v", info.Run)
		}
	}
	if fmt.Sprint(names) != "[pipeline:0/a pipeline:1/a pipeline:2/a]" {
		t.Errorf("the channels are %v", names)
	}

	for i := range 3 {
		must(c.Publish(ctx, "other", "more", i))
	}
	page, err := c.History(ctx, "other", client.HistoryQuery{Topics: []string{"more"}, Limit: 2})
	if err != nil || len(page.Messages) != 2 || string(page.Messages[1].Data) != "1" || page.Next == "" || page.Gap {
		t.Errorf("the first page is %+v, %v", page, err)
	}
	page, err = c.History(ctx, "other", client.HistoryQuery{Topics: []string{"more"}, After: page.Next})
	if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Data) != "2" || page.Next != "" {
		t.Errorf("the second page is %+v, %v", page, err)
	}
	page, err = c.History(ctx, "other", client.HistoryQuery{Newest: true, Limit: 1, Before: page.LastID})
	if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Data) != "1" {
		t.Errorf("the newest before the last is %+v, %v", page, err)
	}

	token := must(c.Token(ctx, client.TokenRequest{Channel: "other", Sub: "user-7"}))
	reader := must(client.New(s.url, token.Token))
	defer reader.Close()
	for event, err := range reader.Events(ctx, client.Subscription{}) {
		if closed := (*client.CloseError)(nil); errors.As(err, &closed) {
			if closed.Code != 4401 {
				t.Errorf("the stream ends with %v", err)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if event.Open == nil {
			continue
		}
		open, err := c.Subscribers(ctx, "other", "user-7")
		if err != nil || len(open) != 1 || open[0].Sub != "user-7" || open[0].JTI != token.JTI || open[0].Channels[0] != "other" {
			t.Errorf("the subscribers are %+v, %v", open, err)
		}
		if none, err := c.Subscribers(ctx, "other", "user-8"); err != nil || len(none) != 0 {
			t.Errorf("subscribers of another subject: %+v, %v", none, err)
		}
		if err := c.Revoke(ctx, token.JTI); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClient_Metrics(t *testing.T) {
	c, _ := realServer(t)
	text, err := c.Metrics(t.Context())
	if err != nil || !strings.Contains(string(text), "\nsluice_streams 0\n") {
		t.Errorf("%v, %q", err, text)
	}
	refused := over(t, problem(503, "draining"))
	if _, err := refused.Metrics(t.Context()); err == nil {
		t.Error("an answer that is no success is taken for metrics")
	}
}
