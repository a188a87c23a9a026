package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/internal/idempotency"
	"github.com/sluicehq/sluice/schemas"
)

func open(t *testing.T) *idempotency.Receipts {
	t.Helper()
	m, err := idempotency.New(1<<20, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func receipt(seq uint64) schemas.Receipt {
	return schemas.Receipt{ID: schemas.ID{Epoch: 1, Seq: seq}, Channel: "c", Topic: "t", Kind: schemas.KindData}
}

// TestReceipts_Do_waits: a call with a key that is being published waits, does not
// publish after a success, and does after a failure. One with another key does not
// wait.
func TestReceipts_Do_waits(t *testing.T) {
	failure := errors.New("failed")
	for _, tt := range []struct {
		name      string
		err       error
		published int
	}{{"after a success", nil, 1}, {"after a failure", failure, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := open(t)
				k := idempotency.KeyOf("c", "t", "k")
				published, proceed := 0, make(chan struct{})
				go func() { // ends with proceed
					_, _ = m.Do(t.Context(), k, func() (schemas.Receipt, error) {
						published++
						<-proceed
						return receipt(1), tt.err
					})
				}()
				synctest.Wait()
				second := make(chan schemas.Receipt, 1)
				go func() { // ends after the first one
					r, _ := m.Do(t.Context(), k, func() (schemas.Receipt, error) {
						published++
						return receipt(2), nil
					})
					second <- r
				}()
				synctest.Wait()
				if r, err := m.Do(t.Context(), idempotency.KeyOf("c", "t", "other"), func() (schemas.Receipt, error) { return receipt(3), nil }); err != nil || r.ID.Seq != 3 {
					t.Errorf("another key: %+v, %v", r, err)
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := m.Do(ended, k, nil); !errors.Is(err, context.Canceled) {
					t.Errorf("a caller that gave up: %v", err)
				}
				close(proceed)
				if r := <-second; r.ID.Seq != uint64(tt.published) || r.Duplicate != (tt.err == nil) || published != tt.published {
					t.Errorf("published %d times, the second call got %+v", published, r)
				}
			})
		})
	}
}

func TestReceipts_Recall(t *testing.T) {
	m := open(t)
	k := idempotency.KeyOf("c", "t", "k")
	if _, known, err := m.Recall(k); known || err != nil {
		t.Fatalf("before: %t, %v", known, err)
	}
	first, err := m.Do(t.Context(), k, func() (schemas.Receipt, error) { return receipt(1), nil })
	if err != nil || !first.Durable || first.Duplicate {
		t.Fatalf("first: %+v, %v", first, err)
	}
	first.Duplicate = true
	if again, known, err := m.Recall(k); again != first || !known || err != nil {
		t.Errorf("after: %+v, %t, %v", again, known, err)
	}
	if s := m.Stats(); s.Replayed != 1 || s.Remembered != 1 || s.ForgottenEarly != 0 || s.RememberedBytes <= 0 {
		t.Errorf("%+v", s)
	}
}
