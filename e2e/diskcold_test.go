package e2e_test

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestDisk_coldChannels shows that a stream of a pattern misses nothing of a channel
// that was on the disk alone, also when somebody else's stream brings it into memory
// at the moment of a publish.
func TestDisk_coldChannels(t *testing.T) {
	t.Parallel()
	const workers, channels = 8, 2000
	dir := t.TempDir()
	s := onDisk(t, dir, "--log-level=error")
	old := s.publish(t, "cold", "t", "0")
	ends()["SIGTERM"](t, s)
	s = onDisk(t, dir, "--log-level=error")
	in, _ := s.subscribe(t, "channel=cold:*", "")
	heard := make(chan event, channels) // read meanwhile: a reader that takes nothing is cut in the end
	go func() {                         // ends with the stream
		defer close(heard)
		for {
			e, err := in.events.next()
			if err != nil {
				return
			}
			select {
			case heard <- e:
			case <-t.Context().Done():
				return
			}
		}
	}()
	ids := make(map[string]string)
	var mu sync.Mutex // of ids
	var working sync.WaitGroup
	defer working.Wait()
	for w := range workers {
		working.Go(func() {
			c := newClient(t)
			defer c.CloseIdleConnections()
			for i := w; i < channels; i += workers {
				d := &deed{channel: channelOf("cold:", i), data: strconv.Itoa(i), key: strconv.Itoa(i)}
				id := s.publishBesideReader(t, c, d, old)
				mu.Lock()
				ids[d.data] = id
				mu.Unlock()
			}
		})
	}
	working.Wait()
	end := s.publish(t, "cold:end", "t", "0")
	got := make(map[string]string)
	late := within(t, patience).Done()
	for last := uint64(0); ; {
		var e event
		select {
		case e = <-heard:
		case <-late:
		}
		if e.Type != "t" {
			t.Fatalf("after %d messages came %+v", len(got), e)
		}
		if seq := seqOf(t, e.ID); seq <= last {
			t.Errorf("%s comes after %d", e.ID, last)
		} else {
			last = seq
		}
		if e.ID == end {
			break
		}
		got[e.ID] = e.Data
	}
	for data, id := range ids {
		if _, ok := got[id]; !ok {
			t.Errorf("the reader of cold:* did not get %s of cold:%s", id, data)
		}
	}
	if len(got) != channels {
		t.Errorf("it got %d messages, want %d", len(got), channels)
	}
}

// publishBesideReader publishes while a stream of the channel resumes, and returns the
// message's id.
func (s *server) publishBesideReader(t testing.TB, c *http.Client, d *deed, lastEventID string) (id string) {
	var publishing sync.WaitGroup
	defer publishing.Wait()
	publishing.Go(func() {
		status, receipt, err := d.post(t.Context(), t, c, s.url)
		if err != nil || status != http.StatusCreated {
			t.Errorf("publish: %d, %v", status, err)
		}
		id = receipt
	})
	wait(t.Context(), rand.N(4*time.Millisecond)) // about as long as a publish takes
	resp, err := c.Do(subscription(t.Context(), t, s.url+"/v1/subscribe?channel="+d.channel+"&channel=cold:none", s.key, lastEventID))
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	if _, err := newDecoder(resp.Body).next(); err != nil {
		t.Error(err)
	}
	publishing.Wait()
	return id
}
