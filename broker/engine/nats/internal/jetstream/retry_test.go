package jetstream_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine/nats/internal/jetstream"
)

var (
	errAgain = errors.New("again")
	errFinal = errors.New("final")
)

func again(err error) bool { return errors.Is(err, errAgain) }

func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		name     string
		errs     []error // of the attempts in turn; the last one repeats
		attempts int
		want     error
	}{
		{"at once", []error{nil}, 1, nil},
		{"later", []error{errAgain, errAgain, nil}, 3, nil},
		{"for good", []error{errAgain, errFinal}, 2, errFinal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				err := jetstream.Retry(t.Context(), 0, again, func(context.Context) error {
					n++
					return tt.errs[min(n, len(tt.errs))-1]
				})
				if !errors.Is(err, tt.want) || n != tt.attempts {
					t.Errorf("%v after %d attempts, want %v after %d", err, n, tt.want, tt.attempts)
				}
			})
		})
	}
}

// When the context ends, the caller learns why the last attempt failed, not that time
// was up.
func TestRetry_contextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		n := 0
		err := jetstream.Retry(ctx, 0, again, func(context.Context) error { n++; return errAgain })
		if !errors.Is(err, errAgain) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		// 2, 4, 8 … 128, 250, 250: the pauses grow and are bounded.
		if n < 9 || n > 12 {
			t.Errorf("%d attempts in a second", n)
		}
	})
}

// An attempt that hangs is given up in time for the next one.
func TestRetry_attemptHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		err := jetstream.Retry(t.Context(), time.Second, again, func(ctx context.Context) error {
			if n++; n < 3 {
				<-ctx.Done()
				return errAgain
			}
			return nil
		})
		if err != nil || n != 3 {
			t.Errorf("%v after %d attempts", err, n)
		}
	})
}
