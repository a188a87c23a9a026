// Package schemas has the types that appear on the wire, and the definitions that check the
// messages of a channel against a JSON Schema.
//
// A value that a Parse function has returned is valid: it can be written into a frame, a
// header or an escaped URL path segment without another check. The package does not know
// HTTP, how tokens are verified, or how messages are stored.
package schemas

import _ "embed" // for openapi.yaml

//go:embed openapi.yaml
var openAPI string

// OpenAPI returns the OpenAPI 3.1 description of the HTTP API, in YAML. The caller owns the
// returned copy.
func OpenAPI() []byte { return []byte(openAPI) }
