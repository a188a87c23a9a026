package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs_namesTests looks for every test that docs/concepts.md names as the proof
// of a promise: a function, or a file by its path in the repository.
func TestDocs_namesTests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/concepts.md")
	if err != nil {
		t.Fatal(err)
	}
	declared, err := exec.CommandContext(t.Context(), "grep", "-rhoE", "--include=*_test.go", `^func (Test|Fuzz|Benchmark)\w+`, "..").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)(…?)`").FindAllStringSubmatch(string(page), -1)
	if len(names) == 0 {
		t.Error("docs/concepts.md names no test")
	}
	for _, name := range names {
		declaration := "func " + name[1]
		if name[2] == "" {
			declaration += "\n"
		}
		if !strings.Contains(string(declared), declaration) {
			t.Errorf("there is no %s", name[1])
		}
	}
	files := regexp.MustCompile("`(\\w+(?:/[\\w.-]+)+\\.js)`").FindAllStringSubmatch(string(page), -1)
	if len(files) == 0 {
		t.Error("docs/concepts.md names no file")
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join("..", file[1])); err != nil {
			t.Error(err)
		}
	}
}
