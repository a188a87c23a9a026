package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluicehq/sluice/client"
)

type (
	tree struct {
		Name     string           `json:"name"`
		Children []tree           `json:"children,omitempty"`
		Parent   *tree            `json:"parent,omitempty"`
		ByName   map[string]*tree `json:"byName"`
	}
	page[T any] struct {
		Items []T  `json:"items"`
		Next  *int `json:"next"`
	}
	holder struct {
		Forest []tree     `json:"forest,omitempty"`
		First  page[tree] `json:"first"`
		Other  *tree      `json:"other"`
	}
	nested []nested
	self   *self

	base struct {
		ID    int    `json:"id"`
		Where string `json:"where"`
		Both  int
	}
	Other struct {
		Where string
		Both  string
	}
	embedding struct {
		base
		*Other
		ID      string `json:"id"`
		private int    //nolint:unused // it must not be in the schema
		Hidden  int    `json:"-"`
		Plain   bool
	}
	kinds struct {
		Small   int8            `json:"small"`
		Byte    uint8           `json:"byte"`
		Whole   int             `json:"whole"`
		Big     uint64          `json:"big"`
		Quoted  int64           `json:"quoted,string"`
		Float   float32         `json:"float"`
		Number  json.Number     `json:"number"`
		Raw     json.RawMessage `json:"raw"`
		Any     any             `json:"any"`
		When    time.Time       `json:"when"`
		Zero    time.Time       `json:"zero,omitzero"`
		Never   struct{}        `json:"never,omitempty"` // a struct is never empty
		Took    time.Duration   `json:"took"`
		Addr    netip.Addr      `json:"addr"`
		Bytes   []byte          `json:"bytes"`
		Pair    [2]string       `json:"pair"`
		ByID    map[int]bool    `json:"by_id,omitempty"`
		Strings []string        `json:"strings"`
	}
)

func TestTopicOf_Schema(t *testing.T) {
	tests := []struct {
		name   string
		schema func() (json.RawMessage, error)
		want   string
	}{
		{"string", client.Topic[string]("t").Schema, `{"type":"string"}`},
		{"anything", client.Topic[any]("t").Schema, `{}`},
		{"list", client.Topic[[]int]("t").Schema, `{"items":{"type":"integer"},"type":["array","null"]}`},
		{"pointer", client.Topic[*bool]("t").Schema, `{"type":["boolean","null"]}`},
		{"lists in lists", client.Topic[[][]string]("t").Schema, `{"items":{"items":{"type":"string"},"type":["array","null"]},"type":["array","null"]}`},
		{"empty", client.Topic[struct{}]("t").Schema, `{"properties":{},"type":"object"}`},
		{"struct", client.Topic[status]("t").Schema, `{"properties":{"message":{"type":"string"},"step":{"type":"string"}},"required":["message"],"type":"object"}`},
		{"given", client.Topic[status]("t").WithSchema(json.RawMessage(`true`)).Schema, `true`},
		{"a list of itself", client.Topic[nested]("t").Schema, `{"items":{"anyOf":[{"$ref":"#"},{"type":"null"}]},"type":["array","null"]}`},
		{"a tree", client.Topic[tree]("t").Schema, `{"properties":{
			"byName":{"additionalProperties":{"anyOf":[{"$ref":"#"},{"type":"null"}]},"type":["object","null"]},
			"children":{"items":{"$ref":"#"},"type":"array"},
			"name":{"type":"string"},
			"parent":{"$ref":"#"}},"required":["byName","name"],"type":"object"}`},
		{"trees", client.Topic[holder]("t").Schema, `{"$defs":{
			"page-github-com-sluicehq-sluice-client_test-tree-":{"properties":{
				"items":{"items":{"$ref":"#/$defs/tree"},"type":["array","null"]},
				"next":{"type":["integer","null"]}},"required":["items"],"type":"object"},
			"tree":{"properties":{
				"byName":{"additionalProperties":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]},"type":["object","null"]},
				"children":{"items":{"$ref":"#/$defs/tree"},"type":"array"},
				"name":{"type":"string"},
				"parent":{"$ref":"#/$defs/tree"}},"required":["byName","name"],"type":"object"}},
			"properties":{
				"first":{"$ref":"#/$defs/page-github-com-sluicehq-sluice-client_test-tree-"},
				"forest":{"items":{"$ref":"#/$defs/tree"},"type":"array"},
				"other":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]}},"required":["first"],"type":"object"}`},
		{"embedded", client.Topic[embedding]("t").Schema, `{"properties":{
			"Plain":{"type":"boolean"},"Where":{"type":"string"},"id":{"type":"string"},"where":{"type":"string"}},
			"required":["Plain","id","where"],"type":"object"}`},
		{"kinds", client.Topic[kinds]("t").Schema, `{"properties":{
			"addr":{"type":"string"},"any":{},"big":{"minimum":0,"type":"integer"},
			"by_id":{"additionalProperties":{"type":"boolean"},"type":"object"},
			"byte":{"maximum":255,"minimum":0,"type":"integer"},
			"bytes":{"contentEncoding":"base64","type":["string","null"]},
			"float":{"type":"number"},"never":{"properties":{},"type":"object"},"number":{"type":"number"},
			"pair":{"items":{"type":"string"},"maxItems":2,"minItems":2,"type":"array"},
			"quoted":{"type":"string"},"raw":{},
			"small":{"maximum":127,"minimum":-128,"type":"integer"},
			"strings":{"items":{"type":"string"},"type":["array","null"]},
			"took":{"type":"integer"},"when":{"format":"date-time","type":"string"},"whole":{"type":"integer"},
			"zero":{"format":"date-time","type":"string"}},
			"required":["addr","any","big","byte","bytes","float","never","number","pair","quoted","raw","small","strings","took","when","whole"],"type":"object"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.schema()
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, []byte(tt.want)); err != nil {
				t.Fatal(err)
			}
			if string(got) != want.String() {
				t.Errorf("schema\n%s, want\n%s", got, &want)
			}
		})
	}
}

// The JSON encoding of a value matches the schema of its type, both for the zero value and with
// every field set.
func TestTopicOf_Schema_matchesEncoding(t *testing.T) {
	one := 1
	leaf := tree{Name: "leaf"}
	full := tree{Name: "root", Children: []tree{leaf}, Parent: &leaf, ByName: map[string]*tree{"leaf": &leaf, "none": nil}}
	holds(t, client.Topic[tree]("t"), tree{}, full)
	holds(t, client.Topic[holder]("t"), holder{}, holder{[]tree{full}, page[tree]{[]tree{full}, &one}, &full})
	holds(t, client.Topic[nested]("t"), nil, nested{}, nested{nested{}, nil})
	holds(t, client.Topic[embedding]("t"), embedding{}, embedding{Other: &Other{"here", "x"}, ID: "7"})
	holds(t, client.Topic[kinds]("t"),
		kinds{Pair: [2]string{}},
		kinds{
			Small: -128, Byte: 255, Whole: 1 << 60, Big: 1 << 63, Quoted: 7, Float: 1.5, Number: "1e3", Raw: json.RawMessage(`[1]`),
			Any: map[string]int{"a": 1}, When: time.Now(), Zero: time.Now(), Took: time.Second, Addr: netip.MustParseAddr("::1"),
			Bytes: []byte{0, 1}, ByID: map[int]bool{7: true}, Strings: []string{"a"},
		})
	holds(t, client.Topic[*string]("t"), nil, new(string))
}

func holds[T any](t *testing.T, topic client.TopicOf[T], values ...T) {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	document := must(jsonschema.UnmarshalJSON(bytes.NewReader(must(topic.Schema()))))
	if err := compiler.AddResource("https://sluice.test/schema", document); err != nil {
		t.Fatal(err)
	}
	schema := must(compiler.Compile("https://sluice.test/schema"))
	for _, value := range values {
		text := must(json.Marshal(value))
		if err := schema.Validate(must(jsonschema.UnmarshalJSON(bytes.NewReader(text)))); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

type ownJSON struct{}

func (ownJSON) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

func TestTopicOf_Schema_faults(t *testing.T) {
	tests := []struct {
		name   string
		schema func() (json.RawMessage, error)
		want   string
	}{
		{"channel", client.Topic[struct{ In struct{ Done chan int } }]("t").Schema, ".In.Done (chan int) cannot be encoded as JSON"},
		{"function", client.Topic[[]func()]("t").Schema, "[]func()[] (func()) cannot be encoded as JSON"},
		{"complex", client.Topic[complex64]("t").Schema, "cannot be encoded as JSON"},
		{"interface", client.Topic[map[string]error]("t").Schema, "[] (error) is an interface"},
		{"own JSON", client.Topic[struct{ A *ownJSON }]("t").Schema, ".A (client_test.ownJSON) has its own MarshalJSON"},
		{"keys", client.Topic[map[float64]int]("t").Schema, "cannot be names of members"},
		{"without end", client.Topic[self]("t").Schema, "deeper than 64 levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			schema, err := tt.schema()
			if !errors.Is(err, client.ErrNoSchema) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("schema %s, error %v", schema, err)
			}
		})
	}
}
