package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs_designNamesCode follows the design page into the code: every path that it
// names exists, and every `name` that it says is in a file is declared there.
func TestDocs_designNamesCode(t *testing.T) {
	t.Parallel()
	for _, fault := range staleNames(t, "../docs/design.md") {
		t.Error(fault)
	}
	page := filepath.Join(t.TempDir(), "page.md")
	replace(t, page, []byte("`broker/broker.go`, `broker/none.go`, `none` in `broker/broker.go`\n  text   broker/nowhere.go\n"))
	if faults := staleNames(t, page); len(faults) != 3 {
		t.Errorf("of three stale names these are found: %v", faults)
	}
}

// staleNames returns what a page says of the code that is not so.
func staleNames(t *testing.T, page string) (faults []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`(?m)(?:\s|` + "`" + `)((?:auth|broker|client|handlers|internal|schemas|server|web)/[\w./]+\w)`)
	for _, found := range path.FindAllSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("..", string(found[1]))); err != nil {
			faults = append(faults, err.Error())
		}
	}
	placed := regexp.MustCompile("`(\\w+)` in `([\\w./]+\\.go)`")
	for _, found := range placed.FindAllSubmatch(text, -1) {
		code, err := os.ReadFile(filepath.Join("..", string(found[2])))
		if err != nil {
			continue // told above
		}
		declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|\s+|type |const |var )` + string(found[1]) + `\b`)
		if !declared.Match(code) {
			faults = append(faults, string(found[1])+" is not in "+string(found[2]))
		}
	}
	return faults
}

// TestDocs_operatingNamesLogLines looks in the code for each line of the log that the
// operating page explains.
func TestDocs_operatingNamesLogLines(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| line in the log |")
	if !found {
		t.Fatal("the page has no table of log lines")
	}
	code := sources(t, "../auth", "../broker", "../handlers", "../internal", "../presence", "../server", "../webhooks")
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \|`).FindAllStringSubmatch(table, -1) {
		for _, line := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			if !strings.Contains(code, `"`+line[1]) {
				t.Errorf("nothing logs %q", line[1])
			}
		}
	}
}

// sources returns the Go code in the directories, tests aside.
func sources(t *testing.T, dirs ...string) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			code, err := os.ReadFile(path)
			all.Write(code)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
