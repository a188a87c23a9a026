package broker

import "testing"

// TestStream_Close_timer: what a stream has taken is not held until its next heartbeat.
func TestStream_Close_timer(t *testing.T) {
	b := newBroker(t, Options{})
	s, err := b.Subscribe(t.Context(), named("a"))
	if err != nil {
		t.Fatal(err)
	}
	var batch Batch
	for first := true; first || len(batch.Events) > 0; first = false {
		if err := s.Gather(&batch); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if s.puller().due.Stop() {
		t.Error("its timer goes on")
	}
}
