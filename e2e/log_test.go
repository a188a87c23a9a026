package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// logLine is what tests want of a line of the log.
type logLine struct {
	Time   time.Time
	Msg    string
	Reason string
}

// logLines decodes a log, every line of which must be one JSON object.
func logLines(t testing.TB, log string) []logLine {
	t.Helper()
	var lines []logLine
	for text := range strings.Lines(log) {
		var l logLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("the log has %q: %v", text, err)
		}
		lines = append(lines, l)
	}
	return lines
}
