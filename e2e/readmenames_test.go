package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme_namesWhatExists looks for every test and file that the README names.
func TestReadme_namesWhatExists(t *testing.T) {
	t.Parallel()
	text := readme(t)
	declared, err := exec.CommandContext(t.Context(), "grep", "-rhoE", "--include=*_test.go", `^func (Test|Fuzz|Benchmark)\w+`, "..").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)(…?)`").FindAllStringSubmatch(text, -1)
	if len(names) == 0 {
		t.Error("the README names no test")
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
	for _, file := range regexp.MustCompile("(?:\\]\\(|`)([\\w.-]+(?:/[\\w.-]+)*\\.(?:md|js|yaml))(?:\\)|`)").FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("..", file[1])); err != nil {
			t.Error(err)
		}
	}
}
