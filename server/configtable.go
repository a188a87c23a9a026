package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// configTable returns the settings of the server as a Markdown table for the
// README, made from the same tags as --help.
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
