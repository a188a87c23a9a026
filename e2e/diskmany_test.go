package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// TestDisk_manyChannels starts with a lot on the disk: 50,000 messages in 1,000
// channels, or with SLUICE_LONG=1 a million in 10,000. It logs how long that takes
// after each kind of end; that depends on the machine, so it asserts what is there.
func TestDisk_manyChannels(t *testing.T) {
	t.Parallel()
	const writers = 8
	channels, each, most := 1000, 50, time.Minute
	if os.Getenv("SLUICE_LONG") != "" {
		channels, each, most = 10_000, 100, 20*time.Minute
	}
	dir := t.TempDir()
	s := onDisk(t, dir, "--log-level=error")
	began := time.Now()
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			r, w := io.Pipe()
			go func() { // ends with the request that reads from it
				out := bufio.NewWriter(w)
				for n := range each {
					for c := i; c < channels; c += writers {
						out.WriteString(item(channelOf("many:", c), "t", fmt.Sprint(n)))
					}
				}
				w.CloseWithError(out.Flush())
			}()
			s.publishMany(within(t, most), t, r)
		})
	}
	writing.Wait()
	t.Logf("%d messages in %d channels were published in %v", channels*each, channels, time.Since(began))
	for _, end := range []string{"SIGKILL", "SIGTERM", "SIGKILL"} {
		ends()[end](t, s)
		began := time.Now()
		s = onDisk(t, dir, "--log-level=error")
		eventually(t, func() bool { return s.ask(t, "GET", "/readyz", "", "").status == http.StatusOK })
		t.Logf("ready %v after a start that follows %s", time.Since(began), end)
		for c := 0; c < channels; c += channels / 10 {
			expectNumbers(t, s, channelOf("many:", c), each)
		}
		if got := s.countChannels(t); got != channels {
			t.Errorf("%d channels are listed, want %d", got, channels)
		}
	}
}

// expectNumbers wants a channel to hold the numbers below n, in order.
func expectNumbers(t testing.TB, s *server, channel string, n int) {
	t.Helper()
	got := s.history(t, channel)
	if len(got) != n {
		t.Errorf("%s holds %d messages, want %d", channel, len(got), n)
	}
	for i, m := range got {
		if string(m.Data) != fmt.Sprint(i) {
			t.Errorf("message %d of %s is %s", i, channel, m.Data)
			return
		}
	}
}

// countChannels lists all channels.
func (s *server) countChannels(t testing.TB) (n int) {
	t.Helper()
	for after := ""; ; {
		var list struct {
			Channels []struct{ Channel string }
			Next     string
		}
		path := "/v1/channels?limit=1000"
		if after != "" {
			path += "&after=" + after
		}
		s.call(t, http.MethodGet, path, "", &list)
		n += len(list.Channels)
		if after = list.Next; after == "" {
			return n
		}
	}
}
