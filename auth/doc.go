// Package auth decides who a credential speaks for: API keys, tokens that this
// server signed, and tokens of configured foreign issuers.
//
// A token is a JWT ([RFC 7519]) in the compact form of a JWS ([RFC 7515]). What
// the package guarantees of a token that it accepts: its signature was made by
// a key of the issuer that it names, with the one algorithm that this key is
// pinned to; it is meant for this server, has not expired and was not revoked;
// and every member of its grants was understood. Nothing that the token itself
// brings along (jwk, jku, x5u, x5c) is ever used as a key.
//
// The package knows nothing of HTTP requests, of routes or of streams. It writes
// no credential and no key into a log line or an error.
//
// [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
// [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519
package auth
