package e2e_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of its own that ends with the test. It is mounted
// for everyone, since a mount of a thread alone is not that of the program.
func smallDisk(t testing.TB, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("only root can mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// ballast takes all room on a disk until it is thrown off.
type ballast string

// load writes until nothing more fits, and again whenever something does, until ctx
// ends.
func (b ballast) load(ctx context.Context, t testing.TB) {
	file, err := os.OpenFile(string(b), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	for block := make([]byte, 64<<10); ctx.Err() == nil; {
		if _, err = file.Write(block); errors.Is(err, syscall.ENOSPC) {
			wait(ctx, time.Millisecond)
		} else if err != nil {
			t.Error(err)
			return
		}
	}
}

func (b ballast) throwOff(t testing.TB) {
	t.Helper()
	if err := os.Remove(string(b)); err != nil {
		t.Fatal(err)
	}
}

// TestDisk_full fills the disk to its last byte while many publish. They are refused,
// readers stay, and with room again it goes on as if nothing had been.
func TestDisk_full(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "128m")
	dir := filepath.Join(disk, "data")
	s := onDisk(t, dir, "--heartbeat=200ms", "--log-level=error")
	wire := newCutter(t, "tcp", s.address())
	in := listen(t, readers()[0], wire.url, s.key)
	in.expectOpen(false)
	s.count(t, 1, 5)
	in.expectMessages(1, 5)

	b := newBeacon()
	b.move(s.url)
	deeds := make([][]deed, 8)
	var publishing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for i := range deeds {
		publishing.Go(func() { deeds[i] = publishAll(ctx, t, b, "full:", strconv.Itoa(i)) })
	}
	wait(ctx, 200*time.Millisecond)
	weight := ballast(filepath.Join(disk, "ballast"))
	var loading sync.WaitGroup
	filling, stopFilling := context.WithCancel(ctx)
	defer stopFilling()
	loading.Go(func() { weight.load(filling, t) })
	expectFull(t, s)
	in.expectBeats(wire, beatSSE) // the stream that was open
	stopFilling()
	loading.Wait()
	weight.throwOff(t)

	eventually(t, func() bool { return s.ask(t, "GET", "/readyz", "", "").status == http.StatusOK })
	s.count(t, 6, 10)
	in.expectMessages(6, 10) // with no $open before them: it was never closed
	stop()
	publishing.Wait()
	s.kill()
	s = onDisk(t, dir)
	held := make(map[string][]kept)
	for i := range stormChannels {
		held[channelOf("full:", i)] = s.history(t, channelOf("full:", i))
	}
	checkDeeds(t, slices.Concat(deeds...), held)
	if got := s.history(t, runChannel); len(got) != 10 {
		t.Errorf("%d messages, want 10", len(got))
	}
}

// expectFull waits until a server says that its disk is full, and asks it for what it
// can do then and what not.
func expectFull(t testing.TB, s *server) {
	t.Helper()
	var a answer
	eventually(t, func() bool {
		a = s.ask(t, "GET", "/readyz", "", "")
		return a.status != http.StatusOK
	})
	if a.status != http.StatusServiceUnavailable || a.Type != "/problems/engine-unavailable" || !strings.Contains(a.Detail, "full") {
		t.Errorf("readyz: %d %s %q, want 503 and why", a.status, a.Type, a.Detail)
	}
	for _, tt := range []struct{ name, method, path, body, key string }{
		{"publish", "POST", "/v1/publish/full:x/t", "1", ""},
		{"durable publish", "POST", "/v1/publish/full:x/t", "1", "key"},
		{"run", "PUT", "/v1/channels/full:x/run", `{"status":"running"}`, ""},
		{"revocation", "DELETE", "/v1/tokens/some", "", ""},
		{"definition", "PUT", "/v1/schemas/some:%7Bid%7D", definition, ""},
	} {
		a := s.ask(t, tt.method, tt.path, tt.body, tt.key)
		if a.status != http.StatusServiceUnavailable || a.Type != "/problems/engine-unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s, Retry-After %q; want 503", tt.name, a.status, a.Type, a.header.Get("Retry-After"))
		}
	}
	if got := s.history(t, runChannel); len(got) != 5 {
		t.Errorf("the history has %d messages, want 5", len(got))
	}
	if a := s.ask(t, "GET", "/healthz", "", ""); a.status != http.StatusOK {
		t.Errorf("healthz: %d, want 200", a.status)
	}
	late, _ := s.subscribe(t, "channel="+runChannel+"&replay=all", "")
	late.expect(t, topicOf(1))
}

// TestDisk_fullAtStart shows what a server does that is ended, and started again,
// while there is no room at all: it ends in time, it serves or says what is wrong, and
// nothing is lost.
func TestDisk_fullAtStart(t *testing.T) {
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := smallDisk(t, "128m")
			dir := filepath.Join(disk, "data")
			s := onDisk(t, dir, "--log-level=error")
			s.count(t, 1, 5)
			weight := ballast(filepath.Join(disk, "ballast"))
			var loading sync.WaitGroup
			filling, stopFilling := context.WithCancel(t.Context())
			defer stopFilling()
			loading.Go(func() { weight.load(filling, t) })
			eventually(t, func() bool { return s.ask(t, "GET", "/readyz", "", "").status != http.StatusOK })
			wait(t.Context(), 500*time.Millisecond) // to the last byte
			stopFilling()
			loading.Wait()
			end(t, s)

			p := launchOnDisk(t, dir)
			if comesUp(t, p) == nil {
				text := p.stderr.String()
				if code := p.exitCode(t); code != 1 || !strings.Contains(text, "space") && !strings.Contains(text, "full") {
					t.Errorf("exit status %d: %s", code, text)
				}
			}
			p.kill()
			weight.throwOff(t)
			s = onDisk(t, dir)
			if got := s.history(t, runChannel); len(got) != 5 {
				t.Errorf("%d messages, want 5", len(got))
			}
			s.count(t, 6, 6)
		})
	}
}

// TestDisk_fullOfDue shows that a server which has filled its disk by itself takes
// publishes again when what it keeps has passed its age, also over a restart.
func TestDisk_fullOfDue(t *testing.T) {
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(smallDisk(t, "100m"), "data")
			flags := []string{"--replay-age=30s", "--remember-for=30s", "--log-level=error"}
			s := onDisk(t, dir, flags...)
			texts := make([]string, 8)
			for i := range texts {
				for len(texts[i]) < 50_000 {
					texts[i] += rand.Text()
				}
			}
			fill := func() {
				n := 0
				eventually(t, func() bool {
					for range 100 {
						n++
						text := texts[n%8][n%40_000:] + texts[n/8%8][:n%40_000] // that cannot be compressed much
						if s.ask(t, "POST", "/v1/publish/"+channelOf("c:", n%40)+"/t", `"`+text+`"`, "").status != http.StatusCreated {
							return true
						}
					}
					return false
				})
			}
			serves := func() {
				eventually(t, func() bool {
					return s.ask(t, "POST", "/v1/publish/a/t", "1", "").status == http.StatusCreated
				})
			}
			fill()
			serves()
			fill()
			end(t, s)
			s = onDisk(t, dir, flags...)
			serves()
		})
	}
}
