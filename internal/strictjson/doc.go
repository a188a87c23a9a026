// Package strictjson reads JSON from outside so that everybody who reads a document
// sees the same thing in it.
//
// encoding/json is lenient where readers differ: it matches names in any case, lets
// the last of two members with one name win, and replaces bytes that are not UTF-8. A
// proxy, a verifier of tokens and this service could each act on another document.
// This package guarantees:
//
//   - a document that [Check] or [Unmarshal] accepts is one JSON value in UTF-8, and
//     nests at most [MaxDepth] levels deep;
//   - [Members] yields every member, with its exact name, as often as it is there, so
//     that callers can refuse what is unknown or doubled;
//   - values are parts of the document, byte for byte: numbers keep their digits.
//
// Its errors quote nothing of the document, which may be a token or a private key,
// except for the character at which a [json.SyntaxError] stops.
//
// It does not know what a document means, nor how its callers word their refusals.
package strictjson
