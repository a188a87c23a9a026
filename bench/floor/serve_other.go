//go:build !linux

package floor

import (
	"crypto/tls"
	"errors"
)

// Serve serves on Linux only: it is made of epoll.
func Serve(string, Mode, *tls.Config) error { return errors.New("floor: it runs on Linux only") }
