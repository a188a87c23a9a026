package handlers_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/handlers"
)

// The table of problems in docs/reference.md is generated from the one in the code.
// UPDATE_REFERENCE=1 go test ./handlers writes it.
func TestProblemTable_reference(t *testing.T) {
	const file, begin, end = "../docs/reference.md", "<!-- problems:begin -->\n", "<!-- problems:end -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/reference.md has no place for the table of problems")
	}
	want := handlers.ProblemTable()
	if table == want {
		return
	}
	if os.Getenv("UPDATE_REFERENCE") == "" {
		t.Fatalf("the table of problems in docs/reference.md is not that of the code; it should be\n%s", want)
	}
	if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o600); err != nil {
		t.Fatal(err)
	}
}
