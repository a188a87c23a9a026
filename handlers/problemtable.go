package handlers

import (
	"fmt"
	"strings"
)

//go:generate env UPDATE_README=1 go test -run TestProblemTable_readme .

// ProblemTable returns every kind of problem as a table in Markdown, for the
// README.
func ProblemTable() string {
	var b strings.Builder
	b.WriteString("| status | type | when |\n|---|---|---|\n")
	for _, s := range specs() {
		fmt.Fprintf(&b, "| %d | `/problems/%s` | %s |\n", s.status, s.kind, s.when)
	}
	return b.String()
}
