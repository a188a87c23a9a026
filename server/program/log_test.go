package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
			newLogger(&out, tt.level, logFormat(tt.format, &out)).Info("x")
			if got := out.String(); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("logged %q", got)
			}
		})
	}
}

// pipe is a writer whose reader can be stuck, and gone.
type pipe struct {
	stuck   chan struct{} // receives one value for each write that may go on; nil: not stuck
	refusal error
	took    int // bytes that a refused write takes all the same
	written bytes.Buffer
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.stuck != nil {
		<-p.stuck
	}
	if p.refusal != nil {
		n := min(p.took, len(b))
		p.written.Write(b[:n])
		return n, p.refusal
	}
	return p.written.Write(b)
}

func TestLineWriter_stuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{stuck: make(chan struct{})}
		lines := newLineWriter(p, nil)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		lines.Write(line)
		synctest.Wait() // the goroutine is stuck with the first
		for range 3 * maxPendingLog / len(line) {
			lines.Write(line) // a deadlock if it waits
		}
		if want := uint64(2 * maxPendingLog / len(line)); lines.Lost() != want {
			t.Errorf("%d lines are lost, want %d", lines.Lost(), want)
		}
		start := time.Now()
		lines.close(3 * time.Second)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("closing took %v", took)
		}
		close(p.stuck)
		<-lines.done
		if want := maxPendingLog + len(line); p.written.Len() != want {
			t.Errorf("%d bytes were written when it came back, want %d", p.written.Len(), want)
		}
	})
}

// A reader that is gone, for good or for a while: nothing ends, lines are
// counted, what comes after is told how many, and no line is glued to the half
// of another one.
func TestLineWriter_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{}
		var lines *lineWriter
		lines = newLineWriter(p, func(lost uint64) { fmt.Fprintf(lines, "lost %d\n", lost) })
		write := func(text string) {
			io.WriteString(lines, text)
			synctest.Wait()
		}
		write("one\n")
		p.refusal = errors.New("broken pipe")
		write("two\nthree\n")
		p.took = 3
		write("four\n")
		p.took = 0
		write("five\n")
		p.refusal = nil
		write("six\n")
		write("seven\n")
		lines.close(time.Second)
		if got, want := p.written.String(), "one\nfou\nsix\nlost 4\nseven\n"; got != want {
			t.Errorf("written: %q, want %q", got, want)
		}
		if lines.Lost() != 4 {
			t.Errorf("%d lines are lost", lines.Lost())
		}
	})
}

func TestLineWriter_closeFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{stuck: make(chan struct{})}
		lines := newLineWriter(p, nil)
		io.WriteString(lines, "one\n")
		synctest.Wait()
		io.WriteString(lines, "two\n")
		go func() { time.Sleep(time.Second); close(p.stuck) }()
		lines.close(time.Minute)
		io.WriteString(lines, "after the end\n")
		if got := p.written.String(); got != "one\ntwo\n" || lines.Lost() != 1 {
			t.Errorf("written: %q, %d lost", got, lines.Lost())
		}
	})
}
