// Package tlstap takes connections away from crypto/tls after the handshake: what is
// sent from then on is sealed by a [tlsrecord.Sealer], and no tls.Conn is left, with its
// goroutine and its buffers.
//
// A [Conn] stands between crypto/tls and a connection. It is told the secret of what the
// server sends ([Config]), and counts the records that crypto/tls writes under it. From
// outside that count cannot be certain: session tickets are written together with the
// handshake, and whoever updates the keys of a connection (RFC 8446, section 4.6.3) tells
// nobody. So nothing is believed. The last thing that crypto/tls writes is held back
// ([Conn.Hold]), and only if it opens with the key and the number that the tap would go
// on from ([Conn.Sealer]) is the connection taken over ([Conn.Detach]). Otherwise it is
// sent as it is ([Conn.Release]), and crypto/tls goes on as if nothing had happened.
//
// A connection that cannot be taken over costs nothing more: clients that speak TLS 1.2,
// or with which HTTP/2 is spoken, have the config that they would have without a tap.
package tlstap

import "errors"

// Errors of the package.
var (
	// ErrNotReady says that the connection cannot be taken over: it is not TLS 1.3, or
	// a write has failed, or it was given up.
	ErrNotReady = errors.New("tlstap: the connection cannot be taken over")
	// ErrKeys says that crypto/tls does not write with the keys that the tap knows of.
	ErrKeys = errors.New("tlstap: the keys are not those in use")
	// ErrInterrupted says that crypto/tls has written something after what was held.
	ErrInterrupted = errors.New("tlstap: something else was written")
)
