package broker_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/broker/ring"
	"github.com/sluicehq/sluice/schemas"
)

func TestParseReplay(t *testing.T) {
	for _, text := range []string{"", "none", "latest", "all", "0", "1", "2147483647"} {
		if _, err := ring.ParseReplay(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"-1", "+1", "1.5", "All", " 1", "2147483648", "most"} {
		if _, err := ring.ParseReplay(text); !errors.Is(err, ring.ErrBadReplay) {
			t.Errorf("%q: got %v, want ErrBadReplay", text, err)
		}
	}
}

// TestBroker_Subscribe_replay publishes, in this order: a:1 status 1, a:1 tokens
// 2, a:2 status 3, a:1 run 4, a:1 tokens 5, b:1 status 6.
func TestBroker_Subscribe_replay(t *testing.T) {
	tests := []struct {
		name   string
		sub    broker.Subscription
		replay string
		want   string
	}{
		{"none", asking("a:1"), "none", "$open@6 $run@6[4]"},
		{"none, unknown channel", asking("x"), "all", "$open@6"},
		{"all", asking("a:1"), "all", "$open@0 $run@0[4] status@1 tokens@2 tokens@5"},
		{"all of a topic", asking("a:1/tokens"), "all", "$open@1 $run@1[4] tokens@2 tokens@5"},
		{"all of a topic that has nothing", asking("b:1/tokens"), "all", "$open@6"},
		{"all of several", asking("a:2", "b:1"), "all", "$open@2 status@3 status@6"},
		{"all of a pattern", asking("a:*"), "all", "$open@0 $run@0[4] status@1 tokens@2 status@3 tokens@5"},
		{"all of everything", asking("*"), "all", "$open@0 $run@0[4] status@1 tokens@2 status@3 tokens@5 status@6"},
		{"latest", asking("a:1"), "latest", "$open@0 $run@0[4] status@1 tokens@5"},
		{"latest of a topic", asking("a:1/tokens"), "latest", "$open@4 $run@4 tokens@5"},
		{"latest of a topic that has nothing", asking("a:2/tokens"), "latest", "$open@6"},
		{"latest of a pattern", asking("a:*"), "latest", "$open@0 $run@0[4] status@1 status@3 tokens@5"},
		{"zero", asking("a:1"), "0", "$open@6 $run@6[4]"},
		{"one", asking("a:1"), "1", "$open@4 $run@4 tokens@5"},
		{"two, and a run message is none of them", asking("a:1"), "2", "$open@1 $run@1[4] tokens@2 tokens@5"},
		{"more than there are", asking("a:1"), "9", "$open@0 $run@0[4] status@1 tokens@2 tokens@5"},
		{"one of each channel", asking("a:*"), "1", "$open@2 $run@2[4] status@3 tokens@5"},
		{"one of each channel of a topic", asking("a:*/status"), "1", "$open@0 $run@0[4] status@1 status@3"},
		{"topics by channel", asking("a:1/status", "a:*/tokens"), "all", "$open@0 $run@0[4] status@1 tokens@2 tokens@5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{})
				publish(t, b, "a:1", "status", "1")
				publish(t, b, "a:1", "tokens", "2")
				publish(t, b, "a:2", "status", "3")
				setRun(t, b, "a:1", schemas.RunChange{Status: schemas.RunRunning})
				publish(t, b, "a:1", "tokens", "5")
				publish(t, b, "b:1", "status", "6")
				r := subscribe(t, b, replaying(tt.sub, tt.replay))
				want(t, "first", r.now(), tt.want)
			})
		})
	}
}

// TestBroker_Subscribe_resume publishes status 1 to 6 to a:1 and a:2 in turn,
// with rings of two, then resumes.
func TestBroker_Subscribe_resume(t *testing.T) {
	tests := []struct {
		name string
		sub  broker.Subscription
		want string
	}{
		{"at the head", resuming(asking("a:1"), 6), "$open@6"},
		{"something new", resuming(asking("a:1"), 4), "$open@4 status@5"},
		{"nothing new of this channel", resuming(asking("a:1"), 5), "$open@5"},
		{"just not lost", resuming(asking("a:1"), 1), "$open@1 status@3 status@5"},
		{"lost", resuming(asking("a:1"), 0), "$open@0 $gap@1[a:1 overrun>0<3] status@3 status@5"},
		{"lost of one channel", resuming(asking("a:*"), 1), "$open@1 $gap@1[a:2 overrun>1<4] status@3 status@4 status@5 status@6"},
		{"another topic is lost", resuming(asking("a:1/tokens"), 0), "$open@0"},
		{"a channel that never was", resuming(asking("a:3"), 0), "$open@0"},
		{"a replay is not asked for", replaying(resuming(asking("a:1"), 4), "all"), "$open@4 status@5"},
		{"not an id", broker.Subscription{Channels: asking("a:1").Channels, LastEventID: "17"}, "$open@2 $gap@2[a:1 restarted>17<3] status@3 status@5"},
		{"of another epoch", broker.Subscription{Channels: asking("a:*").Channels, LastEventID: "z-3"}, "$open@2 $gap@2[a:* restarted>z-3<3] status@3 status@4 status@5 status@6"},
		{"of the future", resuming(asking("a:1"), 7), "$open@2 $gap@2[a:1 restarted>7<3] status@3 status@5"},
		{"of another epoch, nothing there", broker.Subscription{Channels: asking("b").Channels, LastEventID: "z-3"}, "$open@6 $gap@6[b restarted>z-3]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{Replay: engine.Limits{Messages: 2}})
				for range 3 {
					publish(t, b, "a:1", "status", "1")
					publish(t, b, "a:2", "status", "1")
				}
				want(t, "resumed", subscribe(t, b, tt.sub).now(), tt.want)
			})
		})
	}
}

// TestBroker_Subscribe_resumeAfterGap comes back with the id of a gap, of which a
// stream of one channel is not told again.
func TestBroker_Subscribe_resumeAfterGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, broker.Options{Replay: engine.Limits{Messages: 2}})
		for range 5 {
			publish(t, b, "a:1", "status", "1")
		}
		want(t, "first", subscribe(t, b, resuming(asking("a:1"), 1)).now(), "$open@1 $gap@3[a:1 overrun>1<4] status@4 status@5")
		want(t, "again", subscribe(t, b, resuming(asking("a:1"), 3)).now(), "$open@3 status@4 status@5")
	})
}

// TestBroker_Subscribe_resumeWhatIsGone resumes in channels that have expired, were
// deleted or exist again.
func TestBroker_Subscribe_resumeWhatIsGone(t *testing.T) {
	tests := []struct {
		name string
		do   func(*testing.T, *broker.Broker)
		sub  broker.Subscription
		want string
	}{
		{"expired", expire, resuming(asking("a:1"), 1), "$open@1 $gap@2[a:1 expired>1]"},
		{"expired, known", expire, resuming(asking("a:1"), 2), "$open@2"},
		{"expired, by pattern", expire, resuming(asking("a:*"), 1), "$open@1 $gap@1[a:* expired>1] $position@2"},
		{"expired, everything", expire, resuming(asking("*"), 1), "$open@1 $gap@1[* expired>1] $position@2"},
		{"expired, another pattern", expire, resuming(asking("b:*"), 1), "$open@1"},
		{"deleted", remove, resuming(asking("a:1"), 1), "$open@1 $gap@2[a:1 expired>1]"},
		{"come again", again, resuming(asking("a:1"), 1), "$open@1 $gap@2[a:1 expired>1<3] status@3"},
		{"come again, known", again, resuming(asking("a:1"), 2), "$open@2 status@3"},
		{"come again, by pattern", again, resuming(asking("a:*"), 1), "$open@1 $gap@1[a:* expired>1] $gap@1[a:1 expired>1<3] status@3"},
		{"its run status is gone too", removeRun, resuming(asking("a:1/tokens"), 2), "$open@2 $gap@3[a:1 expired>2]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{Replay: engine.Limits{Age: time.Minute}})
				publish(t, b, "a:1", "status", "1")
				publish(t, b, "a:1", "status", "2")
				tt.do(t, b)
				want(t, "resumed", subscribe(t, b, tt.sub).now(), tt.want)
			})
		})
	}
}

func expire(t *testing.T, b *broker.Broker) {
	time.Sleep(time.Minute + 2*time.Second) // of the bubble
	if n := b.Stats().Channels; n != 0 {
		t.Fatalf("%d channels are left", n)
	}
}

func remove(t *testing.T, b *broker.Broker) {
	if err := b.Delete(t.Context(), "a:1"); err != nil {
		t.Fatal(err)
	}
}

func again(t *testing.T, b *broker.Broker) {
	remove(t, b)
	publish(t, b, "a:1", "status", "3")
}

func removeRun(t *testing.T, b *broker.Broker) {
	setRun(t, b, "a:1", schemas.RunChange{Status: schemas.RunCompleted})
	remove(t, b)
}

// TestBroker_Subscribe_whilePublishing: a message that is published while a stream begins
// is in its replay or comes after that, also if it makes its channel.
func TestBroker_Subscribe_whilePublishing(t *testing.T) {
	for name, sub := range map[string]func(channel string) broker.Subscription{
		"all":        func(channel string) broker.Subscription { return replaying(asking(channel), "all") },
		"latest":     func(channel string) broker.Subscription { return replaying(asking(channel), "latest") },
		"one":        func(channel string) broker.Subscription { return replaying(asking(channel), "1") },
		"of several": func(channel string) broker.Subscription { return replaying(asking(channel, "b"), "all") },
		"pattern": func(channel string) broker.Subscription {
			return replaying(asking(channel[:len(channel)-1]+"*"), "latest")
		},
		"restarted": func(channel string) broker.Subscription {
			return broker.Subscription{Channels: asking(channel).Channels, LastEventID: "old-7"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, broker.Options{Pace: -1})
			for i := range 3000 {
				channel := fmt.Sprintf("a:%d:x", i)
				published := make(chan error, 1)
				go func() {
					_, err := b.Publish(t.Context(), broker.Publication{Channel: schemas.Channel(channel), Topic: "x", Data: []byte("1")})
					published <- err
				}()
				r := subscribe(t, b, sub(channel))
				if err := <-published; err != nil {
					t.Fatal(err)
				}
				r.await("x")
				r.Close()
			}
		})
	}
}
