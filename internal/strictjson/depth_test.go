package strictjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/strictjson"
)

// nested returns JSON with so many levels.
func nested(levels int) string {
	return strings.Repeat("[", levels) + strings.Repeat("]", levels)
}

func TestCheckDepth(t *testing.T) {
	for _, tt := range []struct {
		name string
		data string
		deep bool
	}{
		{"a number", `1`, false},
		{"as deep as it may be", nested(500), false},
		{"one level more", nested(501), true},
		{"objects", strings.Repeat(`{"a":`, 501) + "1" + strings.Repeat("}", 501), true},
		{"both in turn", strings.Repeat(`[{"a":`, 250) + "1" + strings.Repeat("}]", 250), false},
		{"side by side", `[` + strings.Repeat(`[],`, 2000) + `{}]`, false},
		{"in a string", `"` + strings.Repeat(`[`, 2000) + `"`, false},
		{"in a string with escapes", `["\"\\` + strings.Repeat(`{\"`, 2000) + `"]`, false},
		{"behind a string", `{"a\"":` + nested(500) + `}`, true},
		{"not JSON", strings.Repeat(`[`, 501), true},
		{"a string without an end", strings.Repeat(`[`, 500) + `"` + strings.Repeat(`[`, 10) + `\`, false},
	} {
		if err := strictjson.CheckDepth([]byte(tt.data)); errors.Is(err, strictjson.ErrTooDeep) != tt.deep {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

// FuzzCheckDepth compares with the levels that a decoder goes through.
func FuzzCheckDepth(f *testing.F) {
	for _, seed := range []string{nested(500), nested(501), `{"[":"]\"[","a":[[]]}`, `"\\"`, `[1,{"a":[null]}]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		err := strictjson.CheckDepth([]byte(data))
		if !json.Valid([]byte(data)) {
			return // whatever it says, the document is refused
		}
		level, depth := 0, 0
		for decoder := json.NewDecoder(strings.NewReader(data)); ; {
			token, fault := decoder.Token()
			if fault != nil {
				break
			}
			if delim, ok := token.(json.Delim); ok && (delim == '[' || delim == '{') {
				level++
				depth = max(depth, level)
			} else if ok {
				level--
			}
		}
		if (err != nil) != (depth > strictjson.MaxDepth) {
			t.Fatalf("%d levels: got %v", depth, err)
		}
	})
}
