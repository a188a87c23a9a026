// Package systemd is what the service gets from systemd and tells it: a socket that was
// opened before the start, and that the service is ready, alive or about to stop. Without
// systemd, there is nothing of either.
package systemd

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// Socket returns the socket of the service's socket unit (sd_listen_fds(3)), nil if there
// is none. The socket stays open in systemd, so clients can connect at any time, whether
// the service runs or not.
func Socket() (net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if len(all) == 1 && all[0] != nil { // nil: not a listening stream socket
		return all[0], nil
	}
	for _, l := range all {
		if l != nil {
			l.Close() //nolint:errcheck // the other error is the cause
		}
	}
	return nil, fmt.Errorf("systemd: %d sockets were passed, want one with ListenStream=", len(all))
}

// Ready tells systemd that the service is ready (sd_notify(3)). If its unit has
// WatchdogSec=, systemd is also told that the service is alive, until ctx ends.
func Ready(ctx context.Context) error {
	if err := notify(daemon.SdNotifyReady); err != nil {
		return err
	}
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit <= 0 {
		return err
	}
	go remind(ctx, limit/2) // ends with ctx
	return nil
}

// remind tells systemd that the service is alive, so that it is not restarted.
func remind(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		_ = notify(daemon.SdNotifyWatchdog) // if it does not arrive, systemd does what its unit says
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Stopping tells systemd that the service is about to end.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

func notify(state string) error {
	_, err := daemon.SdNotify(false, state)
	return err
}
