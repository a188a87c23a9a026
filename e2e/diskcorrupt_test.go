package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDisk_corrupt turns a byte over, in each file of a directory and at many places of
// it. Either all that was acknowledged is served as it was, or there is an error
// that names the file: at the start, or when it is asked for. With -v it logs which.
func TestDisk_corrupt(t *testing.T) {
	t.Parallel()
	const channels, each = 4, 40
	dir := t.TempDir()
	want := make(map[string][]kept)
	s := onDisk(t, dir)
	fill := func(part string) {
		var lines strings.Builder
		for n := range channels * each {
			lines.WriteString(item(channelOf("c:", n%channels), "t", fmt.Sprintf(`"%s %d %x"`, part, n, rand.Uint64())))
		}
		s.publishMany(within(t, patience), t, strings.NewReader(lines.String()))
	}
	fill("in the tables")
	s.ask(t, http.MethodPost, "/v1/publish/c:0/t", `"in the tables"`, "first")
	ends()["SIGTERM"](t, s)
	s = onDisk(t, dir)
	fill("in the journal")
	last := s.ask(t, http.MethodPost, "/v1/publish/c:0/t", `"in the journal"`, "second")
	for i := range channels {
		want[channelOf("c:", i)] = s.history(t, channelOf("c:", i))
	}
	s.kill()

	whole := contents(t, dir)
	for name, text := range whole {
		for _, at := range places(name, len(text)) {
			t.Run(fmt.Sprintf("%s@%d", name, at), func(t *testing.T) {
				t.Parallel()
				copied := maps.Clone(whole)
				damaged := []byte(text)
				damaged[at] ^= 0xff
				copied[name] = string(damaged)
				expectHonest(t, copied, name, want, last.ID)
			})
		}
	}
}

// places are where a file of the given length is damaged: at both ends more than in
// the middle.
func places(name string, length int) []int {
	var all []int
	for at := 0; at < min(length, 40); at += 8 {
		all = append(all, at)
	}
	for i := range 4 {
		all = append(all, length*i/4)
	}
	if filepath.Ext(name) == ".journal" { // of which a part of the last record looks like a write that was cut short
		for at := max(0, length-260); at < length; at += 3 {
			all = append(all, at)
		}
	}
	all = append(all, length-1)
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(at int) bool { return at < 0 || at >= length })
}

// expectHonest starts a server with files of which one is damaged.
func expectHonest(t *testing.T, files map[string]string, name string, want map[string][]kept, lastID string) {
	dir := t.TempDir()
	unfold(t, dir, files)
	p := launchOnDisk(t, dir, "--log-level=warn")
	s := comesUp(t, p)
	named := func() bool {
		return strings.Contains(p.stderr.String(), strings.TrimSuffix(filepath.Base(name), ".sst"))
	}
	if s == nil {
		if code := p.exitCode(t); code != 1 || !named() {
			t.Errorf("exit status %d, and it does not name the file: %s", code, p.stderr)
		}
		t.Log("refused at the start")
		return
	}
	for channel, messages := range want {
		got := s.tryHistory(t, channel)
		if got.status == http.StatusOK && !got.Gap && slices.EqualFunc(got.Messages, messages, same) {
			continue
		}
		if got.status != http.StatusServiceUnavailable && got.status != http.StatusInternalServerError {
			t.Errorf("%s: %d with %d messages, gap %t; want %d messages or an error", channel, got.status, len(got.Messages), got.Gap, len(messages))
		}
		t.Logf("%s: %d; the log must name the file", channel, got.status)
		eventually(t, named) // it may come after the answer
		t.Log("refused when it was asked for")
		return
	}
	a := s.ask(t, http.MethodPost, "/v1/publish/c:0/t", `"once more"`, "second")
	if a.status != http.StatusServiceUnavailable && (a.status != http.StatusOK || a.ID != lastID) {
		t.Errorf("the last publish once more: %d, %s; want 200 and %s, or an error", a.status, a.ID, lastID)
	}
	t.Log("served")
}

func same(a, b kept) bool { return a.ID == b.ID && string(a.Data) == string(b.Data) }
