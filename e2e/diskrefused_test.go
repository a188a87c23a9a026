package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDisk_secondProcess shows that a directory is of one process, and that the one
// that has it is not disturbed by another that wants it.
func TestDisk_secondProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := onDisk(t, dir)
	s.publish(t, "a", "t", "1")
	second := launchOnDisk(t, dir)
	if code := second.exitCode(t); code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	if text := second.stderr.String(); !strings.Contains(text, dir) || !strings.Contains(text, "in use") {
		t.Errorf("it says %q", text)
	}
	s.publish(t, "a", "t", "2")
	s.kill()
	s = onDisk(t, dir) // a dead one does not have it
	if got := s.history(t, "a"); len(got) != 2 {
		t.Errorf("%d messages, want 2", len(got))
	}
}

// TestDisk_newerFormat shows that an older program leaves alone what a newer one has
// written.
func TestDisk_newerFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := onDisk(t, dir)
	s.publish(t, "a", "t", "1")
	s.kill()
	format := filepath.Join(dir, "FORMAT")
	text, err := os.ReadFile(format)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, format, []byte("sluice 1000000\n"))
	was := contents(t, dir)
	p := launchOnDisk(t, dir)
	if code := p.exitCode(t); code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	for _, want := range []string{dir, "newer version", "1000000"} {
		if says := p.stderr.String(); !strings.Contains(says, want) {
			t.Errorf("it does not say %q: %s", want, says)
		}
	}
	for name, content := range contents(t, dir) {
		if was[name] != content {
			t.Errorf("%s was changed", name)
		}
	}

	replace(t, format, text)
	s = onDisk(t, dir)
	if got := s.history(t, "a"); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
}

// TestDisk_notOurs shows that a directory that holds something else is not taken over.
func TestDisk_notOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "thesis.txt"), []byte("precious"))
	p := launchOnDisk(t, dir)
	if code := p.exitCode(t); code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	if text := p.stderr.String(); !strings.Contains(text, dir) || !strings.Contains(text, "thesis.txt") {
		t.Errorf("it says %q", text)
	}
	if all := contents(t, dir); len(all) != 1 || all["thesis.txt"] != "precious" {
		t.Errorf("the directory holds %v", all)
	}
}

// contents returns all files below a directory.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// unfold writes files into a directory.
func unfold(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
