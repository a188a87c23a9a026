package web_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/web"
)

// reference finds what a page, a script or a style sheet loads.
var reference = regexp.MustCompile("(?:\\bsrc=|\\bhref=|\\bfrom |\\bimport |\\bimport\\(|\\burl\\()[\"`]?([^\"`')\\s>]+)")

func TestFiles_loadNothingButEachOther(t *testing.T) {
	loaded := []string{"index.html"}
	for _, name := range names(t) {
		for _, match := range reference.FindAllStringSubmatch(read(t, name), -1) {
			target := match[1]
			if strings.HasPrefix(target, "#") || !strings.Contains(target, ".") {
				continue // a place on the page, or a word of a comment
			}
			loaded = append(loaded, path.Clean(target))
			if _, err := fs.Stat(web.Files(), path.Clean(target)); err != nil {
				t.Errorf("%s loads %q, which is not embedded", name, target)
			}
		}
	}
	for _, name := range names(t) {
		if !slices.Contains(loaded, name) {
			t.Errorf("%s is embedded, but nothing loads it", name)
		}
	}
}

func TestFiles_obeyThePolicyOfThePage(t *testing.T) {
	forbidden := []struct {
		name    string
		pattern string
	}{
		{"inline style", `(?i)<style|\sstyle=`},
		{"inline script", `(?i)<script>|<script type="module">|javascript:`},
		{"inline handler", `(?i)<[^>]*\son[a-z]+=`},
		{"code from text", `\beval\(|new Function`},
		{"storage", `localStorage|sessionStorage|indexedDB|document\.cookie`},
	}
	for _, rule := range forbidden {
		t.Run(rule.name, func(t *testing.T) {
			for _, name := range names(t) {
				if found := regexp.MustCompile(rule.pattern).FindString(read(t, name)); found != "" {
					t.Errorf("%s contains %q", name, found)
				}
			}
		})
	}
}

// TestFiles_noMarkupFromText looks at the sources of the page. In what is built from them,
// Preact can set markup as well, if it is asked to.
func TestFiles_noMarkupFromText(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment`)
	looked := 0
	err := fs.WalkDir(os.DirFS("dashboard"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		looked++
		text, err := os.ReadFile(filepath.Join("dashboard", name))
		if found := forbidden.Find(text); found != nil {
			t.Errorf("%s contains %q", name, found)
		}
		return err
	})
	if err != nil || looked == 0 {
		t.Errorf("looked at %d files: %v", looked, err)
	}
}

// TestFiles_theSDK looks at what pages without a bundler import: one module that
// needs no other.
func TestFiles_theSDK(t *testing.T) {
	text := read(t, "sdk/sluice.js")
	if !strings.HasPrefix(text, "/*! Sluice ") {
		t.Errorf("it does not begin with its version: %.80q", text)
	}
	exported := regexp.MustCompile(`export\{([^}]*)\};?\s*$`).FindStringSubmatch(text)
	if exported == nil {
		t.Fatalf("it does not end with its exports: %q", text[max(0, len(text)-80):])
	}
	for _, name := range []string{"SluiceError", "channel", "subscribe"} {
		if !regexp.MustCompile(`\b` + name + `(,|$)`).MatchString(exported[1]) {
			t.Errorf("%s is not exported: %s", name, exported[1])
		}
	}
	if found := regexp.MustCompile(`\bimport\s*[({*"` + "'`" + `]|\bfrom\s*["` + "'`" + `]|\beval\(|new Function|sourceMappingURL`).FindString(text); found != "" {
		t.Errorf("it contains %q", found)
	}
	if slices.Contains(names(t), "sdk") {
		t.Error("it is listed among the files of the page")
	}
}

// TestFiles_thePackage unpacks what npm installs, and holds it to what npm would pack.
func TestFiles_thePackage(t *testing.T) {
	data, err := fs.ReadFile(web.Files(), "sdk/sluice.tgz")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := fs.ReadFile(web.Files(), "sdk/sluice.tgz"); err != nil || !bytes.Equal(again, data) {
		t.Errorf("another time it is another file: %v", err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	packed := map[string]bool{}
	for archive := tar.NewReader(zip); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name, below := strings.CutPrefix(head.Name, "package/")
		if !below || head.Mode != 0o644 || packed[name] {
			t.Errorf("%s with mode %o", head.Name, head.Mode)
		}
		packed[name] = true
		got, err := io.ReadAll(archive)
		want, wantErr := os.ReadFile(name)
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the file: %v, %v", name, err, wantErr)
		}
	}
	want := []string{"package.json", "README.md", "LICENSE", "NOTICE"}
	if err := filepath.WalkDir("dist", func(name string, entry fs.DirEntry, err error) error {
		if !entry.IsDir() {
			want = append(want, filepath.ToSlash(name))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range want {
		if !packed[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if len(packed) != len(want) {
		t.Errorf("it has %d files, want %d", len(packed), len(want))
	}
}

// TestFiles_licence: the package carries the licence of the repository.
func TestFiles_licence(t *testing.T) {
	for _, name := range []string{"LICENSE", "NOTICE"} {
		ours, err := os.ReadFile("../" + name)
		copied, copyErr := os.ReadFile(name)
		if err != nil || copyErr != nil || !bytes.Equal(ours, copied) {
			t.Errorf("%s is not that of the repository: %v, %v", name, err, copyErr)
		}
	}
}

func names(t *testing.T) []string {
	t.Helper()
	found, err := fs.Glob(web.Files(), "*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(web.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
