package nats

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/broker"

	natsio "github.com/nats-io/nats.go"
)

const (
	beatEvery = time.Second
	// silence is how long the canary may stay away before the engine counts as out of
	// reach.
	silence = 3 * time.Second
)

// health is whether the engine can be used, judged by a canary: a message of each
// node that is stored each second and must come back the way of all messages.
type health struct {
	cutOff time.Duration
	wake   chan struct{} // for the audit: there is trouble

	first atomic.Uint64 // the oldest position of the stream, as of the last look
	floor atomic.Uint64 // see metaFloor

	mu      sync.Mutex
	back    time.Time // guarded by mu; when the canary last came back
	red     time.Time // guarded by mu; since when it has been missing; zero: it is not
	severed bool      // guarded by mu; readers were told, since red
	dead    error     // guarded by mu; why the stream must not be used again
	doubted error     // guarded by mu; why it perhaps must not be used
	wanted  uint64    // guarded by mu; troubles so far
	mended  uint64    // guarded by mu; those after which all was looked through
	cure    uint64    // guarded by mu; mended must reach it before red ends
}

func newHealth(cutOff time.Duration) *health {
	return &health{cutOff: cutOff, wake: make(chan struct{}, 1), back: time.Now()}
}

// trouble says that messages may have been lost on their way.
func (h *health) trouble() {
	h.mu.Lock()
	h.wanted++
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// due returns the trouble that has not been mended, and whether there is any.
func (h *health) due() (uint64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wanted, h.wanted != h.mended
}

// mend says that all was looked through after a trouble.
func (h *health) mend(trouble uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mended = trouble
	h.recover()
}

// echo says that the canary has come back.
func (h *health) echo() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.back = time.Now()
	h.recover()
}

// recover ends red if the canary is back and what was lost meanwhile is delivered. The
// caller holds mu.
func (h *health) recover() {
	if !h.red.IsZero() && h.back.After(h.red) && h.mended >= h.cure {
		h.red, h.severed = time.Time{}, false
	}
}

// check is called once a second. It reports whether the engine has just turned red, and
// whether readers must now be told.
func (h *health) check(now time.Time) (turned, sever bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead != nil {
		return false, false // readers were told
	}
	if h.red.IsZero() && now.Sub(h.back) > silence {
		h.red, turned = now, true
		h.wanted++
		h.cure = h.wanted
	}
	if !h.red.IsZero() && !h.severed && now.Sub(h.back) > h.cutOff {
		h.severed, sever = true, true
	}
	return turned, sever
}

// kill says that the stream must not be used again.
func (h *health) kill(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = why
}

// doubt says why the stream must not be used for now; nil: it may be.
func (h *health) doubt(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubted = why
}

func (h *health) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.dead != nil:
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, h.dead)
	case h.doubted != nil:
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, h.doubted)
	case !h.red.IsZero():
		return fmt.Errorf("%w: what is stored has not come back since %s", broker.ErrUnavailable, h.back.UTC().Format(time.RFC3339))
	}
	return nil
}

// beat sends the canary until the engine is closed, and draws the conclusions.
func (e *Engine) beat() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		_ = e.sing(e.life) // what fails does not come back
		select {
		case <-e.life.Done():
			return
		case now := <-tick.C:
			turned, sever := e.health.check(now)
			if turned {
				e.opts.Log.Error("nats is out of reach", slog.Any("error", e.health.ready()))
				e.trouble()
			}
			if sever {
				e.opts.Log.Error("readers are sent elsewhere, nats being out of reach")
				e.sink.Sever()
			}
		}
	}
}

// canary returns the subject of this node's canary.
func (e *Engine) canary() string { return e.names.canaries + e.node }

// sing sends the canary.
func (e *Engine) sing(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.conn.PublishMsg(&natsio.Msg{
		Subject: e.canary(), Data: strconv.AppendInt(nil, time.Now().UnixMilli(), 10),
		Header: natsio.Header{headerTTL: {"10s"}, headerRollup: {"sub"}},
	})
}
