package program

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestInterruptible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{stuck: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		out := &interruptible{ctx, p}
		time.AfterFunc(time.Hour, func() { p.stuck <- struct{}{} })
		if n, err := out.Write([]byte("one")); n != 3 || err != nil {
			t.Errorf("a slow reader: %d, %v", n, err)
		}
		cancel()
		start := time.Now()
		time.AfterFunc(lastWord/2, func() { p.stuck <- struct{}{} })
		if n, err := out.Write([]byte("two")); n != 3 || err != nil {
			t.Errorf("a reader that takes the last word: %d, %v", n, err)
		}
		if _, err := out.Write([]byte("three")); !errors.Is(err, context.Canceled) || time.Since(start) != lastWord/2+lastWord {
			t.Errorf("a stuck reader: %v after %v", err, time.Since(start))
		}
		close(p.stuck)
		synctest.Wait()
	})
}
