package schemas

import _ "embed" // for openapi.yaml

//go:embed openapi.yaml
var openAPI string

// OpenAPI returns the OpenAPI 3.1 description of the HTTP interface, as YAML.
// The caller owns the copy it gets.
func OpenAPI() []byte { return []byte(openAPI) }
