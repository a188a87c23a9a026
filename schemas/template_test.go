package schemas_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/schemas"
)

func TestCatalog_Put_template(t *testing.T) {
	tests := []struct{ name, template, fault string }{
		{"exact", "pipeline:run_42", ""},
		{"variable", "pipeline:{runId}", ""},
		{"text around it", "user-{id}.log:{_x9}", ""},
		{"variable first", "{tenant}:x", ""},
		{"variable alone", "{x}", ""},
		{"slash and other letters", "a/b:é{x}", ""},
		{"256 bytes", strings.Repeat("a", 253) + "{x}", ""},
		{"empty", "", "is not made of what channel names are made of: it is empty"},
		{"257 bytes", strings.Repeat("a", 254) + "{x}", "has 257 bytes, at most 256 are allowed"},
		{"system", "$a{x}", "is not made of what channel names are made of: names that begin with $ are the system's own"},
		{"white space", "a b:{x}", "is not made of what channel names are made of: character ' ' is not allowed"},
		{"star", "a:*", "is not made of what channel names are made of: character '*' is not allowed"},
		{"not UTF-8", "a\xff{x}", "is not made of what channel names are made of: it is not UTF-8"},
		{"dots", "..", `is not made of what channel names are made of: ".." is a step in a path, and not a name`},
		{"dots before all names", "../{x}", `is not made of what channel names are made of: ".." is a step in a path, and not a name`},
		{"a dot within all names", "{x}/./a", `is not made of what channel names are made of: "." is a step in a path, and not a name`},
		{"dots beside a variable", "..{x}/.{y}", `has more than one variable in segment "..{x}/.{y}"`},
		{"dots that are part of names", "..{x}:...", ""},
		{"two in a segment", "a:{x}-{y}", `has more than one variable in segment "{x}-{y}"`},
		{"unclosed", "a:{x", `has { without } in segment "{x"`},
		{"closed in the next segment", "{a:b}", `has { without } in segment "{a"; /name has } without { in segment "b}"`},
		{"unopened", "a:x}", `has } without { in segment "x}"`},
		{"closed before it is opened", "}{x}", `has } without { in segment "}{x}"`},
		{"nested", "{{x}}", `has a variable "{x": its name must be a letter or _, then letters, digits or _`},
		{"closed twice", "{x}}", `has more than one variable in segment "{x}}"`},
		{"no name", "a:{}", `has a variable "": its name must be a letter or _, then letters, digits or _`},
		{"digit first", "{1}", `has a variable "1": its name must be a letter or _, then letters, digits or _`},
		{"dash", "{a-b}", `has a variable "a-b": its name must be a letter or _, then letters, digits or _`},
		{"letter beyond ASCII", "{é}", `has a variable "é": its name must be a letter or _, then letters, digits or _`},
		{"twice", "{x}:{y}:{x}", "has variable {x} twice"},
		{"all faults", "{1}:a}:{x}{y}", `has a variable "1": its name must be a letter or _, then letters, digits or _; ` +
			`/name has } without { in segment "a}"; /name has more than one variable in segment "{x}{y}"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := schemas.NewCatalog(schemas.Limits{}).Put(schemas.Definition{Name: tt.template})
			switch {
			case tt.fault == "" && err != nil:
				t.Errorf("got %v", err)
			case tt.fault != "" && (!errors.Is(err, schemas.ErrBadDefinition) || sorted(err) != sorted(errors.New("schemas: bad channel definition: /name "+tt.fault))):
				t.Errorf("got %v, want %s", err, tt.fault)
			}
		})
	}
}

// sorted returns the faults of an error's text without their order.
func sorted(err error) string {
	parts := map[string]bool{}
	for part := range strings.SplitSeq(strings.TrimPrefix(err.Error(), "schemas: bad channel definition: "), "; ") {
		parts[part] = true
	}
	return fmt.Sprint(parts)
}

func TestCatalog_Put_ties(t *testing.T) {
	tests := []struct {
		first, second string
		fault         string
	}{
		{"a:{x}", "a:{y}", "differs only in the names of variables"},
		{"{x}", "{y}", "differs only in the names of variables"},
		{"a:{x}:b:{y}", "a:{p}:b:{q}", "differs only in the names of variables"},
		{"a:{x}:b", "a:{y}:{z}", "is as specific and may match the same channel"},
		{"{x}:b", "{x}:{y}", "is as specific and may match the same channel"},
		{"{x}a", "{x}ba", "is as specific and may match the same channel"},
		{"{x}:a{y}", "{x}:ab{y}", "is as specific and may match the same channel"},
		{"{x}:a{y}c", "{x}:ab{y}d", ""},
		{"{x}:a{y}", "{x}:b{y}", ""},
		{"{x}a", "{x}b", ""},
		{"{x}:a{y}", "{x}:a", ""}, // a variable stands for something
		{"{x}:a{y}", "{x}:ab", "is as specific and may match the same channel"},
		{"a:{x}", "b:{y}", ""},
		{"a:{x}", "a:{y}:c", ""},
		{"a:{x}", "a:b{x}", ""},
		{"a:b", "a:{x}", ""},
		{"a:b", "a:c", ""},
		{"ab{x}", "cd{x}", ""},
	}
	for _, tt := range tests {
		for _, pair := range [][2]string{{tt.first, tt.second}, {tt.second, tt.first}} {
			t.Run(pair[0]+" beside "+pair[1], func(t *testing.T) {
				c := schemas.NewCatalog(schemas.Limits{})
				if err := c.Put(schemas.Definition{Name: pair[0]}); err != nil {
					t.Fatal(err)
				}
				err := c.Put(schemas.Definition{Name: pair[1]})
				if tt.fault == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				checkFaults(t, err, schemas.ErrBadDefinition, []string{fmt.Sprintf("/name %s: %q", tt.fault, pair[0])})
				if len(c.List()) != 1 {
					t.Error("something has changed")
				}
				err = schemas.NewCatalog(schemas.Limits{}).PutAll([]schemas.Definition{{Name: pair[0]}, {Name: pair[1]}})
				checkFaults(t, err, schemas.ErrBadDefinition, []string{
					fmt.Sprintf("/channels/0/name %s: %q", tt.fault, pair[1]), fmt.Sprintf("/channels/1/name %s: %q", tt.fault, pair[0]),
				})
			})
		}
	}
}

// TestCatalog_For_neverAmbiguous makes catalogs of random templates over few
// letters and asks for every short channel: with regular expressions in place of
// the catalog's own matching, there is never more than one most specific match.
// A template that was refused as a tie does share a channel with another one.
func TestCatalog_For_neverAmbiguous(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	channels := words("ab:", 7)
	refused, matched := 0, 0
	for range 25 {
		c := schemas.NewCatalog(schemas.Limits{})
		accepted := map[string]*regexp.Regexp{}
		for range 12 {
			name := randomTemplate(random)
			expression := expressionOf(name)
			_, again := accepted[name]
			switch err := c.Put(schemas.Definition{Name: name}); {
			case err == nil:
				accepted[name] = expression
			case errors.Is(err, schemas.ErrBadDefinition) && strings.Contains(err.Error(), "may match the same channel") && !again:
				refused++
				if !sharesOne(channels, name, expression, accepted) {
					t.Fatalf("%q was refused beside %v: no channel says why", name, accepted)
				}
			case strings.Contains(err.Error(), "names of variables"):
			default:
				t.Fatalf("%q: %v", name, err)
			}
		}
		for _, channel := range channels {
			best, ties := bestOf(accepted, channel)
			if ties > 1 {
				t.Fatalf("%q: %d equally specific templates in %v", channel, ties, accepted)
			}
			got := ""
			if d := c.For(schemas.Channel(channel)); d != nil {
				got = d.Name()
				matched++
			}
			if got != best {
				t.Fatalf("%q: got %q, want %q of %v", channel, got, best, accepted)
			}
		}
	}
	if refused < 20 || matched < 10000 {
		t.Errorf("too little was tried: %d ties, %d matches", refused, matched)
	}
}

func words(letters string, length int) []string {
	all, last := []string{}, []string{""}
	for range length {
		var next []string
		for _, w := range last {
			for _, l := range letters {
				next = append(next, w+string(l))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

func randomTemplate(r *rand.Rand) string {
	literal := func(most int) string {
		var b strings.Builder
		for range r.IntN(most + 1) {
			b.WriteByte("ab"[r.IntN(2)])
		}
		return b.String()
	}
	var segments []string
	for i := range 1 + r.IntN(2) {
		if r.IntN(4) == 0 {
			segments = append(segments, "a"+literal(1))
			continue
		}
		segments = append(segments, literal(1)+fmt.Sprintf("{v%d}", i)+literal(1))
	}
	return strings.Join(segments, ":")
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

func expressionOf(template string) *regexp.Regexp {
	return regexp.MustCompile("^" + variable.ReplaceAllString(template, "[^:]+") + "$")
}

func prefixLength(template string) int {
	prefix, _, _ := strings.Cut(template, "{")
	return len(prefix)
}

func bestOf(templates map[string]*regexp.Regexp, channel string) (best string, ties int) {
	for name, expression := range templates {
		if !expression.MatchString(channel) {
			continue
		}
		switch {
		case best == "" || prefixLength(name) > prefixLength(best):
			best, ties = name, 1
		case prefixLength(name) == prefixLength(best):
			ties++
		}
	}
	return best, ties
}

func sharesOne(channels []string, name string, expression *regexp.Regexp, accepted map[string]*regexp.Regexp) bool {
	for other, e := range accepted {
		if prefixLength(other) != prefixLength(name) {
			continue
		}
		for _, channel := range channels {
			if e.MatchString(channel) && expression.MatchString(channel) {
				return true
			}
		}
	}
	return false
}
