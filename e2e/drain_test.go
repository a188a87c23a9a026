package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// farewell is how a stream ended.
type farewell struct {
	retry string // the field of the event
	data  struct {
		Code         int    `json:"code"`
		Reason       string `json:"reason"`
		Reconnect    bool   `json:"reconnect"`
		RetryAfterMS int64  `json:"retry_after_ms"`
	}
	err error // anything but $close and a clean end
}

// watchEnd reads what is left of a stream.
func watchEnd(events *decoder) (f farewell) {
	e, err := events.next()
	if err != nil || e.Type != "$close" {
		f.err = fmt.Errorf("wanted $close, got %+v, %w", e, err)
		return f
	}
	f.retry = e.Retry
	if f.err = json.Unmarshal([]byte(e.Data), &f.data); f.err != nil {
		return f
	}
	if e, err := events.next(); !errors.Is(err, io.EOF) {
		f.err = fmt.Errorf("after $close there is %+v, %w", e, err)
	}
	return f
}

// TestDrain shows how a server leaves: nothing new is taken first, then the
// streams are sent away a few at a time and for different times, then it exits.
func TestDrain(t *testing.T) {
	for name, flags := range paths() {
		t.Run(name, func(t *testing.T) { testDrain(t, flags...) })
	}
}

func testDrain(t *testing.T, flags ...string) {
	t.Parallel()
	const readers, timeout = 200, 12 * time.Second
	s := start(t, append(flags, "--drain-timeout="+timeout.String())...)
	farewells := make(chan farewell, readers)
	var reading sync.WaitGroup
	defer reading.Wait()
	for range readers {
		conn := dial(t, s.address())
		s.subscribeOn(t, conn, "channel=a", "")
		events, err := eventsOn(conn)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := events.next(); err != nil || e.Type != "$open" {
			t.Fatalf("%+v, %v", e, err)
		}
		reading.Go(func() { farewells <- watchEnd(events) })
	}
	publisher, lines := upload(t, s.key, s.url+"/v1/publish", ndjson("-T", ".")...)
	defer lines.Close()
	io.WriteString(lines, item("b", "t", "1"))
	if _, err := publisher.stdout.wait(within(t, patience), 0, `"id".*\n`); err != nil {
		t.Fatal(err)
	}
	answered := publisher.stdout.len()
	if status := s.call(t, http.MethodGet, "/readyz", "", nil); status != http.StatusOK {
		t.Fatalf("ready before it drains: %d", status)
	}

	began := time.Now()
	s.signal(t, syscall.SIGTERM)
	all := []farewell{<-farewells}
	t.Run("nothing new while streams are still open", func(t *testing.T) { expectDraining(t, s) })
	if _, err := publisher.stdout.wait(within(t, patience), answered, `"status":503,`); err != nil {
		t.Error(err)
	}
	for len(all) < readers {
		all = append(all, <-farewells)
	}
	if code := s.exitCode(t); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	if took := time.Since(began); took > 2*timeout {
		t.Errorf("it took %v to exit, %v are allowed", took, timeout)
	}
	expectSpread(t, all)
	expectWaves(t, s.stderr.String(), readers)
}

// expectDraining asks for things that a server which is about to stop refuses.
func expectDraining(t *testing.T, s *server) {
	var p struct{ Type string }
	if status := s.call(t, http.MethodGet, "/readyz", "", &p); status != http.StatusServiceUnavailable || p.Type != "/problems/draining" {
		t.Errorf("readyz: %d %s", status, p.Type)
	}
	if status := s.call(t, http.MethodPost, "/v1/publish/a/t", "1", &p); status != http.StatusServiceUnavailable || p.Type != "/problems/draining" {
		t.Errorf("publish: %d %s", status, p.Type)
	}
	if status := s.call(t, http.MethodGet, "/healthz", "", nil); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	conn := dial(t, s.address())
	s.subscribeOn(t, conn, "channel=a", "")
	events, err := eventsOn(conn)
	if err != nil {
		t.Fatal(err)
	}
	if f := watchEnd(events); f.err != nil || f.data.Code != 4002 || !f.data.Reconnect {
		t.Errorf("a new stream is told %+v", f)
	}
}

// expectSpread wants every reader to be told to come back, after times that
// differ.
func expectSpread(t *testing.T, all []farewell) {
	t.Helper()
	different := make(map[int64]bool)
	for _, f := range all {
		d := f.data
		if f.err != nil || d.Code != 4002 || d.Reason != "server_draining" || !d.Reconnect || f.retry != strconv.FormatInt(d.RetryAfterMS, 10) {
			t.Fatalf("a reader was told %+v", f)
		}
		if d.RetryAfterMS < 250 || d.RetryAfterMS > 2250 {
			t.Errorf("retry after %d ms", d.RetryAfterMS)
		}
		different[d.RetryAfterMS] = true
	}
	if len(different) < len(all)/4 {
		t.Errorf("%d readers come back at only %d different times", len(all), len(different))
	}
}

// expectWaves reads from the log when each stream ended: by the server's clock,
// so that a test that is late does not see a wave where there was none.
func expectWaves(t *testing.T, log string, readers int) {
	t.Helper()
	const step = 100 * time.Millisecond
	var ends []time.Time
	waves := make(map[int64]int)
	for _, line := range logLines(t, log) {
		if line.Msg == "stream finished" && line.Reason == "server_draining" {
			ends = append(ends, line.Time)
			waves[line.Time.UnixNano()/int64(step)]++
		}
	}
	if len(ends) != readers {
		t.Fatalf("the log has %d ends of streams, want %d", len(ends), readers)
	}
	if len(waves) < 8 {
		t.Errorf("the streams ended in only %d steps of %v: %v", len(waves), step, waves)
	}
	for at, n := range waves {
		if n > readers/4 {
			t.Errorf("%d of %d streams ended at the same moment %d", n, readers, at)
		}
	}
}

// TestDrain_secondSignal shows that whoever cannot wait need not.
func TestDrain_secondSignal(t *testing.T) {
	t.Parallel()
	s := start(t, "--drain-timeout=1h")
	first, _ := s.subscribe(t, "channel=a", "")
	second, _ := s.subscribe(t, "channel=a", "")
	s.signal(t, syscall.SIGTERM)
	// Whichever is sent away first, the other would have to wait for minutes.
	left := make(chan error, 2)
	for _, stream := range []*stream{first, second} {
		go func() { // ends with the stream
			_, err := stream.events.next()
			left <- err
		}()
	}
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGINT)
	if code := s.exitCode(t); code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	if err := <-left; err == nil {
		t.Error("the other stream was sent away too: it did not exit at once")
	}
}
