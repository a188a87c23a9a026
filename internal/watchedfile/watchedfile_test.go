package watchedfile_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/watchedfile"
)

// A change is loaded once, and once it has settled. What is refused is logged once, and tried
// again when the file changes.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	at := time.Now()
	write := func(text string) {
		t.Helper()
		at = at.Add(time.Minute)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	var loaded []string
	load := func(text []byte) error {
		if string(text) == "bad" {
			return errors.New("it is bad")
		}
		loaded = append(loaded, string(text))
		return nil
	}
	f := &watchedfile.File{Path: path, Log: slog.New(slog.NewTextHandler(&log, nil)), Every: time.Second, Settles: true}
	write("\ufeffone")
	if err := f.Read(load); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	look := func() {
		now = now.Add(time.Second)
		f.Poll(now, load)
	}
	look()
	write("two")
	look() // it may not be complete
	if got := strings.Join(loaded, " "); got != "one" {
		t.Errorf("loaded %q", got)
	}
	look()
	f.Poll(now, load) // too early
	write("bad")
	for range 4 {
		look()
	}
	if got := strings.Join(loaded, " "); got != "one two" || f.Fault() != "it is bad" || strings.Count(log.String(), "changed file refused") != 1 {
		t.Errorf("loaded %q, fault %q, log %s", got, f.Fault(), &log)
	}
	write("three")
	look()
	look()
	if got := strings.Join(loaded, " "); got != "one two three" || f.Fault() != "" {
		t.Errorf("loaded %q, fault %q", got, f.Fault())
	}
}

func TestReadAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := watchedfile.ReadAll(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for _, size := range []int{watchedfile.MaxBytes, watchedfile.MaxBytes + 1} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if text, err := watchedfile.ReadAll(path); (err == nil) != (size == watchedfile.MaxBytes) || err == nil && len(text) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(text), err)
		}
	}
}
