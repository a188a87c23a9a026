package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/schemas"
)

const openAPIURL = "https://sluice.test/openapi"

// document returns the OpenAPI document as a JSON value.
func document(t *testing.T) map[string]any {
	t.Helper()
	var decoded any
	if err := yaml.Unmarshal(schemas.OpenAPI(), &decoded); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(decoded)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

// at returns the value at a pointer, or nil.
func at(doc any, pointer string) any {
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		token = strings.NewReplacer("~0", "~", "~1", "/").Replace(token)
		switch v := doc.(type) {
		case map[string]any:
			doc = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i >= len(v) {
				return nil
			}
			doc = v[i]
		default:
			return nil
		}
	}
	return doc
}

// walk calls see for every value below doc with its pointer.
func walk(doc any, pointer string, see func(pointer string, v any)) {
	see(pointer, doc)
	switch v := doc.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			walk(v[name], pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), see)
		}
	case []any:
		for i, item := range v {
			walk(item, fmt.Sprintf("%s/%d", pointer, i), see)
		}
	}
}

func openAPICompiler(t *testing.T, doc any) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(jsonschema.SchemeURLLoader{})
	if err := c.AddResource(openAPIURL, doc); err != nil {
		t.Fatal(err)
	}
	return c
}

func compileAt(t *testing.T, c *jsonschema.Compiler, pointer string) *jsonschema.Schema {
	t.Helper()
	schema, err := c.Compile(openAPIURL + "#" + strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D").Replace(pointer))
	if err != nil {
		t.Errorf("%s: %v", pointer, err)
	}
	return schema
}

func TestOpenAPI_references(t *testing.T) {
	doc := document(t)
	if doc["openapi"] != "3.1.0" {
		t.Errorf("version %v", doc["openapi"])
	}
	used := map[string]bool{}
	walk(doc, "", func(pointer string, v any) {
		object, _ := v.(map[string]any)
		ref, ok := object["$ref"].(string)
		if !ok {
			return
		}
		target, inside := strings.CutPrefix(ref, "#")
		if !inside || at(doc, target) == nil {
			t.Errorf("%s refers to %q, which is not there", pointer, ref)
		}
		used[target] = true
	})
	// What no operation can refer to: it is in a stream, which is text.
	for _, name := range []string{"BusyChannels", "ControlLine", "Nodes", "OpenEvent", "Overview", "PublishResult"} {
		used["/components/schemas/"+name] = true
	}
	for kind, components := range doc["components"].(map[string]any) {
		for name := range components.(map[string]any) {
			if kind != "securitySchemes" && !used["/components/"+kind+"/"+name] {
				t.Errorf("%s %s is not used", kind, name)
			}
		}
	}
}

func TestOpenAPI_componentSchemas(t *testing.T) {
	doc := document(t)
	c := openAPICompiler(t, doc)
	for name, v := range at(doc, "/components/schemas").(map[string]any) {
		pointer := "/components/schemas/" + name
		schema := compileAt(t, c, pointer)
		examples, _ := v.(map[string]any)["examples"].([]any)
		if len(examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		for i, example := range examples {
			if schema == nil {
				continue
			}
			if err := schema.Validate(example); err != nil {
				t.Errorf("%s: example %d: %v", name, i, err)
			}
		}
	}
}

// TestOpenAPI_examples validates the examples of bodies, parameters and headers.
func TestOpenAPI_examples(t *testing.T) {
	doc := document(t)
	c := openAPICompiler(t, doc)
	checked := 0
	walk(doc, "", func(pointer string, v any) {
		object, _ := v.(map[string]any)
		if _, ok := object["schema"].(map[string]any); !ok || strings.Contains(pointer, "example") || strings.HasPrefix(pointer, "/components/schemas/") {
			return
		}
		values := map[string]any{}
		if example, ok := object["example"]; ok {
			values["example"] = example
		}
		examples, _ := object["examples"].(map[string]any)
		for name, example := range examples {
			values[name] = example.(map[string]any)["value"]
		}
		schema := compileAt(t, c, pointer+"/schema")
		for name, value := range values {
			checked++
			if schema == nil {
				continue
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s: %s: %v", pointer, name, err)
			}
		}
	})
	if checked < 50 {
		t.Errorf("only %d examples were found", checked)
	}
}

func TestOpenAPI_responses(t *testing.T) {
	doc := document(t)
	ids := map[any]string{}
	operations := 0
	for path, item := range doc["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			operations++
			name := strings.ToUpper(method) + " " + path
			id := at(operation, "/operationId")
			if id == nil || ids[id] != "" || at(operation, "/summary") == nil || at(operation, "/tags") == nil {
				t.Errorf("%s: no operationId, one that is used twice, no summary or no tags", name)
			}
			ids[id] = name
			checkParameters(t, doc, name, path, at(item, "/parameters"), at(operation, "/parameters"))
			for status, response := range at(operation, "/responses").(map[string]any) {
				checkResponse(t, doc, name+" "+status, status, response)
			}
		}
	}
	if operations != 31 {
		t.Errorf("%d operations", operations)
	}
}

func checkResponse(t *testing.T, doc map[string]any, name, status string, response any) {
	t.Helper()
	if ref, ok := at(response, "/$ref").(string); ok {
		response = at(doc, strings.TrimPrefix(ref, "#"))
	}
	if at(response, "/headers/X-Request-Id") == nil {
		t.Errorf("%s has no X-Request-Id", name)
	}
	if (status == "429" || status == "503") && at(response, "/headers/Retry-After") == nil {
		t.Errorf("%s has no Retry-After", name)
	}
	if status == "401" && at(response, "/headers/WWW-Authenticate") == nil {
		t.Errorf("%s has no WWW-Authenticate", name)
	}
	content, _ := at(response, "/content").(map[string]any)
	problem := content["application/problem+json"] != nil
	if status == "304" {
		if len(content) != 0 {
			t.Errorf("%s has content", name)
		}
		return
	}
	if success := strings.HasPrefix(status, "2"); success == problem || (len(content) == 0) != (status == "204" || success && strings.HasPrefix(name, "HEAD ")) {
		t.Errorf("%s has the wrong content", name)
	}
	if problem && status != "default" {
		for pointer, value := range problemExamples(content) {
			if number, _ := at(value, "/status").(json.Number); number.String() != status {
				t.Errorf("%s: %s has status %s", name, pointer, number)
			}
		}
	}
}

func problemExamples(content map[string]any) map[string]any {
	examples := map[string]any{}
	walk(content, "", func(pointer string, v any) {
		if at(v, "/type") != nil && at(v, "/title") != nil {
			examples[pointer] = v
		}
	})
	return examples
}

func checkParameters(t *testing.T, doc map[string]any, name, path string, lists ...any) {
	t.Helper()
	var inPath []string
	for _, list := range lists {
		parameters, _ := list.([]any)
		for _, p := range parameters {
			if ref, ok := at(p, "/$ref").(string); ok {
				p = at(doc, strings.TrimPrefix(ref, "#"))
			}
			if at(p, "/description") == nil || at(p, "/schema") == nil {
				t.Errorf("%s: a parameter without description or schema", name)
			}
			if at(p, "/in") == "path" {
				inPath = append(inPath, fmt.Sprint(at(p, "/name")))
			}
		}
	}
	for _, variable := range inPath {
		path = strings.Replace(path, "{"+variable+"}", "", 1)
	}
	if strings.Contains(path, "{") {
		t.Errorf("%s: %s is left without a parameter", name, path)
	}
}

// TestOpenAPI_matchesTypes holds what the package writes and reads to the
// document that describes it.
func TestOpenAPI_matchesTypes(t *testing.T) {
	doc := document(t)
	c := openAPICompiler(t, doc)
	validate := func(name, text string) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		return compileAt(t, c, "/components/schemas/"+name).Validate(v)
	}
	m := schemas.Message{Channel: "a:é", Topic: schemas.TopicRun, Kind: schemas.KindRun, Data: json.RawMessage(`{}`), RunID: "r", StreamID: "s"}
	r := schemas.Receipt{Channel: "a", Topic: "t", Kind: schemas.KindData}
	p := schemas.Problem{Type: "/problems/malformed", Title: "x", Status: 400, Errors: []schemas.FieldError{{Pointer: "/a~1b", Detail: "d"}}}
	for name, text := range map[string]string{
		"Message": string(m.AppendJSON(nil)), "Receipt": string(r.AppendJSON(nil)), "Problem": encode(t, p),
		"Definition": encode(t, schemas.Definition{Name: "a", Replay: &schemas.ReplayLimits{Bytes: 7, Age: 90e9}, Strict: true}),
	} {
		if err := validate(name, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, topic := range []string{"status", "open", "$run", "a b", "", strings.Repeat("a", 65)} {
		_, err := schemas.ParseTopic(topic)
		if described := validate("TopicName", strconv.Quote(topic)); (err == nil) != (described == nil) {
			t.Errorf("topic %q: %v, the document says %v", topic, err, described)
		}
	}
	for _, pattern := range []string{"a", "a:*", "*", "a*", "*:a", "", "$a", "a b", "a:*:b", "a/b:*"} {
		_, err := schemas.ParsePattern(pattern)
		if described := validate("ChannelPattern", strconv.Quote(pattern)); (err == nil) != (described == nil) {
			t.Errorf("pattern %q: %v, the document says %v", pattern, err, described)
		}
	}
	for _, text := range []string{
		`{"name":"a:{b}"}`, `{"name":"a","topics":{"t":null,"u":{"schema":true}},"replay":{"bytes":"1KiB","age":"1h30m"}}`,
		`{"name":"a","x":1}`, `{"name":"a","topics":{"open":{}}}`, `{"name":"a","replay":{"messages":0}}`, `{"name":"a","strict":1}`, `{}`,
	} {
		_, err := schemas.ParseDefinition("", []byte(text))
		if err != nil && !errors.Is(err, schemas.ErrBadDefinition) {
			t.Error(err)
		}
		if described := validate("Definition", text); (err == nil) != (described == nil) {
			t.Errorf("definition %s: %v, the document says %v", text, err, described)
		}
	}
}
