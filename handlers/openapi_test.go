package handlers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/schemas"
)

const openAPIURL = "https://sluice.test/openapi"

// description is the OpenAPI document, and which parts of it have been tested.
type description struct {
	document   map[string]any
	operations []operation
	compiler   *jsonschema.Compiler

	mu  sync.Mutex
	met map[string]bool // operation and status, such as "GET /healthz 200"
}

type operation struct {
	method, path string
	matches      *regexp.Regexp // paths as they go over the wire, without query
	responses    map[string]any
}

func (o operation) String() string { return o.method + " " + o.path }

// readDescription reads the document that the server serves.
func readDescription(t *testing.T) *description {
	t.Helper()
	var decoded any
	if err := yaml.Unmarshal(schemas.OpenAPI(), &decoded); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(must(json.Marshal(decoded))))
	if err != nil {
		t.Fatal(err)
	}
	d := &description{document: document.(map[string]any), compiler: jsonschema.NewCompiler(), met: make(map[string]bool)}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	d.compiler.UseLoader(jsonschema.SchemeURLLoader{})
	if err := d.compiler.AddResource(openAPIURL, document); err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`\\\{[a-z]+\\\}`)
	paths := d.document["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		pattern := regexp.MustCompile("^" + variable.ReplaceAllString(regexp.QuoteMeta(path), "[^/]*") + "$")
		for method, item := range paths[path].(map[string]any) {
			if method != "parameters" {
				d.operations = append(d.operations, operation{strings.ToUpper(method), path, pattern, item.(map[string]any)["responses"].(map[string]any)})
			}
		}
	}
	return d
}

// operation returns the operation of a request in the document.
func (d *description) operation(method, path string) (operation, bool) {
	path, _, _ = strings.Cut(path, "?")
	find := func(method string) int {
		return slices.IndexFunc(d.operations, func(o operation) bool { return o.method == method && o.matches.MatchString(path) })
	}
	i := find(method)
	if i < 0 && method == http.MethodHead {
		i = find(http.MethodGet)
	}
	if i < 0 {
		return operation{}, false
	}
	return d.operations[i], true
}

// check checks an answer against the document and records that its status was tested.
func (d *description) check(t testing.TB, a *answer) {
	t.Helper()
	o, known := d.operation(a.method, a.path)
	if !known {
		if !d.pageFile(a.path) && a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed && a.method != http.MethodOptions && a.status != http.StatusForbidden {
			t.Errorf("%s %s is not in the document: %d", a.method, a.path, a.status)
		}
		return
	}
	status := fmt.Sprint(a.status)
	if o.responses[status] == nil {
		if a.status != http.StatusInternalServerError {
			t.Errorf("%s: status %s is not in the document: %s", o, status, a.body)
		}
		status = "default"
	}
	d.mu.Lock()
	d.met[o.String()+" "+status] = true
	d.mu.Unlock()
	d.checkResponse(t, o, status, a)
}

func (d *description) checkResponse(t testing.TB, o operation, status string, a *answer) {
	t.Helper()
	pointer := pointerTo("paths", o.path, strings.ToLower(o.method), "responses", status)
	response := o.responses[status].(map[string]any)
	if ref, ok := response["$ref"].(string); ok {
		pointer = strings.TrimPrefix(ref, "#")
		response = d.document["components"].(map[string]any)["responses"].(map[string]any)[pointer[strings.LastIndex(pointer, "/")+1:]].(map[string]any)
	}
	headers, _ := response["headers"].(map[string]any)
	for name := range headers {
		values := a.header.Values(name)
		if len(values) == 0 && (name == "Allow" || name == "Idempotent-Replayed" || strings.HasPrefix(name, "RateLimit")) {
			continue
		}
		d.checkHeader(t, o, headers[name].(map[string]any), name, strings.Join(values, ", "))
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 || a.method == http.MethodHead {
		if a.body != "" {
			t.Errorf("%s %s has a body: %q", o, status, a.body)
		}
		return
	}
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || content[media] == nil {
		t.Errorf("%s %s has Content-Type %q, the document has %v", o, status, a.header.Get("Content-Type"), slices.Sorted(maps.Keys(content)))
		return
	}
	if media == "application/json" || strings.HasSuffix(media, "+json") {
		d.validate(t, pointer+pointerTo("content", media, "schema"), a.body)
	}
}

func (d *description) checkHeader(t testing.TB, o operation, header map[string]any, name, value string) {
	t.Helper()
	ref := strings.TrimPrefix(header["$ref"].(string), "#")
	text := string(must(json.Marshal(value)))
	switch name {
	case "Retry-After", "Stream-Attempt", "Stream-Offset": // numbers
		text = value
	}
	if value == "" {
		t.Errorf("%s has no %s", o, name)
		return
	}
	d.validate(t, ref+"/schema", text)
}

// validate checks JSON against the schema at the pointer.
func (d *description) validate(t testing.TB, pointer, text string) {
	t.Helper()
	d.mu.Lock()
	schema, err := d.compiler.Compile(openAPIURL + "#" + strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D").Replace(pointer))
	d.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Errorf("%v: %s", err, text)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v: %s", pointer, err, text)
	}
}

func pointerTo(tokens ...string) string {
	var p strings.Builder
	for _, token := range tokens {
		p.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return p.String()
}

// checkRoutes checks that the routes and the document have the same operations.
func (d *description) checkRoutes(t *testing.T, routes []*echo.Route) {
	t.Helper()
	parameter := regexp.MustCompile(`:([a-z]+)`)
	served := map[string]bool{}
	for _, r := range routes {
		name := r.Method + " " + parameter.ReplaceAllString(r.Path, "{$1}")
		described := slices.ContainsFunc(d.operations, func(o operation) bool { return o.String() == name })
		if (r.Method != http.MethodHead || described) && !d.pageFile(r.Path) {
			served[name] = true
		}
	}
	for _, o := range d.operations {
		if !served[o.String()] {
			t.Errorf("%s is in the document and not served", o)
		}
		delete(served, o.String())
	}
	for route := range served {
		t.Errorf("%s is served and not in the document", route)
	}
}

// pageFile reports whether path is one of the files of the page, which only the
// page itself asks for.
func (d *description) pageFile(path string) bool {
	_, err := page().Stat(strings.TrimPrefix(path, "/"))
	_, documented := d.document["paths"].(map[string]any)[path]
	return err == nil && !documented
}

// checkMet reports statuses that the document promises and that no test has seen.
func (d *description) checkMet(t *testing.T) {
	t.Helper()
	for _, o := range d.operations {
		for status := range o.responses {
			name := o.String() + " " + status
			if !d.met[name] && status != "default" {
				t.Errorf("%s is in the document and no test has met it", name)
			}
		}
	}
}
