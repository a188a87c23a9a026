//go:build unix

package nats

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/natstest"
)

// Whoever uses a connection hears that it is made again before anything can arrive on it. NATS
// itself says so at any time later.
func TestOptions_connect_again(t *testing.T) {
	proxy := natstest.NewProxy(t, natstest.Start(t, ""))
	heard := make(chan string, 100)
	closed := make(chan struct{})
	conn, err := Options{URLs: []string{proxy.URL()}}.withDefaults().connect(handlers{
		again: func() { heard <- "again" },
		lost:  func(error) {},
		back:  func(string) { heard <- "back" },
		after: func() { close(closed) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { conn.Close(); <-closed }()
	if len(heard) > 0 {
		t.Errorf("at the first connection: %s", <-heard)
	}
	proxy.Drop()
	select {
	case what := <-heard:
		if what != "again" {
			t.Errorf("heard %q first", what)
		}
	case <-time.After(time.Minute):
		t.Error("nothing was heard")
	}
}
