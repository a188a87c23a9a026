package main

import (
	"flag"
	"os"
	"strings"
	"testing"
)

const (
	readme     = "../README.md"
	tableBegin = "<!-- config:begin -->\n"
	tableEnd   = "<!-- config:end -->"
)

// go test -run TestConfigTable_readme ./server -update writes the table.
func TestConfigTable_readme(t *testing.T) {
	table, err := configTable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(content), tableBegin)
	present, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table: %s%s", readme, tableBegin, tableEnd)
	}
	if present == table {
		return
	}
	if flag.Lookup("update").Value.String() != "true" {
		t.Fatalf("the table in %s is not the one of the flags; run go generate ./server", readme)
	}
	if err := os.WriteFile(readme, []byte(before+tableBegin+table+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestConfigTable(t *testing.T) {
	table, err := configTable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| `--max-message-bytes` | `SLUICE_MAX_MESSAGE_BYTES` | `60KiB` | Longest event, up to 1MiB. Widely used clients fail on 64KiB. |\n",
		"| `--api-keys` | `SLUICE_API_KEYS` or `SLUICE_API_KEYS_FILE` | – | Keys of your backends;",
	} {
		if !strings.Contains(table, row) {
			t.Errorf("no row %s in\n%s", row, table)
		}
	}
	if strings.Contains(table, "--help") || strings.Contains(table, "|  |") {
		t.Errorf("a row is wrong:\n%s", table)
	}
}
