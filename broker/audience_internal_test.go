package broker

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker/audience"
	"github.com/sluicehq/sluice/schemas"
)

// counter is an audience that counts who comes and goes.
type counter struct {
	audience.Audience
	readers int
}

func (c *counter) Round() uint64                                   { return 1 }
func (c *counter) Came(uint64, schemas.Channel, string, time.Time) { c.readers++ }
func (c *counter) Went(uint64, schemas.Channel, string)            { c.readers-- }

// TestStream_attend_closed lets a stream end while a round asks it to report itself.
func TestStream_attend_closed(t *testing.T) {
	c := new(counter)
	b, err := New(Options{Audience: c})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := b.Subscribe(t.Context(), Subscription{Channels: []Selector{{Channel: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	if c.readers != 1 {
		t.Errorf("%d readers, want 1", c.readers)
	}
	s.Close()
	s.rare.Store(nil) // as if it had not had a seat yet
	s.attend()
	if c.readers != 0 {
		t.Errorf("%d readers after the end", c.readers)
	}
}
