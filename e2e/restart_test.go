package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestRestart_killed shows what a reader of a server in memory learns when that
// was killed and came back: that it lost something, and where it goes on.
func TestRestart_killed(t *testing.T) {
	t.Parallel()
	for _, r := range readers() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "--api-keys="+testKey, "--listen="+freeAddress(t))
			wire := newCutter(t, "tcp", s.address())
			in := listen(t, r, wire.url, s.key)
			in.expectOpen(false)
			s.count(t, 1, 3)
			in.expectMessages(1, 3)
			last := in.lastID

			wire.cut()
			s.kill()
			s = start(t, "--api-keys="+testKey, "--listen="+s.address())
			first := s.count(t, 4, 8) // more than the old one had
			wire.mend()
			in.expectOpen(false)
			in.expectGap(last, first)
			in.expectMessages(4, 8)
			s.count(t, 9, 9)
			in.expectMessages(9, 9)
		})
	}
}

// expectGap wants to be told that what came after an id of another life is lost.
func (l *listener) expectGap(after, resumesAt string) {
	l.Helper()
	data := l.next("$gap").Data
	if strings.HasPrefix(data, `{"event"`) { // as a line
		var wrapped struct{ Data json.RawMessage }
		if err := json.Unmarshal([]byte(data), &wrapped); err != nil {
			l.Fatal(err)
		}
		data = string(wrapped.Data)
	}
	want := `{"channel":"` + runChannel + `","after":"` + after + `","resumes_at":"` + resumesAt + `","reason":"restarted"}`
	if data != want {
		l.Errorf("$gap is %s, want %s", data, want)
	}
}
