//go:build !linux

package floor

import "errors"

// Serve serves on Linux only: it is made of epoll.
func Serve(string, Mode) error { return errors.New("floor: it runs on Linux only") }
