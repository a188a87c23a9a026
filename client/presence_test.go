package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/schemas"
)

// read opens a stream of a subject in the test's server.
func (s *server) read(t *testing.T, sub, channel string) *broker.Stream {
	t.Helper()
	stream := must(s.broker.Subscribe(t.Context(), broker.Subscription{
		Channels: []broker.Selector{{Channel: schemas.Pattern(channel)}}, Owner: broker.Owner{Subject: sub},
	}))
	t.Cleanup(stream.Close)
	return stream
}

func TestClient_Presence(t *testing.T) {
	c, s := realServer(t)
	const channel = "room/1" // a path could not have it
	s.read(t, "ann", channel)
	s.read(t, "ann", channel)
	s.read(t, "", channel)
	got, err := c.Presence(t.Context(), channel)
	if err != nil || got.Count != 2 || got.More || len(got.Subjects) != 1 || got.Subjects[0].Sub != "ann" || got.Subjects[0].Streams != 2 || got.Subjects[0].Since == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	token := must(c.Token(t.Context(), client.TokenRequest{Subscribe: []schemas.Grant{{Channel: "*", Topics: []string{"*"}}}}))
	stranger := must(client.New(s.url, token.Token))
	defer stranger.Close()
	var refused *client.Problem
	if _, err := stranger.Presence(t.Context(), channel); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("without the grant: %v", err)
	}
	for _, err := range stranger.FollowPresence(t.Context(), channel) {
		if !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
			t.Errorf("following without the grant: %v", err)
		}
	}
}

// TestClient_FollowPresence follows a channel over a lost connection: what has not changed
// meanwhile is not told.
func TestClient_FollowPresence(t *testing.T) {
	c, s := realServer(t)
	ann := s.read(t, "ann", "c")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	var bob *broker.Stream
	var last error
	for readers, err := range c.FollowPresence(ctx, "c") {
		if last = err; err != nil {
			continue
		}
		got = append(got, fmt.Sprint(readers.Subjects, " +", readers.Joined, " -", readers.Left, " ", readers.Count))
		switch len(got) {
		case 1:
			bob = s.read(t, "bob", "c")
		case 2:
			s.broker.Disconnect(broker.Filter{Channel: "c"}, broker.MaxAge()) // the follower comes back, and the others are asked in vain
			ann.Close()
		case 3:
			bob.Close()
		case 4:
			cancel()
		}
	}
	want := []string{"[ann] +[ann] -[] 1", "[ann bob] +[bob] -[] 2", "[bob] +[] -[ann] 1", "[] +[] -[bob] 0"}
	if !slices.Equal(got, want) || !errors.Is(last, context.Canceled) {
		t.Errorf("got  %q, %v\nwant %q", got, last, want)
	}
}
