package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDocs_anyCurl looks for options that the curl of a system still in use does
// not know: 7.61 is that of the oldest.
func TestDocs_anyCurl(t *testing.T) {
	t.Parallel()
	newer := regexp.MustCompile(`(?m)^.*\bcurl\b.*(--json|--fail-with-body|--url-query|--variable|--expand-|--retry-all-errors|--output-dir).*$`)
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("no pages", err)
	}
	for _, file := range append(files, "../README.md", "../server/program/banner.go", "../schemas/openapi.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range newer.FindAllString(string(text), -1) {
			t.Errorf("%s: an older curl does not know this: %s", file, line)
		}
	}
}
