// Package tlsrecord is the record layer of TLS 1.3 for one direction of a connection
// whose handshake somebody else has made: a [Sealer] turns what is sent into protected
// records, and an [Opener] turns them back. All that either needs is the cipher suite,
// the traffic secret and the number of records that were protected under it before.
//
// It follows RFC 8446: records and their lengths (sections 5.1, 5.2 and 5.4, without
// padding), nonces (5.3), how many records one key may protect (5.5), the end of what is
// sent (6.1), and keys out of a traffic secret (7.1, 7.3).
//
// Two records under one nonce would reveal both. So a Sealer counts a record before it
// protects it, gives each number once, and stops for good at the limit. Whoever sends
// what it returns sends exactly those bytes or nothing: a record is never sealed again.
//
// The package knows no connection and keeps no secret longer than it takes to derive the
// keys from it.
package tlsrecord

import (
	"crypto/tls"
	"errors"
)

const (
	// MaxPlaintext is how many bytes one record carries, at most.
	MaxPlaintext = 1 << 14
	// HeaderLen is the length in bytes of what precedes a record: its type, a version
	// that means nothing any more, and its length.
	HeaderLen = 5
	// Overhead is how much longer a record is than what it carries, in bytes.
	Overhead = HeaderLen + 1 + tagLen
	// MaxRecords is how many records are protected under one secret, at most. It is what
	// section 5.5 allows for AES-GCM, rounded down. ChaCha20-Poly1305 could go on.
	MaxRecords = 1 << 24
	// reserve is how many records are left when [Sealer.Spent] reports the end.
	reserve = 64

	tagLen   = 16 // of each suite
	nonceLen = 12 // of each suite
)

// Content is what a record carries (section 5.1).
type Content uint8

// The contents that a server sends after its handshake.
const (
	Alert           Content = 21
	Handshake       Content = 22
	ApplicationData Content = 23
)

// Errors of the package.
var (
	// ErrSuite says that a cipher suite is not one of [Suites], or that the secret
	// does not have the length of its hash.
	ErrSuite = errors.New("tlsrecord: no such cipher suite")
	// ErrSpent says that no further record may be protected under the secret.
	ErrSpent = errors.New("tlsrecord: too many records under one secret")
	// ErrTooLong says that something does not fit one record.
	ErrTooLong = errors.New("tlsrecord: longer than a record")
	// ErrRecord says that something is no record, or not the one that should come next.
	ErrRecord = errors.New("tlsrecord: not the record that should come")
)

// Suites returns the cipher suites that the package knows: every one that crypto/tls
// speaks in TLS 1.3.
func Suites() []uint16 {
	return []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}
}
