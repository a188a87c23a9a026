package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/schemas"
)

func TestBroker_Publish_durable(t *testing.T) {
	b := start(t, broker.Options{})
	p := broker.Publication{Channel: "a:1", Topic: "status", Data: []byte("1"), Key: "k"}
	first := put(t, b, p)
	if !first.Durable || first.Duplicate {
		t.Errorf("first call: %+v", first)
	}
	p.Data = []byte("2") // whatever its body
	again := put(t, b, p)
	first.Duplicate = true
	if again != first {
		t.Errorf("second call: got %+v, want %+v", again, first)
	}
	if info, _ := b.Channel(t.Context(), "a:1"); info.Messages != 1 {
		t.Errorf("%d messages", info.Messages)
	}
	if s := b.Stats(); s.Replayed != 1 || s.Remembered != 1 || s.ForgottenEarly != 0 || s.RememberedBytes <= 0 {
		t.Errorf("%+v", s)
	}
}

func TestBroker_Publish_durableKeysDoNotCollide(t *testing.T) {
	b := start(t, broker.Options{})
	for _, p := range []broker.Publication{
		{Channel: "a", Topic: "b", Key: "k"},
		{Channel: "a", Topic: "c", Key: "k"},
		{Channel: "b", Topic: "b", Key: "k"},
		{Channel: "a", Topic: "b", Key: "kk"},
		{Channel: "ab", Topic: "b", Key: "k"},
		{Channel: "a", Topic: "bb", Key: "k"},
		{Channel: "a", Topic: "b", Key: "b k"},
		{Channel: "a:b", Topic: "k", Key: "k"},
		{Channel: "a", Topic: "b", Key: `\nk`},
	} {
		p.Data = []byte("1")
		if r := put(t, b, p); r.Duplicate {
			t.Errorf("%+v is taken for another one", p)
		}
	}
}

func TestBroker_Publish_durableTwiceAtOnce(t *testing.T) {
	b := start(t, broker.Options{})
	for i := range 50 {
		var calls sync.WaitGroup
		receipts := make([]schemas.Receipt, 8)
		for j := range receipts {
			calls.Go(func() {
				receipts[j], _ = b.Publish(t.Context(), broker.Publication{Channel: "a", Topic: "b", Data: []byte("1"), Key: fmt.Sprint(i)})
			})
		}
		calls.Wait()
		published := 0
		for _, r := range receipts {
			if !r.Duplicate {
				published++
			}
			if r.ID != receipts[0].ID || r.ID.Seq == 0 {
				t.Fatalf("one call got %v, another %v", receipts[0], r)
			}
		}
		if published != 1 {
			t.Fatalf("%d calls say that they published", published)
		}
	}
	if n := b.Stats().Published; n != 50 {
		t.Errorf("%d messages for 50 keys", n)
	}
}

func TestBroker_Publish_durableThatFailedIsNotRemembered(t *testing.T) {
	b := start(t, broker.Options{MaxEventBytes: 400})
	p := broker.Publication{Channel: "a", Topic: "b", Data: []byte(`"` + strings.Repeat("x", 400) + `"`), Key: "k"}
	if _, err := b.Publish(t.Context(), p); !errors.Is(err, broker.ErrTooLarge) {
		t.Fatalf("got %v, want ErrTooLarge", err)
	}
	p.Data = []byte("1")
	if r := put(t, b, p); r.Duplicate {
		t.Error("a refused publish is remembered")
	}
}

// TestBroker_Publish_durableForgotten lets the time and the memory run out.
func TestBroker_Publish_durableForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := start(t, broker.Options{RememberFor: time.Hour, RememberBytes: 1 << 20, Log: slog.New(slog.NewTextHandler(&log, nil))})
		p := broker.Publication{Channel: "a", Topic: "b", Data: []byte("1"), Key: "k"}
		put(t, b, p)
		time.Sleep(59 * time.Minute) // of the bubble
		if r := put(t, b, p); !r.Duplicate {
			t.Error("forgotten before its time")
		}
		time.Sleep(3 * time.Minute)
		if r := put(t, b, p); r.Duplicate {
			t.Error("remembered for too long")
		}
		if n := b.Stats().ForgottenEarly; n != 0 {
			t.Errorf("%d are counted as forgotten early", n)
		}
		const n = 10_000
		for i := range n {
			p.Key = fmt.Sprint(i)
			put(t, b, p)
		}
		s := b.Stats()
		if s.ForgottenEarly == 0 || int64(s.Remembered)+s.ForgottenEarly != n+1 || s.RememberedBytes > 1<<20 {
			t.Errorf("after %d: %+v", n+1, s)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if want := fmt.Sprintf("publishes=%d\n", s.ForgottenEarly); strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("the log says %q, want once %q", log.String(), want)
		}
		p.Key = fmt.Sprint(n - 1)
		if r := put(t, b, p); !r.Duplicate {
			t.Error("the newest is forgotten")
		}
	})
}
