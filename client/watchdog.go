package client

import (
	"io"
	"time"
)

// watchdog calls a function when nothing has been heard for too long. Only time
// spent waiting for the other side counts: a loop body may take as long as it
// likes over an event.
//
// It is used by one goroutine; bark runs in another.
type watchdog struct {
	timer    *time.Timer // nil: never barks
	patience time.Duration
}

// newWatchdog starts to wait at once. With no patience it never barks.
func newWatchdog(patience time.Duration, bark func()) *watchdog {
	w := &watchdog{patience: patience}
	if patience > 0 {
		w.timer = time.AfterFunc(patience, bark)
	}
	return w
}

func (w *watchdog) start() {
	if w.timer != nil {
		w.timer.Reset(w.patience)
	}
}

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watched is a body whose reads the watchdog watches.
type watched struct {
	body io.Reader
	dog  *watchdog
}

// Read implements [io.Reader].
func (w watched) Read(p []byte) (int, error) {
	w.dog.start()
	defer w.dog.stop()
	return w.body.Read(p)
}
