package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSlowReader shows that a reader that takes nothing costs nobody else
// anything: the others get every message while it is stuck, and the publisher
// is done before it is cut. When it comes back it is told what it lost.
func TestSlowReader(t *testing.T) {
	for name, flags := range paths() {
		t.Run(name, func(t *testing.T) { testSlowReader(t, flags...) })
	}
}

func testSlowReader(t *testing.T, flags ...string) {
	t.Parallel()
	const writeTimeout = 20 * time.Second
	s := start(t, append(flags, "--write-timeout="+writeTimeout.String())...)
	stuck := dial(t, s.address())
	if err := stuck.SetReadBuffer(256 << 10); err != nil { // or the system makes it as large as it likes
		t.Fatal(err)
	}
	s.subscribeOn(t, stuck, "channel=a", "")
	unread, err := eventsOn(stuck)
	if err != nil {
		t.Fatal(err)
	}
	open, err := unread.next()
	if err != nil {
		t.Fatal(err)
	}
	healthy, _ := s.subscribe(t, "channel=a", "")

	// More than the buffers of two sockets and of a channel hold together.
	const messages, size = 240, 50 << 10
	publisher, lines := upload(t, s.key, s.url+"/v1/publish", ndjson("-T", ".")...)
	data := `"` + strings.Repeat("x", size) + `"`
	ids := make([]string, messages)
	var longest time.Duration
	for i := range ids {
		sent := time.Now()
		io.WriteString(lines, item("a", "t", data)) // the next one when the healthy reader has this one
		ids[i] = healthy.expect(t, "t").ID
		longest = max(longest, time.Since(sent))
	}
	lines.Close()
	publisher.succeeds(t)
	if longest > writeTimeout/2 {
		t.Errorf("a message took %v: the others had to wait until the slow reader was cut", longest)
	}
	s.logged(t, 0, `"slow_consumer"`)

	last, got := open.ID, 0
	for {
		e, err := unread.next()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the slow reader was not cut: %v", err)
			}
			break
		}
		if e.ID != ids[got] {
			t.Fatalf("message %d of the slow reader is %s, want %s", got, e.ID, ids[got])
		}
		last, got = e.ID, got+1
	}
	if got == messages {
		t.Fatal("the slow reader was not slow")
	}
	resumed, _ := s.subscribe(t, "channel=a", last)
	gap := resumed.expect(t, "$gap")
	first := resumed.expect(t, "t").ID
	want := fmt.Sprintf(`{"channel":"a","after":%q,"resumes_at":%q,"reason":"overrun"}`, last, first)
	if gap.Data != want {
		t.Errorf("$gap is %s, want %s", gap.Data, want)
	}
	for id := first; id != ids[messages-1]; {
		id = resumed.expect(t, "t").ID
	}
}
