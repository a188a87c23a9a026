//go:build !linux

package rawio

import "net"

// Wrap returns conn.
func Wrap(conn net.Conn) net.Conn { return conn }
