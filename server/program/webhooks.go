package program

import (
	"log/slog"
	"slices"
	"time"

	"github.com/sluicehq/sluice/presence"
	"github.com/sluicehq/sluice/schemas"
	"github.com/sluicehq/sluice/webhooks"
)

// startWebhooks starts what sends events, nil if there are no webhooks. The caller closes it
// after everything that makes events, and before the engine.
func startWebhooks(cfg *Config, engine *engines, readers *presence.Registry, log *slog.Logger) (*webhooks.Sender, error) {
	if cfg.Webhooks == "" {
		return nil, nil
	}
	allow := slices.Clone(cfg.WebhooksAllow)
	if cfg.Dev {
		allow = append(allow, webhooks.Loopback()...)
	}
	watch := func(take func(schemas.Channel, bool, time.Time)) (stop func()) {
		return readers.WatchOccupancy(func(o presence.Occupancy) { take(o.Channel, o.Occupied, o.At) })
	}
	sender, err := webhooks.New(webhooks.Options{
		File: cfg.Webhooks, Outboxes: engine.outboxes, Watch: watch, Bus: engine.bus, Kept: len(engine.messages) > 0, Allow: allow, Log: log,
	})
	if err != nil {
		return nil, &usageError{[]string{err.Error()}}
	}
	return sender, nil
}
