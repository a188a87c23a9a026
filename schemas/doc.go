// Package schemas holds the words of the wire: the names of channels and
// topics, ids, messages, receipts, grants and problems, and the definitions that
// hold a channel's messages to a JSON Schema.
//
// A value of one of its types that came out of a Parse function is legal: it
// may be written into a frame, a header or a URL path segment (escaped as such)
// without another look. The package knows nothing of HTTP, of tokens or of how
// messages are kept.
package schemas
