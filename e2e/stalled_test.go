package e2e_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// slowConsumers is the metric of readers that were cut since they took nothing.
const slowConsumers = `sluice_streams_finished_total\{reason="slow_consumer"\}`

// TestStalledReader shows what a reader costs that takes nothing, and does not hang
// up either: a descriptor and the buffers on the way to it, for a second.
func TestStalledReader(t *testing.T) {
	for name, args := range paths() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, append(args, "--write-timeout=1s")...)
			healthy, _ := s.subscribe(t, "channel=a", "")
			publisher, lines := upload(t, s.key, s.url+"/v1/publish", ndjson("-T", ".")...)
			data := `"` + strings.Repeat("x", 50<<10) + `"`
			publish := func(n int) {
				for range n { // the next one when the healthy reader has this one
					io.WriteString(lines, item("a", "t", data))
					healthy.expect(t, "t")
				}
			}
			publish(1)
			descriptors, memory := s.descriptors(t), peakMemory(t, s.cmd.Process.Pid)
			const stalled = 4
			for range stalled {
				conn := dial(t, s.address())
				if err := conn.SetReadBuffer(64 << 10); err != nil { // or the system makes it as large as it likes
					t.Fatal(err)
				}
				s.subscribeOn(t, conn, "channel=a", "")
			}
			eventually(t, func() bool { return s.metric(t, "sluice_streams") == 1+stalled })
			publish(400) // 20 MB
			eventually(t, func() bool { return s.metric(t, slowConsumers) == stalled })
			publish(10)

			eventually(t, func() bool { return s.metric(t, "sluice_streams") == 1 })
			eventually(t, func() bool { return s.descriptors(t) <= descriptors })
			if grown := peakMemory(t, s.cmd.Process.Pid) - memory; grown > 32<<20 {
				t.Errorf("the process took %d MiB more for readers that took nothing", grown>>20)
			}
			lines.Close()
			publisher.succeeds(t)
		})
	}
}

// descriptors returns how many a server has open.
func (s *server) descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if os.IsNotExist(err) {
		t.Skip("this system has no /proc")
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
