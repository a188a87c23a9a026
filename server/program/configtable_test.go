package program

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

const (
	reference  = "../../docs/reference.md"
	tableBegin = "<!-- config:begin -->\n"
	tableEnd   = "<!-- config:end -->"
)

// go test -run TestConfigTable_reference ./server/program -update writes the table.
func TestConfigTable_reference(t *testing.T) {
	table, err := configTable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(content), tableBegin)
	present, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table: %s%s", reference, tableBegin, tableEnd)
	}
	if present == table {
		return
	}
	if flag.Lookup("update").Value.String() != "true" {
		t.Fatalf("the table in %s is not the one of the flags; run go generate ./server/program", reference)
	}
	if err := os.WriteFile(reference, []byte(before+tableBegin+table+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestConfigTable(t *testing.T) {
	table, err := configTable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"| `--max-message-bytes` | `SLUICE_MAX_MESSAGE_BYTES` | `60KiB` | Maximum size of an event, up to 1MiB. Widely used clients fail at 64KiB. |\n",
		"| `--api-keys` | `SLUICE_API_KEYS` or `SLUICE_API_KEYS_FILE` | – | Keys of your backends.",
	} {
		if !strings.Contains(table, row) {
			t.Errorf("no row %s in\n%s", row, table)
		}
	}
	if strings.Contains(table, "--help") || strings.Contains(table, "|  |") {
		t.Errorf("a row is wrong:\n%s", table)
	}
}

// configTable returns the settings of the server as a Markdown table for
// docs/reference.md, made from the same tags as --help.
func configTable() (string, error) {
	s := newSettings(nil)
	parser, err := newParser(s, io.Discard, io.Discard, func(int) {})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| Flag | Variable | Default | Meaning |\n|---|---|---|---|\n")
	for _, node := range parser.Model.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			if known, ok := s.known[flag]; ok {
				b.WriteString(tableRow(known, flag))
			}
		}
	}
	return b.String(), nil
}

func tableRow(known setting, flag *kong.Flag) string {
	variable := "`" + known.variable + "`"
	if known.secret {
		variable += " or `" + known.variable + fileSuffix + "`"
	}
	fallback := "–"
	if flag.HasDefault {
		fallback = "`" + flag.Default + "`"
	}
	help := strings.ReplaceAll(flag.Help, "|", `\|`)
	return fmt.Sprintf("| `--%s` | %s | %s | %s |\n", flag.Name, variable, fallback, help)
}
