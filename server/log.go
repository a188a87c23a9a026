package main

import (
	"io"
	"log/slog"
)

// newLogger returns the logger that all parts are given. format is json or
// text; "" is text for a terminal and json for everything else, which a machine
// reads.
func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "text" || format == "" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
