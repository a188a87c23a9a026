package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

type status struct {
	Message string `json:"message"`
	Step    string `json:"step,omitempty"`
}

func statuses() client.TopicOf[status] { return client.Topic[status]("status") }

// Define, publish to and read a typed topic. A message that the server accepts but the type
// cannot hold is reported and does not end the loop.
func TestTopicOf_Subscribe(t *testing.T) {
	c, _ := realServer(t)
	must(statuses().Publish(t.Context(), c, "p:1", status{"one", "fetch"}))
	must(c.Publish(t.Context(), "p:1", "other", "not of this topic"))
	must(c.Publish(t.Context(), "p:1", "status", 7))
	must(c.PublishStream(t.Context(), "p:1", "status", strings.NewReader("text")))
	must(c.Run("p:1", "r").Start(t.Context()))
	must(statuses().Publish(t.Context(), c, "p:1", status{Message: "two"}))
	var got []string
	sub := client.Subscription{Channels: []string{"p:1"}, Topics: []string{"other"}, Replay: "all"}
	for m, err := range statuses().Subscribe(t.Context(), c, sub) {
		var decode *client.DecodeError
		switch {
		case errors.As(err, &decode):
			got = append(got, "does not decode: "+string(decode.Message.Data)+" "+m.Position)
		case err != nil:
			t.Fatal(err)
		case m.Kind != schemas.KindData:
			got = append(got, string(m.Kind)+" "+string(m.Message.Data))
		default:
			got = append(got, m.Data.Message+m.Data.Step+" "+m.Position)
		}
		if m.Data.Message == "two" {
			break
		}
	}
	want := []string{"onefetch 1-1", "does not decode: 7 1-3", `datastream-start {"attempt":1}`, `chunk "text"`, `datastream-end {"reason":"complete"}`, "two 1-10"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A gap is reported where the messages are missing, and the loop goes on.
func TestTopicOf_Subscribe_gap(t *testing.T) {
	const gapped = "id: k3f9-0\nevent: $open\ndata: {\"id\":\"k3f9-0\"}\n\n" +
		"id: k3f9-4\nevent: $gap\ndata: {\"channel\":\"c\",\"after\":\"k3f9-0\",\"resumes_at\":\"k3f9-5\",\"reason\":\"overrun\"}\n\n"
	c := over(t, func(*http.Request) (*http.Response, error) {
		return events(gapped + messageFrame(5) + closeFrame(4403, "disconnected", false, 0)), nil
	})
	var got []string
	for m, err := range client.Topic[map[string]int]("status").Subscribe(t.Context(), c, client.Subscription{}) {
		var gap *client.GapError
		switch {
		case errors.As(err, &gap):
			got = append(got, gap.Error()+" "+m.Position)
		case err != nil:
			got = append(got, err.Error())
		default:
			got = append(got, string(m.Message.Data))
		}
	}
	want := []string{"messages of c after k3f9-0 are lost: overrun k3f9-4", `{"n":5}`, "the server closed the stream: 4403 disconnected"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestClient_Define(t *testing.T) {
	c, _ := realServer(t)
	pipeline := client.Channel{
		Name:   "pipeline:{runId}",
		Topics: []client.AnyTopic{statuses(), client.Topic[any]("log")},
		Strict: true,
		Replay: schemas.ReplayLimits{Messages: 9},
	}
	for range 2 { // the second replaces
		if err := c.Define(t.Context(), pipeline); err != nil {
			t.Fatal(err)
		}
	}
	all := must(c.Definitions(t.Context()))
	one := must(c.Definition(t.Context(), "pipeline:{runId}"))
	const want = `{"name":"pipeline:{runId}","topics":{"log":{"schema":{}},"status":{"schema":{"properties":{"message":{"type":"string"},"step":{"type":"string"}},"required":["message"],"type":"object"}}},"replay":{"messages":9},"strict":true}`
	if text, _ := json.Marshal(one); string(text) != want || len(all) != 1 || all[0].Name != one.Name {
		t.Errorf("definition\n%s, want\n%s", text, want)
	}

	name := must(pipeline.For(client.Params{"runId": "42"}))
	must(statuses().Publish(t.Context(), c, name, status{Message: "fits"}))
	for topic, want := range map[string]string{"status": "schema-violation", "unheard": "unknown-topic"} {
		var problem *client.Problem
		if _, err := c.Publish(t.Context(), name, topic, map[string]int{"n": 1}); !errors.As(err, &problem) || problem.Code() != want {
			t.Errorf("%s: %v", topic, err)
		}
	}

	if err := c.DeleteDefinition(t.Context(), "pipeline:{runId}"); err != nil {
		t.Error(err)
	}
	var problem *client.Problem
	if err := c.DeleteDefinition(t.Context(), "pipeline:{runId}"); !errors.As(err, &problem) || problem.Code() != "not-found" {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := c.Definition(t.Context(), "pipeline:{runId}"); !errors.As(err, &problem) || problem.Code() != "not-found" {
		t.Errorf("read after its end: %v", err)
	}
}

func TestChannel_Definition_faults(t *testing.T) {
	tests := []struct {
		name    string
		channel client.Channel
		want    error
		text    string
	}{
		{"name", client.Channel{Name: "a{b"}, schemas.ErrBadDefinition, "/name"},
		{"topic", client.Channel{Name: "a", Topics: []client.AnyTopic{client.Topic[int]("open")}}, schemas.ErrBadDefinition, "/topics/open"},
		{"schema", client.Channel{Name: "a", Topics: []client.AnyTopic{client.Topic[int]("t").WithSchema(json.RawMessage(`{"type":7}`))}}, schemas.ErrBadSchema, "/topics/t/schema"},
		{"type", client.Channel{Name: "a", Topics: []client.AnyTopic{client.Topic[chan int]("t")}}, client.ErrNoSchema, "chan int"},
		{"twice", client.Channel{Name: "a", Topics: []client.AnyTopic{statuses(), statuses()}}, nil, "topic status twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.channel.Definition()
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v", err)
			}
			c := over(t, nil) // asked for nothing
			if again := c.Define(t.Context(), tt.channel); again == nil || again.Error() != err.Error() {
				t.Errorf("Define: %v", again)
			}
		})
	}
}
