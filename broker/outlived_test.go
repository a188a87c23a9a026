package broker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
)

// TestStream_outlivedChannels: a reader of a pattern does not read while channels are created
// and, once there are too many, forgotten.
func TestStream_outlivedChannels(t *testing.T) {
	tests := []struct {
		name string
		live int
		want string
	}{
		{"they go", 10, "$close 4003"},
		{"they stay", 5000, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, broker.Options{MaxChannels: tt.live})
				r := subscribe(t, b, asking("a:*"))
				r.now()
				for i := range 3000 {
					publish(t, b, fmt.Sprint("a:", i), "status", "1")
					time.Sleep(2 * time.Millisecond) // of the bubble's clock: the readers are told
				}
				ending, ended := r.Ended()
				if ended != (tt.want != "") || ended && fmt.Sprint("$close ", ending.Code) != tt.want {
					t.Fatalf("it ends with %+v, %t", ending, ended)
				}
				events := r.now()
				if !ended && len(events) != 3000 {
					t.Errorf("it is sent %d messages", len(events))
				}
				if ended && (len(events) != 1 || events[0].name != "$close") {
					t.Errorf("it is sent %v", events)
				}
			})
		})
	}
}
