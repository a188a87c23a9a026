package strictjson_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/strictjson"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name     string
		document string
		want     error // nil: it is accepted
	}{
		{"a number", "1", nil},
		{"white space around it", " \t\r\n{} \n", nil},
		{"as deep as it may be", nested(strictjson.MaxDepth), nil},
		{"too deep", nested(strictjson.MaxDepth + 1), strictjson.ErrTooDeep},
		{"deeper than encoding/json reads", nested(20_000), strictjson.ErrTooDeep},
		{"not UTF-8", "\"\xff\"", strictjson.ErrNotUTF8},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", strictjson.ErrNotUTF8},
	} {
		if err := strictjson.Check([]byte(tt.document)); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	for _, document := range []string{"", " ", "{}{}", "[1,]", `{"a"}`, "{'a':1}", "01", "NaN", "nul", "\"\n\"", "\ufeff{}"} {
		var syntax *json.SyntaxError
		if err := strictjson.Check([]byte(document)); !errors.As(err, &syntax) {
			t.Errorf("%q: got %v", document, err)
		}
	}
}

func TestUnmarshal_kind(t *testing.T) {
	var into struct{ A int }
	var mismatch *json.UnmarshalTypeError
	if err := strictjson.Unmarshal([]byte(`{"A":"1"}`), &into); !errors.As(err, &mismatch) {
		t.Errorf("got %v", err)
	}
}

func TestMembers(t *testing.T) {
	const secret = `"a\"b"`
	for _, tt := range []struct {
		name, object string
		want         []string // names and values in turn
	}{
		{"none", ` { } `, nil},
		{"as they are written", "\n{ \"a\" : 1.50e+1 ,\"b\":\t[ 1, {\"c\" : \"]}\"} ] }", []string{"a", "1.50e+1", "b", `[ 1, {"c" : "]}"} ]`}},
		{"twice", `{"a":1,"a":null}`, []string{"a", "1", "a", "null"}},
		{"in another case", `{"a":true,"A":false}`, []string{"a", "true", "A", "false"}},
		{"escapes", `{"\u0061\/":` + secret + `,"":""}`, []string{"a/", secret, "", `""`}},
		{"a backslash at the end", `{"a\\":"\\","b":"\\\""}`, []string{`a\`, `"\\"`, "b", `"\\\""`}},
		{"an array", `["a",1]`, nil},
		{"a string", `"{}"`, nil},
		{"null", "null", nil},
	} {
		var got []string
		for name, value := range strictjson.Members([]byte(tt.object)) {
			if cap(value) != len(value) {
				t.Errorf("%s: the value of %q has room that is not its own", tt.name, name)
			}
			got = append(got, string(name), string(value))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestItems(t *testing.T) {
	for array, want := range map[string][]string{
		` [ ] `:                       nil,
		`[[],{} , "],[" ,-0.0, null]`: {"[]", "{}", `"],["`, "-0.0", "null"},
		`{"a":[1]}`:                   nil,
		`1`:                           nil,
	} {
		var got []string
		for value := range strictjson.Items([]byte(array)) {
			got = append(got, string(value))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", array, got, want)
		}
	}
}

// TestMembers_break leaves loops early.
func TestMembers_break(t *testing.T) {
	for name := range strictjson.Members([]byte(`{"a":1,"b":2}`)) {
		if string(name) == "b" {
			t.Error("it goes on")
		}
		break
	}
	for value := range strictjson.Items([]byte(`[1,2]`)) {
		if string(value) == "2" {
			t.Error("it goes on")
		}
		break
	}
}

func TestKindOf(t *testing.T) {
	for value, want := range map[string]string{
		"": "null", "null": "null", "true": "bool", "false": "bool", "-1": "number", "0": "number", `"x"`: "string", "[]": "array", "{}": "object",
	} {
		if got := strictjson.KindOf([]byte(value)).String(); got != want {
			t.Errorf("%q is of kind %s, want %s", value, got, want)
		}
	}
}

func TestPointer(t *testing.T) {
	if got, want := strictjson.Pointer(strictjson.Pointer("", "a/b"), "~1"), "/a~1b/~01"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzScanner compares what the scanner sees in a document with what the decoder of
// the standard library sees.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.50,{"b":null}],"a":"\u00e9\ud800","c\\":true}`, " [ ] ", "{ }", `"\\"`, `[[[]],{"":{}}]`, "-1e5 ", `{"x":"]},\"{"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		if strictjson.Check([]byte(document)) != nil {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(document))
		decoder.UseNumber()
		s := strictjson.NewScanner(document)
		compare(t, decoder, &s)
		again := strictjson.NewScanner([]byte(document))
		if whole := again.Skip(); string(whole) != strings.Trim(document, " \t\r\n") {
			t.Fatalf("the whole of %q is %q", document, whole)
		}
	})
}

// compare reads one value from both.
func compare(t *testing.T, decoder *json.Decoder, s *strictjson.Scanner[string]) {
	t.Helper()
	token, err := decoder.Token()
	if err != nil {
		t.Fatal(err)
	}
	var got any
	switch kind := s.Kind(); kind {
	case strictjson.Array, strictjson.Object:
		for s.More() {
			if kind == strictjson.Object {
				if want, _ := decoder.Token(); s.Name() != want {
					t.Fatalf("not the name %q", want)
				}
			}
			compare(t, decoder, s)
		}
		if decoder.More() {
			t.Fatal("there is more")
		}
		_, _ = decoder.Token()
		got = json.Delim(map[strictjson.Kind]rune{strictjson.Array: '[', strictjson.Object: '{'}[kind])
	case strictjson.String:
		got = s.Text()
	case strictjson.Number:
		got = json.Number(s.Literal())
	case strictjson.Bool:
		got = s.Literal() == "true"
	case strictjson.Null:
		if literal := s.Literal(); literal != "null" {
			t.Fatalf("null is written %q", literal)
		}
	}
	if got != token {
		t.Fatalf("got %v, want %v", got, token)
	}
}
