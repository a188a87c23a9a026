package handlers_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/handlers"
)

// The table of problems in the README is made from the one in the code:
// UPDATE_README=1 go test ./handlers writes it anew.
func TestProblemTable_readme(t *testing.T) {
	const file, begin, end = "../README.md", "<!-- problems:begin -->\n", "<!-- problems:end -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the README has no place for the table of problems")
	}
	want := handlers.ProblemTable()
	if table == want {
		return
	}
	if os.Getenv("UPDATE_README") == "" {
		t.Fatalf("the README's table of problems is not that of the code; it should be\n%s", want)
	}
	if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o600); err != nil {
		t.Fatal(err)
	}
}
