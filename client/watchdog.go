package client

import (
	"io"
	"time"
)

// watchdog calls a function if nothing has arrived for too long. Only the time spent
// waiting for the server counts: a loop body may take as long as it likes.
//
// It is used by one goroutine; bark runs in another.
type watchdog struct {
	timer    *time.Timer // nil: never barks
	patience time.Duration
}

// patienceFor returns how long a server with the given heartbeat interval may be silent, 0
// for any time.
func patienceFor(interval time.Duration) time.Duration {
	const longest = 50 * 365 * 24 * time.Hour // and no overflow
	return min(max(interval, 0), longest) * 5 / 2
}

// newWatchdog starts to wait immediately. With patience 0, it never barks.
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
