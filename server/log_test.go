package main

import (
	"log/slog"
	"strings"
	"testing"
)

func TestNewLogger(t *testing.T) {
	tests := []struct {
		name, format string
		level        slog.Level
		want         string // beginning of the one line; "": none
	}{
		{"json is the default in a pipe", "", slog.LevelInfo, `{"time":`},
		{"json", "json", slog.LevelInfo, `{"time":`},
		{"text", "text", slog.LevelInfo, "time="},
		{"level", "text", slog.LevelWarn, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			newLogger(&out, tt.level, tt.format).Info("x")
			if got := out.String(); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("logged %q", got)
			}
		})
	}
}
