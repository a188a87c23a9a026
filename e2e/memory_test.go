package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMemory shows that what is published does not stay: far more than the
// memory that channels may take goes through, and the process stays small.
func TestMemory(t *testing.T) {
	t.Parallel()
	s := start(t, "--memory=8MiB")
	const messages, size, channels = 4000, 50 << 10, 1000 // 200 MB
	r, w := io.Pipe()
	go func() { // ends with the request that reads from it
		out := bufio.NewWriter(w)
		data := `"` + strings.Repeat("x", size) + `"`
		for n := range messages {
			out.WriteString(item(fmt.Sprintf("c:%d", n%channels), "t", data))
		}
		w.CloseWithError(out.Flush())
	}()
	if got := len(s.publishMany(within(t, 2*time.Minute), t, r)); got != messages {
		t.Fatalf("%d messages were published, want %d", got, messages)
	}
	// The rings, the memory of durable publishes, and what a garbage collector
	// that waits for twice as much adds to that. It is less than half of what
	// was published.
	const most = 96 << 20
	t.Log(peakMemory(t, s.cmd.Process.Pid) >> 20)
	if peak := peakMemory(t, s.cmd.Process.Pid); peak > most {
		t.Errorf("the process took up to %d MiB, at most %d MiB are expected", peak>>20, most>>20)
	}
	if held := s.metric(t, "sluice_ring_bytes"); held > 8<<20 || held < 4<<20 {
		t.Errorf("channels hold %.0f bytes, expected close to 8 MiB", held)
	}
}

// peakMemory returns the most memory that a process had at any time, in bytes.
func peakMemory(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if os.IsNotExist(err) {
		t.Skip("this system has no /proc")
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("%s, %v", status, err)
	}
	kilobytes, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// metric returns the value of a metric without labels.
func (s *server) metric(t testing.TB, name string) float64 {
	t.Helper()
	c := s.client(t)
	defer c.CloseIdleConnections()
	resp, err := c.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("there is no metric %s", name)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
