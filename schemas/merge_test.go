package schemas_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

func TestMergeRule_Split(t *testing.T) {
	rule := &schemas.MergeRule{Append: "/delta", Key: []string{"/type", "/id"}}
	nested := &schemas.MergeRule{Append: "/choices/0/delta/content", Key: []string{"/choices/0/index"}}
	odd := &schemas.MergeRule{Append: "/a~1b~0/ü"}
	unnamed := &schemas.MergeRule{Append: "/a/", Key: []string{"/"}}
	for _, tt := range []struct {
		name   string
		rule   *schemas.MergeRule
		data   string
		before string
		text   string
		after  string
		key    string // "" if the rule does not apply
	}{
		{"a part", rule, `{"type":"text-delta","id":"1","delta":"Hel"}`, `{"type":"text-delta","id":"1","delta":`, "Hel", `}`, "\"text-delta\"\n\"1\"\n"},
		{"in any order", rule, `{"delta":"a\n\"b","x":[{"delta":"no"},"]}"],"id":{"a":[1,2]},"type":null}`, `{"delta":`, "a\n\"b", `,"x":[{"delta":"no"},"]}"],"id":{"a":[1,2]},"type":null}`, "null\n{\"a\":[1,2]}\n"},
		{"an empty string", rule, `{"type":1,"id":-1.5e3,"delta":""}`, `{"type":1,"id":-1.5e3,"delta":`, "", `}`, "1\n-1.5e3\n"},
		{"no string", rule, `{"type":"a","id":"1","delta":1}`, "", "", "", ""},
		{"no such member", rule, `{"type":"a","id":"1"}`, "", "", "", ""},
		{"a part of the key", rule, `{"type":"a","delta":"x"}`, `{"type":"a","delta":`, "x", `}`, "\"a\"\n\n"},
		{"the other part of the key", rule, `{"id":"a","delta":"x"}`, `{"id":"a","delta":`, "x", `}`, "\n\"a\"\n"},
		{"no key", rule, `{"kind":"a","delta":"x"}`, "", "", "", ""},
		{"nested", nested, `{"choices":[{"index":0,"delta":{"content":"x"}}]}`, `{"choices":[{"index":0,"delta":{"content":`, "x", `}}]}`, "0\n"},
		{"an empty list", nested, `{"choices":[]}`, "", "", "", ""},
		{"not an object", rule, `"delta"`, "", "", "", ""},
		{"an array", rule, `["delta"]`, "", "", "", ""},
		{"empty", rule, `{}`, "", "", "", ""},
		{"no member has a name", unnamed, `{"":1,"a":{"":"x"}}`, `{"":1,"a":{"":`, "x", `}}`, "1\n"},
		{"a member without a name is missing", unnamed, `{"":1,"a":"x"}`, "", "", "", ""},
		{"a surrogate pair", rule, `{"type":1,"id":1,"delta":"\ud83d\ude00"}`, `{"type":1,"id":1,"delta":`, "😀", `}`, "1\n1\n"},
		{"half a surrogate pair", rule, `{"type":1,"id":1,"delta":"\ud83d"}`, "", "", "", ""},
		{"a replacement character", rule, `{"type":1,"id":1,"delta":"�"}`, `{"type":1,"id":1,"delta":`, "\ufffd", `}`, "1\n1\n"},
		{"a replacement character beside escapes", rule, `{"type":1,"id":1,"delta":"�\u000b\ud83d\ude00\\ud83d"}`, `{"type":1,"id":1,"delta":`, "\ufffd\v😀\\ud83d", `}`, "1\n1\n"},
		{"a replacement character beside half a pair", rule, `{"type":1,"id":1,"delta":"�\u000b\uDE00"}`, "", "", "", ""},
		{"pairs in names", &schemas.MergeRule{Append: "/😀\n/\""}, `{"\ud83d":1,"\ud83d\ude00\n":{"\"":"x"}}`, `{"\ud83d":1,"\ud83d\ude00\n":{"\"":`, "x", `}}`, "-"},
		{"escaped names", odd, `{"a\/b~":{"\u00fc":"x"}}`, `{"a\/b~":{"\u00fc":`, "x", `}}`, "-"},
	} {
		p, ok := tt.rule.Split([]byte(tt.data))
		if ok != (tt.key != "") {
			t.Errorf("%s: applies: %v", tt.name, ok)
			continue
		}
		key := tt.key
		if key == "-" {
			key = ""
		}
		if string(p.Before) != tt.before || string(p.Text) != tt.text || string(p.After) != tt.after || p.Key != key {
			t.Errorf("%s: %q, %q, %q, key %q", tt.name, p.Before, p.Text, p.After, p.Key)
		}
	}
}

func TestParseDefinition_merge(t *testing.T) {
	def, err := schemas.ParseDefinition("chat:{id}", []byte(`{"topics":{"parts":{"merge":{"append":"/delta","key":["/type","/id"]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	c := schemas.NewCatalog(schemas.Limits{})
	if err := c.Put(def); err != nil {
		t.Fatal(err)
	}
	compiled := c.For("chat:1")
	if rule := compiled.Merge().Of("parts"); rule == nil || rule.Append != "/delta" || len(rule.Key) != 2 || compiled.Merge().Of("other") != nil {
		t.Errorf("rule %+v", rule)
	}
	for _, bad := range []string{
		`{"append":"delta"}`, `{}`, `{"append":1}`, `{"append":"/a","key":"/b"}`, `{"append":"/a","key":["b"]}`, `{"append":"/a","keys":[]}`, `[]`,
		`{"append":"/a","key":["/1","/2","/3","/4","/5","/6","/7","/8","/9"]}`,
	} {
		if _, err := schemas.ParseDefinition("c", []byte(`{"topics":{"t":{"merge":`+bad+`}}}`)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// FuzzMergeRule_Split: whatever valid JSON comes, the parts make up the message again.
func FuzzMergeRule_Split(f *testing.F) {
	f.Add(`{"type":"text-delta","id":"1","delta":"Hel"}`, "/delta", "/id")
	f.Add(`[[],{},["a",{"b":"c"}]]`, "/2/1/b", "/1")
	f.Add(`{"":{"a":"\u0000"}}`, "//a", "/")
	f.Fuzz(func(t *testing.T, data, pointer, key string) {
		var value any
		if json.Unmarshal([]byte(data), &value) != nil {
			return
		}
		compact, err := json.Marshal(value)
		if err != nil || pointer == "" || pointer[0] != '/' || key == "" || key[0] != '/' {
			return
		}
		rule := &schemas.MergeRule{Append: pointer, Key: []string{key}}
		p, ok := rule.Split(compact)
		if !ok {
			return
		}
		whole := append(schemas.AppendString(append([]byte(nil), p.Before...), string(p.Text)), p.After...)
		var again any
		if err := json.Unmarshal(whole, &again); err != nil {
			t.Fatalf("%s becomes %s: %v", compact, whole, err)
		}
		first, _ := json.Marshal(again)
		if string(first) != string(compact) {
			t.Fatalf("%s becomes %s", compact, first)
		}
	})
}

// TestMergeRule_Split_notJSON: what an engine holds that is no JSON stops nobody.
func TestMergeRule_Split_notJSON(t *testing.T) {
	rule := &schemas.MergeRule{Append: "/a/0/b", Key: []string{"/k"}}
	whole := `{"a":[{"b":"x\\"}],"k":{"l":[1,"]"]}}`
	for i := range whole {
		rule.Split([]byte(whole[:i]))
		rule.Split([]byte(whole[i:]))
		for _, wrong := range []string{"", `"`, "{", "]", ",", "\\"} {
			rule.Split([]byte(whole[:i] + wrong + whole[i+1:]))
		}
	}
}

func BenchmarkMergeRule_Split(b *testing.B) {
	rule := &schemas.MergeRule{Append: "/delta", Key: []string{"/a", "/b", "/c", "/d", "/e", "/f", "/g", "/type"}}
	end := `"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"type":1,"delta":"x"}`
	for name, member := range map[string]string{"escaped": `"\n":1,`, "long": `"delt\u0061bcd":1,`, "plain": `"k":1,`} {
		b.Run(name, func(b *testing.B) {
			data := []byte("{" + strings.Repeat(member, (60<<10)/len(member)) + end)
			for b.Loop() {
				rule.Split(data)
			}
		})
	}
}
