package meter_test

import (
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/internal/meter"
	"github.com/sluicehq/sluice/schemas"
)

func count(m *meter.Meter, channel string, n int) {
	for range n {
		m.Count(schemas.Channel(channel))
	}
}

func TestMeter(t *testing.T) {
	var m meter.Meter
	count(&m, "before", 1)
	if busiest, published := m.Take(10); busiest != nil || published != 0 {
		t.Errorf("off: %v, %d", busiest, published)
	}
	m.Start()
	count(&m, "b", 2)
	count(&m, "c", 3)
	count(&m, "a", 2)
	busiest, published := m.Take(2)
	if want := []meter.Rate{{"c", 3}, {"a", 2}}; !reflect.DeepEqual(busiest, want) || published != 7 {
		t.Errorf("%v of %d, want %v of 7", busiest, published, want)
	}
	count(&m, "d", 1)
	if busiest, published := m.Take(2); len(busiest) != 1 || published != 1 {
		t.Errorf("the next interval: %v, %d", busiest, published)
	}
	m.Stop()
	count(&m, "after", 1)
	if busiest, published := m.Take(10); busiest != nil || published != 0 {
		t.Errorf("off again: %v, %d", busiest, published)
	}
}

// TestMeter_bounded publishes to more channels than are counted one by one.
func TestMeter_bounded(t *testing.T) {
	var m meter.Meter
	m.Start()
	const channels = 200_000
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := part; i < channels; i += 4 {
				m.Count(schemas.Channel(fmt.Sprintf("user:%d", i)))
			}
		})
	}
	wg.Wait()
	busiest, published := m.Take(channels)
	if published != channels {
		t.Errorf("%d published, want %d", published, channels)
	}
	if len(busiest) != 32*4096 {
		t.Errorf("%d channels are counted one by one, want %d", len(busiest), 32*4096)
	}
}

func TestMeter_allocates(t *testing.T) {
	var m meter.Meter
	count := func() { m.Count("user:1") }
	if n := testing.AllocsPerRun(100, count); n != 0 {
		t.Errorf("off, a publish allocates %v times", n)
	}
	m.Start()
	if n := testing.AllocsPerRun(100, count); n != 0 {
		t.Errorf("a further publish to a channel allocates %v times", n)
	}
}
