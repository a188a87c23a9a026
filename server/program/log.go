package program

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

// newLogger returns the logger that all parts use. format is json or text.
func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// logFormat returns the chosen log format; by default text on a terminal, and json
// anywhere else, where a machine reads it.
func logFormat(chosen string, w io.Writer) string {
	switch {
	case chosen != "":
		return chosen
	case isTerminal(w):
		return "text"
	}
	return "json"
}

const (
	// maxPendingLog limits the lines that wait for the reader of the log, in bytes.
	maxPendingLog = 1 << 20
	// flushTimeout is how long the program waits for its last lines when it ends.
	flushTimeout = time.Second
)

// lineWriter writes lines to a writer that may be slow, stuck or gone, and makes nobody
// wait: if the reader of the log stops reading, the service must go on. Lines wait in
// memory. Those that do not fit, or that the writer refuses, are counted and dropped.
//
// One goroutine writes. It ends after close, or never if the writer never returns.
type lineWriter struct {
	w     io.Writer
	onGap func(lost uint64) // called by the goroutine when writing works again
	torn  bool              // owned by the goroutine: the last byte written ends no line

	mu      sync.Mutex
	wake    *sync.Cond // of mu: pending, or closed
	pending []byte     // guarded by mu
	lost    uint64     // guarded by mu; lines
	closed  bool       // guarded by mu
	done    chan struct{}
}

// newLineWriter starts a lineWriter. onGap may be nil and may write lines itself.
func newLineWriter(w io.Writer, onGap func(lost uint64)) *lineWriter {
	l := &lineWriter{w: w, onGap: onGap, done: make(chan struct{})}
	l.wake = sync.NewCond(&l.mu)
	go l.run()
	return l
}

// Write implements [io.Writer] for whole lines. It never waits and never fails.
func (l *lineWriter) Write(lines []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending)+len(lines) > maxPendingLog || l.closed {
		l.lost += countLines(lines)
		return len(lines), nil
	}
	l.pending = append(l.pending, lines...)
	l.wake.Signal()
	return len(lines), nil
}

// Lost returns the number of lines that were dropped.
func (l *lineWriter) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// close writes the pending lines. It returns after timeout at the latest.
func (l *lineWriter) close(timeout time.Duration) {
	l.mu.Lock()
	l.closed = true
	l.wake.Signal()
	l.mu.Unlock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
}

func (l *lineWriter) run() {
	defer close(l.done)
	var lines []byte
	var told uint64
	for {
		if lines = l.take(lines[:0]); len(lines) == 0 {
			return
		}
		n, err := l.write(lines)
		if lost := l.lose(lines[n:]); err == nil && lost > told && l.onGap != nil {
			l.onGap(lost - told)
			told = lost
		}
	}
}

// take waits for lines and returns them, or none at the end. Later lines go into spare.
func (l *lineWriter) take(spare []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) == 0 && !l.closed {
		l.wake.Wait()
	}
	lines := l.pending
	l.pending = spare
	return lines
}

// write writes lines, after a line feed if the last line was cut short.
func (l *lineWriter) write(lines []byte) (n int, err error) {
	if l.torn {
		if _, err := l.w.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		l.torn = false
	}
	n, err = l.w.Write(lines)
	l.torn = n > 0 && lines[n-1] != '\n'
	return n, err
}

// lose counts the lines that were not written and returns the number of all lost lines.
func (l *lineWriter) lose(rest []byte) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost += countLines(rest)
	return l.lost
}

func countLines(text []byte) uint64 { return uint64(bytes.Count(text, []byte{'\n'})) }
