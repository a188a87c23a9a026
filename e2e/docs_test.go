package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is a page of docs/ whose blocks are run or compiled:
//
//	sh, text  as in the README, in a shell of the page's own in which SLUICE_URL
//	          and SLUICE_API_KEY are set and ./sluice is there: TestDocs_commands
//	python, php, ruby
//	          programs that the commands of the page run: TestDocs_commands
//	go        compiled: TestDocs_go
//	ts, tsx   compiled: web/test/docs.test.ts
//	yaml      a file that a server takes; the first line names it: TestDocs_files
//	html      what a page is served as: not tested
//	json      what a program reads or writes: not tested
type page struct {
	name   string // without its directory
	blocks []block
}

// reference are the pages whose blocks are excerpts of a wire or of a log.
func reference() []string { return []string{"benchmarks.md", "design.md", "streams.md"} }

// pages returns the pages of docs/ that are tested.
func pages(t testing.TB) []page {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no pages", err)
	}
	var all []page
	for _, file := range files {
		name := filepath.Base(file)
		if slices.Contains(reference(), name) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found, err := blocks(string(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, page{name, found})
	}
	return all
}

// of returns the page's blocks in a language.
func (p page) of(lang string) []block {
	return slices.DeleteFunc(slices.Clone(p.blocks), func(b block) bool { return b.lang != lang })
}

// TestDocs_languages finds blocks that no test would look at.
func TestDocs_languages(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if !slices.Contains(append(languages(), "sh", "text", "go", "ts", "tsx", "yaml", "html", "json"), b.lang) {
				t.Errorf("%s: line %d: blocks in %q are not known to the tests", p.name, b.line, b.lang)
			}
			if b.info != "" && b.lang != "sh" {
				t.Errorf("%s: line %d: %q after %s", p.name, b.line, b.info, b.lang)
			}
		}
	}
}

// TestDocs_commands runs the commands of each page, against a server of its own.
func TestDocs_commands(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		if len(p.of("sh")) == 0 {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if err := checkPage(t, start(t), p); err != nil {
				t.Error(err)
			}
		})
	}
}

func checkPage(t testing.TB, s *server, p page) error {
	t.Helper()
	environ := []string{"SLUICE_URL=" + s.url, "SLUICE_API_KEY=" + s.key}
	if python := interpreters(t, p)["python"]; python != "" {
		environ = append(environ, "PYTHON="+python)
	}
	var all []block
	for _, b := range p.blocks {
		command, err := asCommands(b)
		if err != nil {
			return err
		}
		all = append(all, command)
	}
	run, err := runnableBlocks(all)
	if err != nil || len(run) == 0 {
		return err
	}
	return checkCommands(t, s, run, environ...)
}

// TestDocs_checkPage shows that commands with a fault are found out. TestReadme_check
// has the other faults.
func TestDocs_checkPage(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct{ name, markdown, fault string }{
		{"good", "```sh\n./sluice publish a t 1\n```\n```text\n" + `{"id":"abcdefgh-1","channel":"a","topic":"t","kind":"data","created_at":"2026-01-02T03:04:05.678Z","durable":false,"duplicate":false}` + "\n```\n", ""},
		{"a command fails", "```sh\n./sluice publish a message 1\n```\n", "line 1: a command fails with 1"},
		{"a problem in silence", "```sh\ncurl \"$SLUICE_URL/v1/channels/b\" -H \"Authorization: Bearer $SLUICE_API_KEY\"\n```\n", "/problems/not-found"},
		{"a program", "```ruby\n# a.rb\nputs 1 + 1\n```\n```sh\ncat a.rb\n```\n```text\n# a.rb\nputs 1 + 1\n```\n", ""},
		{"a program without a name", "```ruby\nputs 1 + 1\n```\n", "line 1: the first line"},
		{"other output", "```sh\nprintenv SLUICE_URL\n```\n```text\nhttp://example.com\n```\n", "line 1: the commands print"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := blocks(tt.markdown)
			if err == nil {
				err = checkPage(t, s, page{"page.md", all})
			}
			switch {
			case tt.fault == "" && err != nil:
				t.Error(err)
			case tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)):
				t.Errorf("the fault is %v, want %q", err, tt.fault)
			}
		})
	}
}

// TestDocs_files starts a server with each file that a page shows.
func TestDocs_files(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, b := range p.of("yaml") {
			t.Run(fmt.Sprintf("%s line %d", p.name, b.line), func(t *testing.T) {
				t.Parallel()
				flag, err := flagOf(b)
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(t.TempDir(), "file.yaml")
				replace(t, file, []byte(b.text))
				// A proxy that nobody is keeps the hosts of examples from being asked.
				serve(t, []string{"HTTPS_PROXY=http://127.0.0.1:9"}, "sluice", "--dev", flag+"="+file)
			})
		}
	}
}

// flagOf returns the flag that takes a file. Its first line is a comment that
// names it, such as # channels.yaml.
func flagOf(b block) (string, error) {
	first, _, _ := strings.Cut(b.text, "\n")
	name, found := strings.CutPrefix(first, "# ")
	name, _, _ = strings.Cut(name, ",")
	name, isYAML := strings.CutSuffix(name, ".yaml")
	if !found || !isYAML {
		return "", errors.New("the first line does not name the file")
	}
	return "--" + name, nil
}

// TestDocs_links follows every link from a page to a file or a heading.
func TestDocs_links(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../README.md", "../web/README.md", "../CONTRIBUTING.md", "../SECURITY.md") {
		for _, fault := range brokenLinks(file) {
			t.Error(fault)
		}
	}
	page := filepath.Join(t.TempDir(), "page.md")
	replace(t, page, []byte("# One `two` three\n[a](#one-two-three) [b](#two) [c](page.md#one-two-three) [d](none.md) [e](page.md#none) [f](https://example.com#x)\n```sh\n# [g](none.md)\n```\n"))
	if faults := brokenLinks(page); len(faults) != 3 {
		t.Errorf("of three broken links these are found: %v", faults)
	}
}

// brokenLinks returns what is wrong with the links of a page.
func brokenLinks(file string) (faults []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return []string{err.Error()}
	}
	fence := regexp.MustCompile("(?ms)^```.*?^```")
	for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
		target, anchor, _ := strings.Cut(link[1], "#")
		if strings.Contains(target, "://") {
			continue
		}
		path := file
		if target != "" {
			path = filepath.Join(filepath.Dir(file), target)
		}
		if _, err := os.Stat(path); err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", file, err))
			continue
		}
		if anchor != "" && !slices.Contains(anchors(path), anchor) {
			faults = append(faults, fmt.Sprintf("%s: %s has no heading #%s", file, path, anchor))
		}
	}
	return faults
}

// anchors returns the names by which the headings of a page are linked to.
func anchors(file string) (names []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	left := regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		name := left.ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
