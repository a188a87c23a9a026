//go:build unix

package nats_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/engine/nats"
	"github.com/sluicehq/sluice/internal/natstest"
)

// A node whose server has lost the others, and is reached all the same, goes to another
// one of its list. Nothing is missed there, and nothing comes twice.
func TestEngine_partedServer(t *testing.T) {
	for _, leads := range []bool{false, true} {
		t.Run(fmt.Sprintf("it leads: %t", leads), func(t *testing.T) {
			parted := natstest.StartParted(t, 3)
			urls := natstest.URLs(parted.Servers)
			elsewhere := start(t, nats.Options{URLs: urls, Replicas: 3})
			leader := slices.Index(parted.Servers, leaderOf(t, parted.Servers))
			alone := leader
			if !leads {
				alone = (leader + 1) % 3
			}
			list := startAt(t, parted.Servers[alone].URL(), 2, nats.Options{URLs: urls, Replicas: 3, CutOff: patience})
			for _, n := range list {
				n.follow(t, "c", "p:*")
			}
			elsewhere.insist(t, keyed("c", "0", "0"))

			parted.Isolate(alone)
			for _, n := range list { // without anything being published
				n.until(t, "red", func() bool { return n.Ready() != nil })
			}
			elsewhere.insist(t, keyed("p:1", "first", "first"))
			for i := 1; i <= 5; i++ {
				list[i%2].insist(t, keyed("c", fmt.Sprint(i), fmt.Sprint(i)))
			}
			for _, n := range list {
				n.until(t, "green", func() bool { return n.Ready() == nil })
				n.delivered(t, "c", numbers(0, 5)...)
				n.delivered(t, "p:1", "first")
				if n.Server() == parted.Servers[alone].URL() {
					t.Error("still at the server that is alone")
				}
				if n.severed > 0 {
					t.Error("readers were sent elsewhere")
				}
			}
			parted.Join(alone)
		})
	}
}

// startAt starts engines that are connected to the server at url.
func startAt(t testing.TB, url string, n int, opts nats.Options) []*node {
	t.Helper()
	var list []*node
	for range 100 {
		if e := open(t, opts); e.Server() == url {
			list = append(list, begin(t, e, opts))
		}
		if len(list) == n {
			return list
		}
	}
	t.Fatal("none of 100 engines is connected to the server")
	return nil
}

// When no server helps, each gets more time.
func TestSilenceOf(t *testing.T) {
	var got []time.Duration
	for n := 1; n <= 14; n++ {
		got = append(got, nats.SilenceOf(n, 3)/time.Second)
	}
	if want := []time.Duration{3, 3, 3, 6, 6, 6, 12, 12, 12, 24, 24, 24, 30, 30}; !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
	if got := nats.SilenceOf(1000, 0); got != 30*time.Second {
		t.Errorf("the thousandth of none: %s", got)
	}
}
