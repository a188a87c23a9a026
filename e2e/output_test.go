package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"sync"
)

// output keeps what is written to it and lets a test wait for a text in it. It
// is safe for concurrent use.
type output struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed and replaced by each Write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(p), nil
}

// String returns all that was written.
func (o *output) String() string {
	text, _ := o.now()
	return string(text)
}

// now returns a copy of what was written, and what is closed when there is more.
func (o *output) now() ([]byte, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.text), o.changed
}

// len returns how many bytes were written.
func (o *output) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.text)
}

// wait waits until what was written after the first from bytes matches the
// pattern, and returns its submatches.
func (o *output) wait(ctx context.Context, from int, pattern string) ([]string, error) {
	re := regexp.MustCompile(pattern)
	for {
		text, changed := o.now()
		if found := re.FindSubmatch(text[from:]); found != nil {
			matches := make([]string, len(found))
			for i, match := range found {
				matches[i] = string(match)
			}
			return matches, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("waited for %q: %w; there was:\n%s", pattern, ctx.Err(), tail(string(text[from:]), 4000))
		}
	}
}

// tail returns the last n bytes of text.
func tail(text string, n int) string {
	if len(text) > n {
		return "[…]" + text[len(text)-n:]
	}
	return text
}
