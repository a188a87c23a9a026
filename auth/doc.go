// Package auth determines the principal of a credential: an API key, a token that this
// server has signed, or a token of a configured foreign issuer.
//
// A token is a JWT ([RFC 7519]) in the compact form of a JWS ([RFC 7515]). The package
// guarantees of every accepted token that a key of the issuer it names has signed it, with
// the one algorithm that this key is pinned to; that it is meant for this server, has not
// expired and was not revoked; and that every member of its grants was understood. It
// never uses a key that the token itself contains or refers to (jwk, jku, x5u, x5c).
//
// The package knows nothing of HTTP requests, routes or streams. It never writes a
// credential or a key into a log line or an error.
//
// [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
// [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519
package auth
