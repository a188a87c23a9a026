package nats

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker/engine"
)

func wantReady(t *testing.T, h *health, ready bool) {
	t.Helper()
	if err := h.ready(); (err == nil) != ready || err != nil && !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("ready: %v, want %t", err, ready)
	}
}

// pass calls check once a second and returns how often it asked for each measure.
func pass(h *health, seconds int) (turned, severed, moved int) {
	for range seconds {
		time.Sleep(time.Second)
		m := h.check(time.Now(), 3)
		for _, c := range []struct {
			asked bool
			n     *int
		}{{m.turnedRed, &turned}, {m.sever, &severed}, {m.move, &moved}} {
			if c.asked {
				*c.n++
			}
		}
	}
	return turned, severed, moved
}

// Whether the canaries of others prove anything depends on what has become of one's own.
func TestHealth_steady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(10 * time.Second)
		wantSteady := func(what string, d time.Duration) {
			t.Helper()
			if !h.steady(d) || h.steady(d+1) {
				t.Errorf("%s: not steady for %s", what, d)
			}
		}
		beat := func(seconds int) {
			for range seconds {
				time.Sleep(time.Second)
				h.canaryBack()
			}
		}
		beat(5)
		wantSteady("from the start", 5*time.Second)
		time.Sleep(silence + 1)
		if h.steady(0) {
			t.Error("steady without a canary")
		}
		h.canaryBack()
		wantSteady("after a silence", 0)
		beat(5)
		wantSteady("after a while", 5*time.Second)
		h.canaryStored(errors.New("full"))
		wantSteady("refused", 0)
		h.canaryStored(nil)
		beat(2)
		wantSteady("not refused any more", 2*time.Second)
	})
}

// A canary that stays away makes the engine red, moves it from server to server, and
// sends readers away once. Red ends when the canary is back and everything was compared.
func TestHealth_silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(10 * time.Second)
		if turned, _, moved := pass(h, 3); turned+moved != 0 {
			t.Error("red at once")
		}
		wantReady(t, h, true)
		turned, severed, moved := pass(h, 5)
		if turned != 1 || severed != 0 || moved != 2 {
			t.Errorf("turned %d, severed %d, moved %d", turned, severed, moved)
		}
		wantReady(t, h, false)
		if _, severed, _ = pass(h, 20); severed != 1 {
			t.Errorf("severed %d times", severed)
		}
		h.canaryBack()
		wantReady(t, h, false) // what was lost meanwhile is missing
		if h.check(time.Now(), 3).recovered {
			t.Error("recovered although something is missing")
		}
		losses, due := h.lossesDue()
		if !due {
			t.Error("nothing to make good")
		}
		h.reconciled(losses)
		wantReady(t, h, true)
		if first, second := h.check(time.Now(), 3).recovered, h.check(time.Now(), 3).recovered; !first || second {
			t.Errorf("recovered: %t, and then %t", first, second)
		}
	})
}

// A comparison that began before the canary went missing does not count.
func TestHealth_reconciledTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(time.Minute)
		h.lossPossible()
		early, _ := h.lossesDue()
		pass(h, 4)
		h.canaryBack()
		h.reconciled(early)
		wantReady(t, h, false)
	})
}

// A refused canary is no silence: the stream can be read.
func TestHealth_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(time.Minute)
		full := errors.New("full")
		if !h.canaryStored(full) || h.canaryStored(full) {
			t.Error("the change was not reported once")
		}
		for range 10 {
			h.canaryStored(full)
			if turned, _, moved := pass(h, 1); turned+moved != 0 {
				t.Fatal("red")
			}
		}
		if err := h.ready(); !errors.Is(err, engine.ErrReadOnly) || !errors.Is(err, full) {
			t.Errorf("ready: %v", err)
		}
		if !h.canaryStored(nil) {
			t.Error("the change was not reported")
		}
		wantReady(t, h, true)
	})
}

// An engine that is given up stays so, and sends nobody away again.
func TestHealth_giveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(time.Second)
		h.suspect(errors.New("gone"))
		wantReady(t, h, false)
		h.suspect(nil)
		wantReady(t, h, true)
		h.giveUp(errors.New("gone"))
		if _, severed, moved := pass(h, 10); severed+moved != 0 {
			t.Errorf("severed %d, moved %d", severed, moved)
		}
		h.canaryBack()
		wantReady(t, h, false)
	})
}

// As long as messages may have been lost, nothing is delivered. So if they are not fetched
// by the cut-off, readers are sent away although the canary comes back, once; another server
// would not help.
func TestHealth_stuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(10 * time.Second)
		h.lossPossible()
		var turned, severed, moved int
		for range 30 {
			h.canaryBack()
			a, b, c := pass(h, 1)
			turned, severed, moved = turned+a, severed+b, moved+c
			if turned == 0 {
				wantReady(t, h, true)
			}
		}
		if turned != 1 || severed != 1 || moved != 0 {
			t.Errorf("turned %d, severed %d, moved %d", turned, severed, moved)
		}
		wantReady(t, h, false)
		losses, _ := h.lossesDue()
		h.reconciled(losses)
		h.canaryBack()
		wantReady(t, h, true)
	})
}
